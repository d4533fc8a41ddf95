"""Crisp edges on any backbone: from coarse to fine, with a side output at every scale.

Wang, Zhao, Huang 2017, "Deep Crisp Boundaries": a refinement path goes from the coarsest level down; at each step it
enlarges what it has, adds a lateral 1x1 convolution of the next finer level, and blends both with a 3x3 convolution, so
that edges found by their meaning are placed by fine levels. Side outputs and their fusion are those of Xie and Tu 2015,
"Holistically-Nested Edge Detection".

Where we differ: side outputs come from the refinement path, not from the backbone; enlargement is bilinear instead of
sub-pixel convolution; addition instead of concatenation; below stride 4 the path is half as wide, because there a
channel costs four times as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.heads.sides import FusedHead, side_outputs
from maskwright.models.layers.blocks import ConvNormAct, height_width, initialise, resize
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from maskwright.models.backbones.base import Backbone


class CrispDecoder(Decoder):
    """The refinement path, and logits of each of its maps.

    Args:
        backbone: its levels are the input.
        classes: number of logits.
        width: channels of the path, half of it below stride 4.
        finest: smallest stride.
        dropout: before each side output.
    """

    def __init__(self, backbone: Backbone, classes: int, width: int, finest: int, dropout: float) -> None:
        levels = pyramid_levels(backbone.reductions, finest)
        strides = [backbone.reductions[level] for level in levels]
        super().__init__(classes * len(strides), strides[0])
        self.levels = levels
        widths = [width if stride >= 4 else max(width // 2, 1) for stride in strides]
        inputs = [backbone.channels[level] for level in levels]
        self.laterals = nn.ModuleList(
            ConvNormAct(before, after, 1, act=False) for before, after in zip(inputs, widths, strict=True)
        )
        self.narrowings = nn.ModuleList(
            nn.Identity() if coarse == fine else nn.Conv2d(coarse, fine, 1, bias=False)
            for fine, coarse in zip(widths, [*widths[1:], widths[-1]], strict=True)
        )
        self.blends = nn.ModuleList(ConvNormAct(each, each) for each in widths)
        initialise(self)
        self.scores = nn.ModuleList(PixelHead(each, classes, dropout) for each in widths)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the side outputs (N, K, H / s_i, W / s_i), finest first; the same again for their auxiliary heads."""
        x: Tensor | None = None
        sides: list[Tensor] = []
        steps = zip(self.levels, self.laterals, self.narrowings, self.blends, self.scores, strict=True)
        for level, lateral, narrowing, blend, score in reversed(list(steps)):
            skip = cast("Tensor", lateral(features[level]))
            x = blend(skip if x is None else resize(narrowing(x), height_width(skip)) + skip)
            sides.insert(0, score(x))
        return sides, sides


def build(backbone: Backbone, classes: int, dropout: float = 0.0, *, width: int = 32, finest: int = 2) -> Segmenter:
    """Compose the network.

    Args:
        backbone: image to pyramid.
        classes: number of logits.
        dropout: before each side output.
        width: channels of the refinement path.
        finest: smallest stride of the side outputs, and the native stride; the backbone's finest if that is larger.

    Raises:
        MaskwrightError: an invalid option.
    """
    if width < 1 or finest < 1:
        raise MaskwrightError(f"crisp: width {width} and finest {finest} must both be 1 or more")
    decoder = CrispDecoder(backbone, classes, width, finest, dropout)
    count = len(decoder.levels)
    return Segmenter(backbone, decoder, FusedHead(count, classes), classes, side_outputs(backbone, count))
