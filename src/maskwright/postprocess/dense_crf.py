"""The dense CRF as a postprocessor: `postprocess.crf` with settings, and `postprocess.search` to fit them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.plan import CrfPlan
from maskwright.ops.tiles import UNCUT, Cuts
from maskwright.postprocess.crf import axes_of, refine
from maskwright.postprocess.of_classes import OfClasses

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

WHOLE = 1 << 21  # pixels: an HD frame; the CRF holds 2 GB then on a smooth image, 6 GB on pure noise
CLASSES, CHANNELS = 21, 3  # for which that holds


class DenseCrf(OfClasses):
    """The dense CRF; see `postprocess.base.Postprocessor`. Every pixel is joined to every other one of its piece."""

    label = "dense CRF"
    section = CrfPlan
    limits: Mapping[str, tuple[float, float]] = {
        "w1": (0.01, 100.0),
        "theta_beta": (1.0, 255.0),
        "w2": (0.01, 100.0),
        "theta_alpha": (1.0, 1000.0),
    }

    @property
    def reach(self) -> float:
        """Two standard deviations of the appearance kernel's position."""
        return 2 * float(self.settings.theta_alpha)

    def most_pixels(self, maps: int, channels: int) -> int:
        """Return the pixels of a piece: the lattice has a value a class at C + 3 corners of each pixel."""
        corners = max(axes_of(channels), CHANNELS) + 3
        return int(WHOLE * CLASSES / max(maps, CLASSES) * (CHANNELS + 3) / corners)

    def apply(self, maps: NDArray[np.float32], image: NDArray[np.uint8], _cuts: Cuts = UNCUT) -> NDArray[np.float32]:
        """Run the mean field on class probabilities (K, H, W)."""
        return refine(maps, image, self.settings)
