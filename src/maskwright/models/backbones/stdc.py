"""STDC: blocks that concatenate ever narrower dense convolutions, which are fast on a CPU for their multiply-adds.

Fan, Lai, Huang, Wei, Chai, Luo, Wei 2021, "Rethinking BiSeNet For Real-time Semantic Segmentation", the encoding
network. A block of M outputs is

    x1 = conv1x1(x)    x2 = conv3x3(x1)    x3 = conv3x3(x2)    x4 = conv3x3(x3)      each with normalisation and ReLU
    block(x) = [x1, x2, x3, x4], of M/2, M/4, M/8 and M/8 channels

and halves the map, in some blocks, before x2: by a depthwise 3x3 of stride 2 before x2, and a 3x3 average for x1. Two
3x3 convolutions of stride 2 come first (32 and 64 channels), then stages of 256, 512 and 1024 channels.

Expected: with the authors' classifier 8.44 million parameters and 813 million multiply-adds at 224x224 for STDC1, 12.47
and 1446 for STDC2; our tests count them.

Where we differ: no classifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone, load_backbone
from maskwright.models.layers.blocks import ConvNormAct, initialise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NARROWEST = 8  # the parts of a block are a half, a quarter and two eighths of its channels


class STDCBlock(nn.Module):
    """Four convolutions in a row whose results are concatenated.

    Args:
        inputs, outputs: channels; `outputs` is a multiple of 8.
        stride: 1 or 2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        half, quarter, eighth = outputs // 2, outputs // 4, outputs // 8
        self.first = ConvNormAct(inputs, half, 1)
        self.down = ConvNormAct(half, half, stride=2, groups=half, act=False) if stride == 2 else nn.Identity()
        self.skip = nn.AvgPool2d(3, 2, 1) if stride == 2 else nn.Identity()
        self.rest = nn.ModuleList(
            [ConvNormAct(half, quarter), ConvNormAct(quarter, eighth), ConvNormAct(eighth, eighth)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (N, outputs, ceil(H / stride), ceil(W / stride)) for `x` (N, inputs, H, W)."""
        first = self.first(x)
        parts, x = [self.skip(first)], self.down(first)
        for convolution in self.rest:
            x = convolution(x)
            parts.append(x)
        return torch.cat(parts, dim=1)


class STDC(Backbone):
    """Two convolutions, each a level, and three stages; see `build`."""

    def __init__(self, in_channels: int, base: int, depths: Sequence[int]) -> None:
        widths = [base * 4 * 2**index for index in range(len(depths))]
        super().__init__(
            in_channels, [base // 2, base, *widths], [2 ** (index + 1) for index in range(len(depths) + 2)]
        )
        self.stem = nn.ModuleList(
            [ConvNormAct(in_channels, base // 2, stride=2), ConvNormAct(base // 2, base, stride=2)]
        )
        self.stages = nn.ModuleList()
        inputs = base
        for width, depth in zip(widths, depths, strict=True):
            rest = [STDCBlock(width, width) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(STDCBlock(inputs, width, 2), *rest))
            inputs = width
        initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W), strides 2, 4, 8, 16 and 32."""
        return self.run_stages((*self.stem, *self.stages), x)


def build(in_channels: int, weights: Path | None = None, *, base: int = 64, repeats: Sequence[int] = (2, 2, 2)) -> STDC:
    """Build an STDC network.

    Args:
        in_channels: of the image.
        weights: safetensors file with this backbone's weights to start from.
        base: channels at stride 4; the stages have 4, 8 and 16 times as many.
        repeats: blocks of each stage; 4, 5, 3 for STDC2.

    Raises:
        MaskwrightError: an invalid setting, or weights that do not fit.
    """
    if base < 2 or base % (NARROWEST // 4):
        raise MaskwrightError(f"stdc: base is {base}, but must be an even number, 2 or more")
    if not repeats or min(repeats) < 1:
        raise MaskwrightError(f"stdc: repeats {list(repeats)} must be 1 or more each, and at least one is needed")
    backbone = STDC(in_channels, base, repeats)
    if weights is not None:
        load_backbone(backbone, weights)
    return backbone
