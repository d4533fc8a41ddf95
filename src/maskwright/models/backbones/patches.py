"""A backbone without weights: the image cut into patches, the pixels of each stacked as channels.

For models that learn directly from pixels, such as ReNet (Visin et al. 2015: the image is split into non-overlapping
patches, each flattened to a vector).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


class Patches(Backbone):
    """One level: (N, C * side ** 2, H / side, W / side)."""

    settled = True

    def __init__(self, in_channels: int, side: int) -> None:
        super().__init__(in_channels, [in_channels * side**2], [side])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the patches of `x` (N, C, H, W), channels in the order (c, row, column)."""
        return [F.pixel_unshuffle(x, self.reductions[0])]


def build(in_channels: int, weights: Path | None = None, *, patch: int = 2) -> Patches:
    """Build the patches backbone.

    Args:
        in_channels: of the image.
        weights: must be None.
        patch: side of a patch in pixels, and the stride of the only level: 1, 2, 4, 8 or 16.

    Raises:
        MaskwrightError: another side, or weights, of which it has none.
    """
    if patch not in {1, 2, 4, 8, 16}:
        raise MaskwrightError(f"patches: patch is {patch}, but must be 1, 2, 4, 8 or 16")
    if weights is not None:
        raise MaskwrightError(
            f"{weights} cannot be loaded: the backbone patches has no weights. Leave the file out, or give a bundle of "
            "a whole model"
        )
    return Patches(in_channels, patch)
