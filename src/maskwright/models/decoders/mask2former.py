"""Mask2Former: queries, each with a class and a mask, summed at every pixel. Uses the transformers library's layers.

Cheng, Misra, Schwing, Kirillov, Girdhar 2022, "Masked-attention Mask Transformer for Universal Image Segmentation",
section 3: a pixel decoder of deformable attention over three levels, and a transformer decoder whose queries attend
only to the inside of their masks of the previous layer. The classes of pixels follow from the queries as in Cheng,
Schwing, Kirillov 2021, "Per-Pixel Classification is Not All You Need" (MaskFormer), section 3.4, "semantic inference":
with p_q(c) the probability of class c for the query q, "no object" being one of the classes, and m_q(x) its mask after
a sigmoid,

    score(x, c) = sum over q of p_q(c) m_q(x),   c any class except "no object"

Expected: 57.7 mIoU on ADE20K (their abstract).

Our logits are log score(x, c) + b_c, with b = 0 until a training changes it: the largest logit is the largest score,
and the softmax gives the scores normalised to a sum of 1. As in the authors' code, the masks are resized to the size of
the image before the sigmoid. Where we differ: a training minimises one of our losses on these logits; theirs matches
queries with the regions of the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from maskwright.models.backbones.transformers_backbone import described
from maskwright.models.heads.pixel import Head
from maskwright.models.layers.blocks import height_width, resize
from maskwright.models.segmenter import Decoder, Segmenter
from maskwright.models.weights.transformers_config import explain_build_errors

if TYPE_CHECKING:
    from maskwright.models.backbones.base import Backbone

FAINTEST = 1e-12
"""Lower limit of the scores, so that the logarithm is finite."""


class Mask2FormerDecoder(Decoder):
    """Pixel decoder and transformer decoder: a pyramid in, queries and their masks out.

    Args:
        backbone: its levels are the input.
        settings: the library's configuration.
    """

    def __init__(self, backbone: Backbone, settings: Any) -> None:
        from transformers.models.mask2former.modeling_mask2former import (
            Mask2FormerPixelDecoder,
            Mask2FormerTransformerModule,
        )

        super().__init__(settings.hidden_dim, 1)
        self.pixels = Mask2FormerPixelDecoder(settings, list(backbone.channels))
        nn.init.normal_(self.pixels.level_embed)  # in the library the whole model initialises it
        self.queries = Mask2FormerTransformerModule(settings.feature_size, settings)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return queries (N, Q, channels) and logits of their masks (N, Q, h, w)."""
        levels = self.pixels(features)
        found = self.queries(levels.multi_scale_features, levels.mask_features)
        return [found.intermediate_hidden_states[-1].transpose(0, 1), found.masks_queries_logits[-1]]


class QueryHead(Head):
    """Turn the classes and masks of queries into logits of pixels.

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
        self.shift = nn.Parameter(torch.zeros(classes))
        self.stride = stride

    @property
    def bias(self) -> Tensor:
        """The bias (K,) of the logits."""
        return self.shift

    def forward(self, found: list[Tensor]) -> Tensor:
        """Return logits (N, K, H, W) for queries (N, Q, inputs) and masks (N, Q, H / stride, W / stride)."""
        queries, masks = self.dropout(found[0]), found[1]
        height, width = (self.stride * length for length in height_width(masks))
        logits = torch.cat([self.classes(queries), self.nothing(queries)], dim=2).float()
        with torch.autocast(masks.device.type, enabled=False):  # the logarithm needs sums in full precision
            shares = logits.softmax(dim=2)[:, :, :-1]
            scores = torch.einsum("nqk,nqhw->nkhw", shares, resize(masks.float(), (height, width)).sigmoid())
            return scores.clamp_min(FAINTEST).log() + self.shift.float()[:, None, None]


def build(backbone: Backbone, classes: int, dropout: float = 0.0) -> Segmenter:
    """Compose Mask2Former.

    Args:
        backbone: `transformers`, with a description of type mask2former.
        classes: number of logits.
        dropout: of the queries, before their classes.

    Raises:
        MaskwrightError: another backbone, or a description that no network can be built from.
    """
    settings = described(backbone, "mask2former")
    head = QueryHead(settings.hidden_dim, classes, settings.common_stride, dropout)
    with explain_build_errors("mask2former", "mask2former"):
        decoder = Mask2FormerDecoder(backbone, settings)
    return Segmenter(backbone, decoder, head, classes)
