"""SLIC: k-means on colour and place, each pixel among the nine nearest cells. Knows no file.

Achanta et al. 2012, "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods": D^2 = d_colour^2 +
(m / S)^2 d_place^2, with S the side of a cell and m = 10 CIELAB units. Pieces that are cut off from the largest part of
their superpixel join a neighbour, so the number of superpixels is about the one asked for.

Where we differ: a pixel is compared with the centres of its own cell of the initial grid and of the eight around it
(as in gSLIC), so that each cell is one product of matrices; and the first rounds look at every second row and column.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.classic.superpixels.pieces import joined_pieces
from maskwright.classic.superpixels.planes import check, colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITION_WEIGHT = 0.4
COARSE_ROUNDS, FINE_ROUNDS = 4, 1
COARSE_CELL = 8
"""Least side of a cell, in pixels, for rounds on every second row and column."""


def slic(image: NDArray[Any], count: int = 400, compactness: float = 1.0) -> NDArray[np.int32]:
    """Divide an image into about `count` connected superpixels.

    Args:
        image: (H, W) or (H, W, C), any real dtype; see `planes.colours`.
        count: number of superpixels, from 1 to the number of pixels.
        compactness: 1 for the paper's m = 10; in proportion to m.

    Returns:
        int32 (H, W), labels 0..K-1, each in use.

    Raises:
        MaskwrightError: an argument outside its rule.
    """
    check(image, count, compactness)
    colour = colours(image)
    height, width = colour.shape[:2]
    rows = min(max(round(math.sqrt(count * height / width)), 1), height, count)
    cells = rows, min(max(round(count / rows), 1), width)
    weight = POSITION_WEIGHT * compactness / math.sqrt(height * width / (cells[0] * cells[1]))
    planes = np.empty((height, width, colour.shape[2] + 2), np.float32)
    planes[..., :-2] = colour
    planes[..., -2] = weight * np.arange(height)[:, None]
    planes[..., -1] = weight * np.arange(width)
    centres = None
    if min(height // cells[0], width // cells[1]) >= COARSE_CELL:
        coarse = _Cells(np.ascontiguousarray(planes[::2, ::2]), cells)
        for _ in range(COARSE_ROUNDS):
            centres = coarse.means(coarse.assigned(centres), centres)
    fine = _Cells(planes, cells)
    labels = fine.assigned(centres)
    for _ in range(FINE_ROUNDS):
        centres = fine.means(labels, centres)
        labels = fine.assigned(centres)
    return joined_pieces(labels, colour)
