"""SwiftNet: a light decoder on any backbone, for real-time use; our default.

Orsic, Kreso, Bevandic, Segvic 2019, "In Defense of Pre-trained ImageNet Architectures for Real-Time Semantic
Segmentation of Road-Driving Images", the single-scale model: spatial pyramid pooling on the coarsest level, then
upsampling modules that only add a 1x1 lateral connection and blend with one 3x3 convolution.

Expected: 75.5 mIoU on Cityscapes test with a ResNet-18 pretrained on ImageNet (their abstract), at stride 4, with 11.8
million weights and 104 billion multiply-adds at 1024x2048; ours with `width=128` has 11.8 and 103.6.

Where we differ: convolution-norm-ReLU instead of norm-ReLU-convolution; lateral connections from the backbone's outputs
after the ReLU instead of before it; the finest stride is an option, and below stride 4 the decoder is half as wide,
because there a channel costs four times as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.blocks import ConvNormAct, height_width, initialise, resize
from maskwright.models.layers.pyramid import PyramidPooling
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone


class SwiftNetDecoder(Decoder):
    """Spatial pyramid pooling, then one upsampling module for each finer level.

    Args:
        backbone: its levels are the input.
        width: channels of the decoder.
        finest: smallest stride of the decoder.
        grids: of the spatial pyramid pooling.
    """

    def __init__(self, backbone: Backbone, width: int, finest: int, grids: Sequence[int]) -> None:
        levels = pyramid_levels(backbone.reductions, finest)
        widths = [width if backbone.reductions[level] >= 4 else max(width // 2, 1) for level in levels]
        super().__init__(widths[0], backbone.reductions[levels[0]])
        self.levels = levels
        self.bottleneck = ConvNormAct(backbone.channels[self.levels[-1]], width, 1)
        self.pooling = PyramidPooling(width, max(width // len(grids), 1), grids, follow_shape=True)
        self.fuse = ConvNormAct(self.pooling.channels, width, 1)
        rungs = list(zip(levels, widths, [*widths[1:], width], strict=True))[-2::-1]
        self.laterals = nn.ModuleList(
            ConvNormAct(backbone.channels[level], out, 1, act=False) for level, out, _ in rungs
        )
        self.narrowings = nn.ModuleList(
            nn.Identity() if out == before else nn.Conv2d(before, out, 1, bias=False) for _, out, before in rungs
        )
        self.blends = nn.ModuleList(ConvNormAct(out, out) for _, out, _ in rungs)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, width, H / stride, W / stride)."""
        x = cast("Tensor", self.fuse(self.pooling(self.bottleneck(features[self.levels[-1]]))))
        modules = zip(self.levels[-2::-1], self.laterals, self.narrowings, self.blends, strict=True)
        for level, lateral, narrowing, blend in modules:
            skip = cast("Tensor", lateral(features[level]))
            x = blend(resize(narrowing(x), height_width(skip)) + skip)
        return x


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    width: int = 64,
    finest: int = 4,
    grids: Sequence[int] = (8, 4, 2, 1),
) -> Segmenter:
    """Compose SwiftNet.

    Args:
        backbone: image to pyramid.
        classes: number of logits.
        dropout: before the last layer.
        width: channels of the decoder (128 in the paper).
        finest: smallest stride of the decoder, and the native stride; the backbone's finest stride if that is larger.
        grids: cells of the spatial pyramid pooling.

    Raises:
        MaskwrightError: an invalid option.
    """
    if width < 1 or finest < 1 or not grids or min(grids) < 1:
        raise MaskwrightError(
            f"swiftnet: width {width}, finest {finest} and grids {list(grids)} must all be 1 or more, and at least one "
            "grid is needed"
        )
    decoder = SwiftNetDecoder(backbone, width, finest, grids)
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout), classes)
