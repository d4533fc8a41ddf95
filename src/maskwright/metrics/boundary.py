"""Boundary IoU (Cheng et al. 2021): IoU of the bands along the edges, which a large object cannot hide its edge from.

One pass for all classes of a label map. Where we differ from the authors' code, which takes one object at a time: not
at all in the band of one class; the sums run over all images before the division, as for the IoU.
"""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.ops.distance import band

if TYPE_CHECKING:
    from numpy.typing import NDArray


def band_width(size: tuple[int, int], share: float = 0.02) -> int:
    """Return the width in pixels of the band in an image of `size` (H, W): a share of the diagonal, at least 1."""
    return max(1, round(share * hypot(*size)))


def boundary_counts(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int, width: int | None = None
) -> NDArray[np.int64]:
    """Count the pixels in the bands.

    Args:
        prediction: class indices or `IGNORE` (H, W); what is `IGNORE` in the truth has to be here too.
        truth: class indices or `IGNORE` (H, W).
        classes: K.
        width: of the band in pixels; by default 2 % of the diagonal.

    Returns:
        (K, 3): pixels in both bands, in the prediction's, in the truth's. `confusion.iou` of them is the boundary IoU.
    """
    width = band_width((truth.shape[0], truth.shape[1])) if width is None else width
    predicted = np.where(band(prediction, width), prediction, IGNORE)
    true = np.where(band(truth, width), truth, IGNORE)
    both = true[true == predicted]
    return np.stack([np.bincount(part.ravel(), minlength=256)[:classes] for part in (both, predicted, true)], -1)
