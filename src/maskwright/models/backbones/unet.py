"""The contracting path of the original U-Net: two 3x3 convolutions per level, 2x2 max pooling between. Knows no task.

Ronneberger, Fischer, Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation", section 2
(figure 1, left): channels double at each of four poolings, 64 to 1024; convolutions without padding and without
normalisation, each followed by a ReLU; weights drawn with standard deviation sqrt(2 / N), N being the number of inputs
of a neuron (section 3).

Where we differ: padding is on unless `valid` is set; the drop-out layers "at the end of the contracting path" (section
3.1) are off unless `drop` is given, and follow its two deepest levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone, load_backbone
from maskwright.models.layers.blocks import DoubleConv, initialise

if TYPE_CHECKING:
    from pathlib import Path


class ContractingPath(Backbone):
    """Double convolutions with pooling between them; see `build` for the settings."""

    def __init__(self, in_channels: int, base: int, levels: int, *, norm: bool, valid: bool, drop: float) -> None:
        channels = [base * 2**level for level in range(levels)]
        super().__init__(in_channels, channels, [2**level for level in range(levels)])
        self.normalised, self.valid = norm, valid
        inputs = [in_channels, *channels]
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Identity() if level == 0 else nn.MaxPool2d(2),
                DoubleConv(inputs[level], channels[level], norm=norm, valid=valid),
                nn.Dropout(drop if level >= levels - 2 else 0.0),
            )
            for level in range(levels)
        )
        initialise(self, "fan_in")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W); with `valid`, `lengths` gives the sides of each level."""
        return self.run_stages(self.stages, x)

    def fitted(self, length: int) -> int:
        """Return the smallest side, `length` or more, for which every pooling sees an even map (section 2, end)."""
        if not self.valid:
            return super().fitted(length)
        smallest = 1
        for _ in self.reductions[1:]:
            smallest = 2 * (smallest + 4)
        smallest += 4
        return smallest + -(-max(length - smallest, 0) // self.reductions[-1]) * self.reductions[-1]

    def lengths(self, length: int) -> list[int]:
        """Return the side of each level, for a fitted one of the image; without padding, each level loses 4."""
        if not self.valid:
            return super().lengths(length)
        sides = [length - 4]
        for _ in self.reductions[1:]:
            sides.append(sides[-1] // 2 - 4)
        return sides


def build(
    in_channels: int,
    weights: Path | None = None,
    *,
    base: int = 64,
    levels: int = 5,
    norm: bool = False,
    valid: bool = False,
    drop: float = 0.0,
) -> ContractingPath:
    """Build the contracting path.

    Args:
        in_channels: of the image.
        weights: safetensors file with this backbone's weights to start from.
        base: channels of the first level; they double at each further one.
        levels: number of levels of the pyramid, one more than the number of poolings.
        norm: batch normalisation after each convolution, and in U-Net's expansive path.
        valid: convolutions without padding, as in the paper; the segmenter then extends the image by reflection.
        drop: share of the values dropped after each of the two deepest levels.

    Raises:
        MaskwrightError: an invalid setting, or weights that do not fit.
    """
    if base < 1 or not 2 <= levels <= 8 or not 0 <= drop < 1:
        raise MaskwrightError(
            f"unet: base {base} must be 1 or more, levels {levels} from 2 to 8, and drop {drop:g} from 0 to below 1"
        )
    backbone = ContractingPath(in_channels, base, levels, norm=norm, valid=valid, drop=drop)
    if weights is not None:
        load_backbone(backbone, weights)
    return backbone
