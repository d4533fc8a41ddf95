"""Masks of fractions from 0 to 1: probabilities of one class, as networks and resizing write them. Opens no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEAR = 0.1
# In a mask of one class so many pixels are near 0 or 1, unlike in a map of heights, ...
_SURE = 0.8
# ... and at most so many of the others lie in areas of one value, as a class that is saved as 0.5 does.
_FLAT = 0.02


def above_half(values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return where floats (H, W) are 0.5 or more; None if they are no probabilities of one class."""
    if not (values.min() >= 0 and values.max() <= 1):
        return None
    values = values.astype(np.float32)
    unsure = (values > _NEAR) & (values < 1 - _NEAR)
    kernel = np.ones((3, 3), np.uint8)
    flat = unsure & (cv2.erode(values, kernel) == cv2.dilate(values, kernel))
    drawn = np.count_nonzero(unsure) <= (1 - _SURE) * values.size
    return values >= 0.5 if drawn and np.count_nonzero(flat) <= _FLAT * np.count_nonzero(unsure) else None
