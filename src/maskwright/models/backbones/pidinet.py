"""PiDiNet's backbone: pixel differences instead of pixels, one filter a channel; light, and needs no pretraining.

Su, Liu, Yu, Hu, Liao, Tian, Pietikainen, Liu 2021, "Pixel Difference Networks for Efficient Edge Detection", section
3.2 and figure 5: four stages of four residual blocks with C, 2C, 4C and 4C channels, and max pooling between them. A
block is a depthwise convolution, ReLU, and a 1x1 convolution, added to its input, or after pooling to a 1x1 convolution
of it. The depthwise convolutions take central, angular and radial differences and plain pixels in turn ([CARV] x 4);
the first block is the first layer, of central differences of the image.

Where we differ: batch normalisation after the 1x1 convolutions and the first layer, because we train on crops of one
size, and it trains faster; half the paper's width by default.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone, load_backbone
from maskwright.models.layers.blocks import ConvNormAct, initialise
from maskwright.models.layers.differences import DifferenceConv, Kind
from maskwright.models.layers.norm import BatchNorm2d

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FACTORS = (1, 2, 4, 4)
KINDS: tuple[Kind, ...] = ("central", "angular", "radial", "plain")


class DifferenceBlock(nn.Module):
    """A depthwise convolution of differences, ReLU, a 1x1 convolution, and a shortcut.

    Args:
        inputs, outputs: channels.
        kind: of the differences.
        halve: pool the map first.
    """

    def __init__(self, inputs: int, outputs: int, kind: Kind, *, halve: bool) -> None:
        super().__init__()
        self.pooling = nn.MaxPool2d(2) if halve else nn.Identity()
        self.differences = DifferenceConv(inputs, inputs, kind, each=True)
        self.act = nn.ReLU(inplace=True)
        self.mix = ConvNormAct(inputs, outputs, 1, act=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (N, outputs, H, W), of half the size if the block pools, for `x` (N, inputs, H, W)."""
        x = self.pooling(x)
        return cast("Tensor", self.shortcut(x) + self.mix(self.act(self.differences(x))))


class PiDiNet(Backbone):
    """The first layer and the stages; see `build`."""

    settled = True  # its strides are poolings

    def __init__(self, in_channels: int, base: int, depths: Sequence[int]) -> None:
        widths = [base * factor for factor in FACTORS]
        super().__init__(in_channels, widths, [2**stage for stage in range(len(widths))])
        kinds = cycle(KINDS)
        first = nn.Sequential(DifferenceConv(in_channels, base, next(kinds)), BatchNorm2d(base))
        inputs = base
        self.stages = nn.ModuleList()
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks: list[nn.Module] = [] if stage else [first]
            for place in range(len(blocks), depth):
                blocks.append(DifferenceBlock(inputs, width, next(kinds), halve=stage > 0 and place == 0))
                inputs = width
            self.stages.append(nn.Sequential(*blocks))
        initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W), strides 1, 2, 4 and 8."""
        return self.run_stages(self.stages, x)


def build(
    in_channels: int, weights: Path | None = None, *, base: int = 30, depths: Sequence[int] = (4, 4, 4, 4)
) -> PiDiNet:
    """Build PiDiNet's backbone.

    Args:
        in_channels: of the image.
        weights: safetensors file with this backbone's weights to start from.
        base: channels of the first stage: 60 in the paper, 30 in its small and 20 in its tiny network.
        depths: blocks of each of the four stages; the first layer counts as one.

    Raises:
        MaskwrightError: an invalid setting, or weights that do not fit.
    """
    if base < 1 or len(depths) != len(FACTORS) or min(depths) < 1:
        raise MaskwrightError(
            f"pidinet: base is {base} and depths {list(depths)}: base must be 1 or more, and depths four numbers, 1 or "
            "more each"
        )
    backbone = PiDiNet(in_channels, base, depths)
    if weights is not None:
        load_backbone(backbone, weights)
    return backbone
