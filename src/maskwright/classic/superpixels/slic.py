"""SLIC: k-means on colour and place, each pixel among the nine nearest cells. Knows no file.

Achanta et al. 2012, "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods": D^2 = d_colour^2 +
(m / S)^2 d_place^2, with S the side of a cell and m in CIELAB units. Pieces that are cut off from the largest part of
their superpixel join a neighbour, so the number of superpixels is about the one asked for.

Where we differ: a pixel is compared with the centres of its own cell of the initial grid and of the eight around it,
so that each cell is one product of matrices; and all rounds but the last look at every second row and column only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.classic.planes import colours
from maskwright.classic.superpixels.grid import check
from maskwright.classic.superpixels.pieces import joined_pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITION_WEIGHT = 0.5
ROUNDS = 5
COARSE_CELL = 8
"""Least side of a cell, in pixels, for rounds on every second row and column."""
FAR = 1e15
"""Colour and place of a centre outside the image: further than any inside, also at the largest `compactness`."""


def slic(image: NDArray[Any], count: int = 400, compactness: float = 1.0) -> NDArray[np.int32]:
    """Divide an image into about `count` connected superpixels.

    Args:
        image: (H, W) or (H, W, C), any real dtype; see `planes.colours`.
        count: number of superpixels, from 1 to the number of pixels.
        compactness: in proportion to the paper's m; 1 is m = 12.5.

    Returns:
        int32 (H, W), labels 0..K-1, each in use.

    Raises:
        MaskwrightError: an argument outside its rule.
    """
    check(image, count, compactness)
    colour = colours(image)
    height, width, channels = colour.shape
    rows = min(max(round(math.sqrt(count * height / width)), 1), height, count)
    columns = min(max(round(count / rows), 1), width)
    weight = POSITION_WEIGHT * compactness / math.sqrt(height * width / (rows * columns))
    planes = np.empty((height, width, channels + 2), np.float32)
    planes[..., :channels] = colour
    planes[..., channels] = weight * np.arange(height)[:, None]
    planes[..., channels + 1] = weight * np.arange(width)
    step = 2 if min(height // rows, width // columns) >= COARSE_CELL else 1
    cells = _Cells(planes[::step, ::step], rows, columns)
    centres = cells.initial
    for _ in range(ROUNDS - 1):
        centres = cells.means(cells.nearest(centres), centres)
    return joined_pieces((cells if step == 1 else _Cells(planes, rows, columns)).nearest(centres))


class _Cells:
    """Planes (H, W, D) cut into a grid of cells of one size, which overlap where the sides do not divide evenly.

    Attributes:
        initial: the mean of each cell (K, D).
    """

    def __init__(self, planes: NDArray[np.float32], rows: int, columns: int) -> None:
        height, width, depth = planes.shape
        self.planes, self.shape = planes, (rows, columns)
        self.rows, self.columns = _indices(height, rows), _indices(width, columns)
        cut = planes[self.rows.ravel()][:, self.columns.ravel()]
        cut = cut.reshape(rows, self.rows.shape[1], columns, self.columns.shape[1], depth).transpose(0, 2, 4, 1, 3)
        pixels = cut.reshape(rows, columns, depth, -1)
        middles = pixels.mean(axis=3)
        self.initial = middles.reshape(-1, depth)
        # From the middle of each cell, because in large images the squares of places leave no digits for colours.
        self.pixels = np.ones((rows, columns, depth + 1, pixels.shape[3]), np.float32)
        np.subtract(pixels, middles[..., None], out=self.pixels[:, :, :-1])
        numbers = np.pad(np.arange(rows * columns).reshape(self.shape), 1, constant_values=rows * columns)
        self.near = np.stack([numbers[i : i + rows, j : j + columns] for i in range(3) for j in range(3)], axis=2)

    def nearest(self, centres: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return the number of the nearest centre for each pixel (H, W), among those of the nine nearest cells."""
        middles = self.initial.reshape(*self.shape, 1, -1)
        near = np.pad(centres, ((0, 1), (0, 0)), constant_values=FAR)[self.near] - middles
        distances = np.concatenate((-2 * near, np.square(near).sum(axis=3, keepdims=True)), axis=3) @ self.pixels
        least = distances[:, :, 0].copy()
        place = np.zeros(least.shape, np.int8)
        for candidate in range(1, 9):
            np.copyto(place, np.int8(candidate), where=distances[:, :, candidate] < least)
            np.minimum(least, distances[:, :, candidate], out=least)
        labels = np.take_along_axis(self.near, place, axis=2)
        (rows, high), (columns, wide) = self.rows.shape, self.columns.shape
        whole = labels.reshape(rows, columns, high, wide).transpose(0, 2, 1, 3).reshape(rows * high, columns * wide)
        down, across = (_positions(indices) for indices in (self.rows, self.columns))
        return np.asarray(whole[down][:, across], np.int32)

    def means(self, labels: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean of each superpixel (K, D); an empty one keeps the centre that it had."""
        flat, count = labels.ravel(), len(before)
        sizes = np.bincount(flat, minlength=count)[:, None]
        depth = self.planes.shape[2]
        sums = np.stack([np.bincount(flat, self.planes[..., k].ravel(), count) for k in range(depth)], axis=1)
        return np.where(sizes, sums / np.maximum(sizes, 1), before).astype(np.float32)


def _indices(length: int, cells: int) -> NDArray[np.intp]:
    """Return the places of each cell along one side (cells, L)."""
    starts = np.arange(cells) * length // cells
    return np.minimum(starts[:, None] + np.arange(-(-length // cells)), length - 1)


def _positions(indices: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where each place is found in the flattened `indices`."""
    found = np.empty(indices[-1, -1] + 1, np.intp)
    found[indices.ravel()] = np.arange(indices.size)
    return found
