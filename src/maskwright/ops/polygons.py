"""Lossless conversion of masks to polygons with holes, and the part of a ring in a box. Knows no file and no class.

Polygons of masks run along the edges of pixels, not through their centres: pixel (row, column) is the unit square from
(column, row) to (column + 1, row + 1), in x, y. So a ring encloses exactly the area of the pixels, and painting it
restores the mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Polygon:
    """One connected region (pixels that touch at a corner are connected).

    Attributes:
        outer: the outer ring (n, 2) of x, y; the last point connects to the first.
        holes: the rings (n, 2) of the holes.
    """

    outer: NDArray[np.int32]
    holes: tuple[NDArray[np.int32], ...] = ()

    @property
    def rings(self) -> tuple[NDArray[np.int32], ...]:
        """All rings, the outer one first."""
        return (self.outer, *self.holes)

    @property
    def area(self) -> float:
        """Area in pixels; for a polygon from `from_mask`, exactly its number of pixels."""
        return _ring_area(self.outer) - sum(_ring_area(hole) for hole in self.holes)


def from_mask(mask: NDArray[Any]) -> list[Polygon]:
    """Outline the connected regions of a mask (H, W), in which every value but 0 is inside.

    OpenCV traces the centres of border pixels. In a mask of twice the size, each such centre is a quarter pixel inside
    a corner of the original pixel, so that rounding moves it to the corner.

    Returns:
        One polygon per region; its area is the number of its pixels.
    """
    double = np.repeat(np.repeat((mask != 0).astype(np.uint8), 2, axis=0), 2, axis=1)
    contours, hierarchy = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if hierarchy is None:
        return []
    parents = hierarchy.reshape(-1, 4)[:, 3].tolist()
    holes: dict[int, list[NDArray[np.int32]]] = {index: [] for index, parent in enumerate(parents) if parent < 0}
    for contour, parent in zip(contours, parents, strict=True):
        if parent >= 0:
            holes[parent].append(_corners(contour))
    return [Polygon(_corners(contours[index]), tuple(rings)) for index, rings in holes.items()]


def _corners(contour: NDArray[np.int32]) -> NDArray[np.int32]:
    """Move the border (n, 1, 2) of the doubled mask to pixel corners (m, 2), and keep the points where it turns."""
    ring = (contour.reshape(-1, 2) + 1) // 2
    ring = ring[np.any(ring != np.roll(ring, 1, axis=0), axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]].astype(np.int32)


def _ring_area(ring: NDArray[np.int32]) -> float:
    x, y = ring[:, 0].astype(np.float64), ring[:, 1].astype(np.float64)
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def within(ring: NDArray[np.float64], box: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Cut a ring (n, 2) of x, y off at the sides of a box (left, top, right, bottom).

    Sutherland and Hodgman 1974, "Reentrant Polygon Clipping": one side after the other. What lies inside is enclosed as
    before; parts that were connected outside stay connected by lines along the sides, which enclose nothing.

    Returns:
        (m, 2), empty if nothing is inside.
    """
    for axis, limit, sign in ((0, box[0], -1), (1, box[1], -1), (0, box[2], 1), (1, box[3], 1)):
        inside = sign * ring[:, axis] <= sign * limit
        following = np.roll(ring, -1, axis=0)
        leaves = inside != np.roll(inside, -1)
        steps = following - ring
        share = (limit - ring[:, axis]) / np.where(leaves, steps[:, axis], 1)
        crossings = ring + share[:, None] * steps
        crossings[:, axis] = limit
        corners = np.stack([ring, crossings], axis=1).reshape(-1, 2)
        ring = corners[np.stack([inside, leaves], axis=1).ravel()]
    return ring
