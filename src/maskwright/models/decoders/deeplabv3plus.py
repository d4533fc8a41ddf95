"""DeepLabV3+: atrous spatial pyramid pooling, and a small decoder that restores the edges.

Chen, Zhu, Papandreou, Schroff, Adam 2018, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation", section 3.1 (figure 2) and section 4.1: low-level features reduced to 48 channels, then two 3x3
convolutions of 256. The encoder is DeepLabV3, with its rates: 6, 12, 18 at output stride 16, doubled at 8.

Expected: 78.85 mIoU on PASCAL VOC 2012 val with a ResNet-101 at output stride 16 (their table 3).

Where we differ: any backbone, dilated as `backbones.dilation` describes, and without the multi-grid of DeepLabV3 unless
`multi_grid=[1, 2, 4]` is set; at output stride 32, which the paper does not cover, the rates are halved. `layout=smp`
arranges the decoder as in segmentation_models.pytorch: one separable convolution after ASPP and one after the
concatenation, no norm between their halves, corners aligned when resizing. Our tests load its weights into this network
and compare the outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.aspp import AtrousPyramid
from maskwright.models.layers.blocks import ConvNormAct, SeparableConv, height_width, initialise, resize
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone

LOW_STRIDE = 4
LAYOUTS = ("paper", "smp")


class DeepLabV3PlusDecoder(Decoder):
    """ASPP on the last level, concatenated with a low one.

    Args:
        backbone: its last level and one low level are the input.
        width: channels of ASPP and of the decoder.
        low_width: channels that the low level is reduced to.
        rates: of ASPP at output stride 16.
        layout: in `LAYOUTS`.
    """

    def __init__(self, backbone: Backbone, width: int, low_width: int, rates: Sequence[int], layout: str) -> None:
        low = pyramid_levels(backbone.reductions, LOW_STRIDE)[0]
        last = len(backbone.reductions) - 1
        stride = backbone.reductions[last]
        if low == last:
            raise MaskwrightError(
                f"deeplabv3plus needs a level finer than the last, but this backbone has only stride {stride}: "
                "choose a backbone with a pyramid, such as resnet18"
            )
        super().__init__(width, backbone.reductions[low])
        self.low = low
        self.align_corners = layout == "smp"
        between = layout == "paper"
        self.pooling = AtrousPyramid(backbone.channels[last], width, rates, stride, separable=True, between=between)
        self.refine = nn.Identity() if between else SeparableConv(width, width, between=False)
        self.reduce = ConvNormAct(backbone.channels[low], low_width, 1)
        joined = [SeparableConv(width + low_width, width, between=between)]
        self.blend = nn.Sequential(*joined, *([SeparableConv(width, width)] if between else []))
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, width, H / stride, W / stride)."""
        low = cast("Tensor", self.reduce(features[self.low]))
        context = cast("Tensor", self.refine(self.pooling(features[-1])))
        context = resize(context, height_width(low), align_corners=self.align_corners)
        return cast("Tensor", self.blend(torch.cat([context, low], dim=1)))

    def adapt(self, reductions: Sequence[int]) -> None:
        """Adjust the rates to a changed output stride."""
        self.pooling.fit(reductions[-1])


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    width: int = 256,
    low_width: int = 48,
    rates: Sequence[int] = (6, 12, 18),
    layout: str = "paper",
) -> Segmenter:
    """Compose DeepLabV3+.

    Args:
        backbone: image to pyramid, dilated to output stride 16 or 8.
        classes: number of logits.
        dropout: before the last layer.
        width: channels of ASPP and of the decoder.
        low_width: channels that the level at stride 4 is reduced to.
        rates: dilations of ASPP at output stride 16; adjusted to the backbone's.
        layout: `paper`, or `smp` for the arrangement of segmentation_models.pytorch.

    Raises:
        MaskwrightError: an invalid option, or a backbone without a pyramid.
    """
    if min(width, low_width, *rates, 1) < 1:
        raise MaskwrightError(
            f"deeplabv3plus: width {width}, low_width {low_width} and rates {list(rates)} must all be 1 or more"
        )
    if layout not in LAYOUTS:
        raise MaskwrightError(f"deeplabv3plus: layout is {layout!r}, but must be one of {', '.join(LAYOUTS)}")
    decoder = DeepLabV3PlusDecoder(backbone, width, low_width, rates, layout)
    return Segmenter(backbone, decoder, PixelHead(width, classes, dropout), classes)
