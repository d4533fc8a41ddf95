"""What a network learns about the centres of objects: where they are, and how each pixel gets to its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from maskwright.ops.instance_maps import pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPREAD = 1 / 6
"""Standard deviation of the heat around a centre, as a share of the diameter of a circle of the object's area."""
LEAST_SPREAD = 2.0
"""Of a small object, in pixels."""
REACH = 3
"""Standard deviations from the centre beyond which there is no heat."""


def centre_values(
    ids: NDArray[np.int32], unknown: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute heat and offsets of an instance map.

    The centre of an object is the mean of its pixels, in all of its parts; it may lie outside of them.

    Args:
        ids: (H, W), 0 for background.
        unknown: (H, W), pixels of which the annotation says nothing.

    Returns:
        Heat (H, W): a Gaussian around every centre, 1 at its peak, NaN where unknown; offsets (2, H, W): x and y from
        each pixel to the centre of its object, NaN outside of objects.
    """
    heat, offsets = np.zeros(ids.shape, np.float32), np.full((2, *ids.shape), np.nan, np.float32)
    for _, top, left, mask in pieces(ids):
        rows, columns = np.nonzero(mask)
        row, column = top + rows.mean(), left + columns.mean()
        offsets[0, top + rows, left + columns] = column - left - columns
        offsets[1, top + rows, left + columns] = row - top - rows
        _warm(heat, row, column, max(SPREAD * math.sqrt(4 / math.pi * len(rows)), LEAST_SPREAD))
    heat[unknown] = np.nan
    return heat, offsets


def _warm(heat: NDArray[np.float32], row: float, column: float, spread: float) -> None:
    """Put a Gaussian around the nearest pixel on the heat, in place; where there are several, the highest counts."""
    row, column = round(row), round(column)
    far = math.ceil(REACH * spread)
    top, left = max(row - far, 0), max(column - far, 0)
    part = heat[top : row + far + 1, left : column + far + 1]
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    squares = (rows - row) ** 2 + (columns - column) ** 2
    np.maximum(part, np.exp(squares / (-2 * spread**2), dtype=np.float32), out=part)
