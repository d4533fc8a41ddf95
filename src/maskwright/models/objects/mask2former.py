"""Mask2Former: queries, each with a class and a mask; one network for classes of pixels, objects, or both.

Cheng, Misra, Schwing, Kirillov, Girdhar 2022, "Masked-attention Mask Transformer for Universal Image Segmentation",
section 3. A pixel decoder refines three levels of the backbone by deformable attention. In each layer of a transformer
decoder, each query attends to the features inside the mask that it predicted in the layer before, and to the other
queries, and predicts its mask again. Training matches queries one to one with the annotated segments and compares only
matched pairs; the other queries learn to predict "no object". No boxes, anchors or thresholds between neighbours are
needed.

For the task `semantic` the classes of pixels follow from the queries as in Cheng, Schwing, Kirillov 2021, "Per-Pixel
Classification is Not All You Need" (MaskFormer), section 3.4, with p_q(c) the probability of class c for the query q
and m_q(x) its mask after a sigmoid,

    score(x, c) = sum over q of p_q(c) m_q(x),   c any class except "no object"

and the logits are log score(x, c). For objects, a query counts as its likeliest class, with the score of the authors'
code: that probability times the mean of the probabilities inside its mask. For things and stuff, segments compete
for pixels by score times m_q(x) (`tasks.panoptic_map`).

Expected: 51.9 PQ and 43.7 mask AP on COCO and 47.2 mIoU on ADE20K with a ResNet-50 (their tables 1 to 3).

Weights of the transformers library can be imported, with ResNet and Swin backbones. We chose it over EoMT (Kerssies et
al. 2025), which is simpler but needs a large pretrained vision transformer; without a model hub, only weights of
EfficientNet-Lite are available. Where we differ: a query gives at most one object, where the authors take the best
pairs of query and class; only segments whose masks contain a pixel compete for it; the hidden layers of the pixel
decoder and of the transformer decoder have 4 and 8 times as many units as the width. With `positions`, which the plan
sets for objects, a query is multiplied with waves over the image too: objects that look alike are told apart sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.models.heads.pixel import Head
from maskwright.models.layers.blocks import height_width, resize
from maskwright.models.layers.norm import moving_statistics
from maskwright.models.objects.base import Queries, QueryTensors
from maskwright.models.objects.query_decoder import QueryDecoder
from maskwright.models.objects.reading import Reading, segments
from maskwright.models.segmenter import Segmenter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwright.models.backbones.base import Backbone
    from maskwright.models.objects.base import Segments

FAINTEST = 1e-12
"""Lower limit of the scores of pixels, so that the logarithm is finite."""


class QueryHead(Head):
    """The classes of queries, and the classes of pixels that follow from them.

    Args:
        inputs: channels of a query.
        classes: K, without "no object".
        stride: of the masks.
        dropout: share of the channels of the queries that are dropped, 0..1.
    """

    def __init__(self, inputs: int, classes: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        # Separate, so that a training on other classes finds one row per class.
        self.classes = nn.Linear(inputs, classes)
        self.nothing = nn.Linear(inputs, 1)
        self.stride = stride

    @property
    def bias(self) -> Tensor:
        """The bias (K,) of the classes of queries."""
        return self.classes.bias

    def logits(self, queries: Tensor) -> Tensor:
        """Return the logits (N, Q, K + 1) of the classes of queries (N, Q, inputs), "no object" last."""
        queries = self.dropout(queries)
        return torch.cat([self.classes(queries), self.nothing(queries)], dim=2).float()

    def forward(self, found: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Return logits (N, K, H, W) of the pixels, from the last queries and masks."""
        queries, masks = found[-1]
        height, width = (self.stride * length for length in height_width(masks))
        shares = self.logits(queries).softmax(dim=2)[:, :, :-1]
        with torch.autocast(masks.device.type, enabled=False):  # the logarithm needs sums in full precision
            scores = torch.einsum("nqk,nqhw->nkhw", shares, resize(masks.float(), (height, width)).sigmoid())
            return scores.clamp_min(FAINTEST).log()


class Mask2Former(Segmenter):
    """Backbone, decoders and head: classes of pixels, or objects where its groups say so."""

    decoder: QueryDecoder
    head: QueryHead
    mirrored = False

    def forward(  # type: ignore[override]  # the caller knows what comes, from `groups` and `matched`
        self, x: Tensor, *, with_aux: bool = False, upsample: bool = True, matched: bool = False
    ) -> Tensor | tuple[Tensor, ...] | list[Queries | Segments]:
        """Compute maps, or find objects.

        Args:
            x: images (N, C, H, W), floating point, normalised as in the training.
            with_aux: see `Segmenter.forward`; of maps only.
            upsample: the same.
            matched: return the queries instead, as a training matches them: at first, and after each layer.

        Returns:
            Logits as `Segmenter.forward`; or the objects of each image, if the network emits objects.

        Raises:
            MaskwrightError: `x` does not have four axes, has another number of channels, or integer values.
        """
        objects = emits_objects(self.groups)
        if not objects and not matched:
            return super().forward(x, with_aux=with_aux, upsample=upsample)
        self._check(x)
        with moving_statistics():
            layers = self.decoder(self.backbone(self._padded(x)))
        stride, logits = self.head.stride, self.head.logits
        if matched:
            return [Queries(logits(queries), masks.float(), stride) for queries, masks in layers]
        queries, masks = layers[-1]
        return [segments(*one, stride) for one in zip(logits(queries), masks.float(), strict=True)]

    @property
    def reading(self) -> Reading:
        """How `tensors` become objects."""
        return Reading(stride=self.head.stride)

    def tensors(self, x: Tensor) -> QueryTensors:
        """Find objects as `forward` does, as tensors that `reading` turns into the same objects."""
        with moving_statistics():
            queries, masks = self.decoder(self.backbone(self._padded(x)))[-1]
        return QueryTensors(self.head.logits(queries), masks.float())

    def typical(self, x: Tensor) -> None:
        """Do the work that is counted for one image: everything up to the queries and their masks."""
        self.head.logits(self.decoder(self.backbone(self._padded(x)))[-1][0])


def build(  # noqa: PLR0913 - its keywords are options of users, each with its line below
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    width: int = 256,
    heads: int = 8,
    layers: tuple[int, int] = (6, 9),
    queries: int = 100,
    positions: bool = False,
) -> Mask2Former:
    """Compose Mask2Former.

    Args:
        backbone: image to pyramid.
        classes: K, among them the background.
        dropout: of the queries, before their classes.
        width: channels of pixels and queries, a multiple of 4 and of the number of heads.
        heads: of all attention.
        layers: number of layers of deformable attention, which refine the backbone's levels, and of masked attention,
            which look at one level after another.
        queries: most segments in an image, or in a tile of a large one.
        positions: masks depend on the place in the crop or tile too: not in the paper, but better in short trainings.

    Raises:
        MaskwrightError: an invalid option.
    """
    _check(classes, {"width": width, "heads": heads, "queries": queries}, layers)
    decoder = QueryDecoder(backbone, width, heads=heads, layers=layers, queries=queries, positions=positions)
    head = QueryHead(width, classes, decoder.pixels.stride, dropout)
    return Mask2Former(backbone, decoder, head, classes)


def _check(classes: int, counts: Mapping[str, int], layers: Sequence[int]) -> None:
    """Refuse numbers that no network can have."""
    if classes < 2:
        raise MaskwrightError(
            f"mask2former: classes is {classes}, and it must be 2 or more: it compares classes, so what is none of "
            "them needs a class too, such as background"
        )
    if len(layers) != 2 or min(*layers, *counts.values()) < 1:
        given = ", ".join(f"{name} {value}" for name, value in counts.items())
        raise MaskwrightError(f"mask2former: {given} and both numbers of layers {list(layers)} must be 1 or more")
    width, heads = counts["width"], counts["heads"]
    if width % 4 or width % heads:
        usual = 4 * heads * max(round(width / (4 * heads)), 1)
        raise MaskwrightError(
            f"mask2former: width is {width}, and it must be a multiple of 4 and of heads ({heads}): set width={usual}"
        )
