"""Superpixels as a postprocessor: each probability moves towards the mean of its superpixel.

So a label map has fewer specks, and its borders follow those of superpixels, which follow the image. The time hardly
depends on the number of classes, unlike that of the dense CRF; but a superpixel sees nothing beyond itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.classic.superpixels import superpixels
from maskwright.core.plan import SuperpixelsPlan
from maskwright.ops.tiles import UNCUT, Cuts
from maskwright.postprocess.of_classes import OfClasses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

WHOLE = 1 << 21  # pixels: an HD frame
PLANES = 24  # classes and channels together for which that fits into 1 GB


class SuperpixelFilter(OfClasses):
    """Mean probabilities of superpixels; see `postprocess.base.Postprocessor`."""

    label = "superpixel filter"
    section = SuperpixelsPlan
    limits: Mapping[str, tuple[float, float]] = {"side": (4.0, 200.0), "share": (0.05, 1.0)}

    @property
    def reach(self) -> float:
        """Two sides of a superpixel: few are longer."""
        return 2 * float(self.settings.side)

    def most_pixels(self, maps: int, channels: int) -> int:
        """Return the pixels of a piece: each has a value a class and a channel."""
        return int(WHOLE * PLANES / max(maps + channels, PLANES))

    def apply(self, maps: NDArray[np.float32], image: NDArray[np.uint8], _cuts: Cuts = UNCUT) -> NDArray[np.float32]:
        """Average class probabilities (K, H, W) within the superpixels of the image."""
        height, width = image.shape[:2]
        regions = superpixels(image, count=max(round(height * width / self.settings.side**2), 1))
        sizes = np.bincount(regions.ravel())
        means = np.stack([np.bincount(regions.ravel(), plane.ravel()) / sizes for plane in maps])
        share = np.float32(self.settings.share)
        return (1 - share) * maps + (share * means).astype(np.float32)[:, regions]
