"""Flip symmetry of masks: how similar they are to their mirror images, corrected for chance. Knows only grids.

For each image, take the difference D between its occupancy (the share of each cell of a coarse grid that each class
covers) and the flipped occupancy. The part of D that all images share is the systematic difference; the rest is the
chance position of objects. With n images the squared mean of D overestimates the systematic part by the variance of a
mean, by which two random halves of the images differ too, and which is subtracted:

    systematic = |mean D|^2 - (mean |D|^2 - |mean D|^2) / (n - 1)
    score = 1 - systematic / (mean |D|^2 - systematic + negligible), at least 0

so the score is 0 if the systematic difference is as large as the difference between single images, and 1 if there is
none. Randomly oriented cells score 1 whatever their number, a street scene 0.9 left to right and 0 upside down. The
same is computed for single objects in their bounding boxes, so that upright people count wherever they are.
Not detected: what a flip changes in the image alone (light from above, text).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

CELLS = 8
_FINE = 256
_NEGLIGIBLE = 0.05  # share of the difference of two unrelated grids below which a flip difference does not matter
_AXES = {"horizontal": -1, "vertical": -2}


def occupancy(label: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """Return the share of each cell that each class covers: (classes, CELLS, CELLS), of a label map (H, W)."""
    small = cv2.resize(label, (_FINE, _FINE), interpolation=cv2.INTER_NEAREST)
    side = _FINE // CELLS
    cell = np.arange(_FINE, dtype=np.int64) // side
    keys = (cell[:, None] * CELLS + cell) * 256 + small
    counts = np.bincount(keys.ravel(), minlength=CELLS * CELLS * 256).reshape(CELLS, CELLS, 256)
    return (np.moveaxis(counts[:, :, :classes], 2, 0) / side**2).astype(np.float32)


def box_grid(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the occupancy (1, CELLS, CELLS) of one object in its bounding box, from a mask (h, w) of 0 and 1."""
    return cv2.resize(mask.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)[None]


@dataclass(frozen=True)
class FlipDifference:
    """Flip differences of one image: the mean grid of its items, and sums over the single items.

    Attributes:
        grid: (K, CELLS, CELLS) mean over the items.
        items: number of grids in the mean.
        difference: sum over the items of |D|^2, by axis.
        structure: sum over the items of twice the squared deviation from the mean of the class: the expected |D|^2
            against an unrelated grid.
    """

    grid: NDArray[np.float32]
    items: int
    difference: dict[str, float]
    structure: float


def flip_difference(grids: NDArray[np.float32]) -> FlipDifference:
    """Summarise the grids (items, K, CELLS, CELLS) of one image."""
    flat = grids - grids.mean(axis=(2, 3), keepdims=True)
    difference = {name: float(((grids - np.flip(grids, axis)) ** 2).sum()) for name, axis in _AXES.items()}
    return FlipDifference(grids.mean(axis=0), len(grids), difference, 2 * float((flat**2).sum()))


class FlipMeter:
    """The systematic part of flip differences over many images, of whole scenes or of one class of objects."""

    def __init__(self) -> None:
        self.images = 0
        self.items = 0
        self._sum = {axis: np.zeros(1) for axis in _AXES}
        self._squares = dict.fromkeys(_AXES, 0.0)
        self._difference = dict.fromkeys(_AXES, 0.0)
        self._structure = 0.0

    def add(self, part: FlipDifference) -> None:
        """Add one image."""
        self.images += 1
        self.items += part.items
        self._structure += part.structure
        for name, axis in _AXES.items():
            difference = part.grid.astype(np.float64) - np.flip(part.grid, axis)
            self._sum[name] = self._sum[name] + difference
            self._squares[name] += float((difference**2).sum())
            self._difference[name] += part.difference[name]

    def systematic(self, axis: str) -> float:
        """Return the squared systematic difference, unbiased (so it may be below 0); needs two images."""
        mean = self._sum[axis] / self.images
        square = float((mean**2).sum())
        return square - (self._squares[axis] / self.images - square) / (self.images - 1)

    def apart(self, axis: str) -> float:
        """Return the squared difference between single items: the unsystematic part, plus the negligible one."""
        chance = self._difference[axis] / self.items - max(self.systematic(axis), 0.0)
        return max(chance, 0.0) + _NEGLIGIBLE * self._structure / self.items


def symmetry(meters: Iterable[FlipMeter], axis: str) -> float:
    """Return the flip symmetry 0..1 along `axis` (`horizontal` or `vertical`); 1 means no difference beyond chance.

    Meters of fewer than two images do not count; without any other meter the result is 1.
    """
    useful = [meter for meter in meters if meter.images > 1]
    apart = sum(meter.items * meter.apart(axis) for meter in useful)
    systematic = max(sum(meter.items * meter.systematic(axis) for meter in useful), 0.0)
    return max(0.0, 1 - systematic / apart) if apart else 1.0
