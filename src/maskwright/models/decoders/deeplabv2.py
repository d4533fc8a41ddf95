"""DeepLab v2: atrous spatial pyramid pooling by sums; the image is seen at three scales, and the largest score wins.

Chen, Papandreou, Kokkinos, Murphy, Yuille 2017 (first 2016), "DeepLab: Semantic Image Segmentation with Deep
Convolutional Nets, Atrous Convolution, and Fully Connected CRFs", section 3.2 (figure 7b, ASPP-L) and section 4.1.

    scores(x) = sum over rates r of fc8_r(fc7_r(fc6_r(x))), fc6_r a 3x3 convolution of rate r = 6, 12, 18, 24
    logits    = max over s of scores(image scaled by s), s = 0.5, 0.75, 1

On ResNet-101 a branch is one 3x3 convolution to the classes, as in the authors' published network:
`--set model.backbone=resnet101 --set model.options.direct=true`. During training the scores of each scale have their
own loss. The paper applies a dense CRF to the result (section 3.3): `--postprocess crf` when predicting.

Expected: 68.96 mIoU on PASCAL VOC 2012 val with VGG-16, one scale, and 71.57 with the CRF (their table 3, ASPP-L);
76.35 and 77.69 with ResNet-101, three scales and COCO (table 4).

Where we differ: `loss.auxiliary` weights the losses of the scales together, where the paper adds all with equal weight;
the learning rate is planned; for the smaller scales the image is resized to sizes that the backbone divides; on a
ResNet the first block of a dilated stage keeps the previous rate, as in torchvision, unless `multi_grid=[1]` gives it
the rate of the stage, as in ports of the authors' network; on VGG-16 the differences of deeplabv1 apply too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.core.errors import MaskwrightError
from maskwright.models.decoders.deeplabv1 import FieldsOfViewDecoder
from maskwright.models.heads.pixel import AtrousHead, Head, PixelHead
from maskwright.models.layers.blocks import height_width, resize
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from maskwright.models.backbones.base import Backbone


class LastLevel(Decoder):
    """Pass on the last level unchanged."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone.channels[-1], backbone.reductions[-1])

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride)."""
        return features[-1]


class MultiScaleSegmenter(Segmenter):
    """A segmenter that sees the image at several scales; each logit is the largest of all scales (section 3.2).

    The logits of each scale also count as auxiliary logits, after those of the auxiliary heads.

    Args:
        backbone, decoder, head, classes: as for `Segmenter`.
        scales: factors on the height and width of the image.
    """

    def __init__(self, backbone: Backbone, decoder: Decoder, head: Head, classes: int, scales: Sequence[float]) -> None:
        super().__init__(backbone, decoder, head, classes)
        self.scales = tuple(sorted(scales))

    @property
    def auxiliary_count(self) -> int:
        """Number of auxiliary logits: one for each auxiliary head, and one for each of several scales."""
        return len(self.aux) + (len(self.scales) if len(self.scales) > 1 else 0)

    def scores(self, x: Tensor, *, with_aux: bool) -> tuple[Tensor, list[Tensor]]:
        """Compute logits (N, K, h, w) from `x` (N, C, H, W); the auxiliary heads see the largest scale."""
        scores: list[Tensor] = []
        others: list[Tensor] = []
        for place, scale in enumerate(self.scales, start=1):
            main, others = super().scores(self._scaled(x, scale), with_aux=with_aux and place == len(self.scales))
            scores.append(main)
        if len(scores) == 1:
            return scores[0], others
        size = height_width(scores[-1])
        fused = torch.stack([resize(score, size) for score in scores]).amax(dim=0)
        return fused, others + scores if with_aux else others

    def _scaled(self, x: Tensor, scale: float) -> Tensor:
        """Resize `x` (N, C, H, W) to `scale` times its size, rounded up to a size that the backbone divides."""
        if scale == 1:
            return x
        height, width = (self.backbone.fitted(max(int(side * scale + 0.5), 1)) for side in height_width(x))
        return resize(x, (height, width))


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    width: int = 0,
    rates: Sequence[int] = (6, 12, 18, 24),
    scales: Sequence[float] = (0.5, 0.75, 1.0),
    direct: bool = False,
) -> Segmenter:
    """Compose DeepLab v2.

    Args:
        backbone: image to pyramid, dilated to output stride 8.
        classes: number of logits.
        dropout: before the last layer.
        width: channels of fc6 and fc7 of each branch; 0 for twice those of the last level, which is 1024 on VGG-16.
            With `direct` it stays 0.
        rates: dilation of each branch.
        scales: factors on the image size; [1.0] alone costs about half.
        direct: omit fc6 and fc7: one convolution from the last level to the classes, as on ResNet-101.

    Raises:
        MaskwrightError: an invalid option.
    """
    if width < 0 or not rates or min(rates) < 1:
        raise MaskwrightError(f"deeplabv2: width {width} must be 0 or more, and rates {list(rates)} 1 or more each")
    if direct and width:
        raise MaskwrightError(
            f"deeplabv2: width is {width}, but direct=true omits fc6 and fc7, whose width it is: leave width at 0, or "
            "set direct=false"
        )
    if not scales or min(scales) < 0.1 or max(scales) > 2:
        raise MaskwrightError(f"deeplabv2: scales {list(scales)} must be 0.1 to 2 each, and at least one is needed")
    decoder: Decoder
    head: Head
    if direct:
        decoder = LastLevel(backbone)
        head = AtrousHead(decoder.channels, classes, rates, dropout)
    else:
        decoder = FieldsOfViewDecoder(backbone, width, rates)
        head = PixelHead(decoder.channels, classes, dropout)
    return MultiScaleSegmenter(backbone, decoder, head, classes, scales)
