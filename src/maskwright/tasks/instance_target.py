"""What a network learns about objects: how deep a pixel lies in its object, and where objects meet. Knows no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.ops.instance_maps import pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH = 2
"""A border pixel has pixels of two objects at most this far away, in pixels along both axes."""


def object_values(ids: NDArray[np.int32], unknown: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Compute the measured quantities of an instance map.

    Args:
        ids: (H, W), 0 for background.
        unknown: (H, W), pixels of which the annotation says nothing.

    Returns:
        (2, H, W): `depths` and `borders`, NaN where unknown.
    """
    values = np.stack([depths(ids), borders(ids).astype(np.float32)])
    values[:, unknown] = np.nan
    return values


def depths(ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the distance of each pixel to the outside of its own object, as a share of the object's largest.

    1 in the middle of every object, however large, and towards 0 at its edge; 0 in the background. The edge of the
    image is no edge of an object, since the object continues beyond it.
    """
    found = np.zeros(ids.shape, np.float32)
    for _, top, left, mask in pieces(ids):
        beyond = [
            (0 if start == 0 else 1, 0 if start + length == whole else 1)
            for start, length, whole in zip((top, left), mask.shape, ids.shape, strict=True)
        ]
        padded = np.pad(mask, beyond).astype(np.uint8)
        distance = np.ones(padded.shape)
        if not padded.all():
            # OpenCV's roots differ in the last bit with the place in memory; their squares are whole numbers.
            distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
            distance = np.sqrt(np.rint(np.square(distance)))
        rows, columns = (slice(before, before + length) for (before, _), length in zip(beyond, mask.shape, strict=True))
        place = found[top : top + mask.shape[0], left : left + mask.shape[1]]
        np.copyto(place, distance[rows, columns] / distance.max(), where=mask)
    return found


def borders(ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell which pixels (H, W) lie where objects meet: pixels of two objects are at most `REACH` away."""
    if not ids.size:
        return np.zeros(ids.shape, bool)
    window = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    most = ids.max(initial=0) + 1
    plane = ids.astype(np.float32 if most <= 1 << 24 else np.float64)  # OpenCV takes no int32 here
    highest = cv2.dilate(plane, window)
    lowest = most - cv2.dilate(np.where(ids > 0, most - plane, plane.dtype.type(0)), window)
    return (highest > 0) & (highest != lowest)
