"""Values of a map between its points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def between(
    values: NDArray[np.floating], down: NDArray[np.floating], across: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Interpolate a map bilinearly on a grid; beyond its outer points, their values continue.

    Args:
        values: (h, w).
        down: (H,) rows of the grid, in points of the map.
        across: (W,) its columns.

    Returns:
        (H, W).

    >>> between(np.array([[0.0, 2.0]]), np.array([0.0]), np.array([-1.0, 0.5, 1.0])).tolist()
    [[0.0, 1.0, 2.0]]
    """
    upper, lower, low = _around(down, values.shape[0])
    left, right, far = _around(across, values.shape[1])
    rows = values[upper] * (1 - low)[:, None] + values[lower] * low[:, None]
    # In place: the result is the largest array by far, and four of it would be alive.
    found, beyond = rows[:, left], rows[:, right]
    found *= 1 - far
    beyond *= far
    found += beyond
    return found


def _around(
    places: NDArray[np.floating], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.floating]]:
    """Return the points before and behind each place, and how far it lies from the one before, 0..1."""
    inside = places.clip(0, count - 1)
    before = np.floor(inside).astype(np.intp)
    return before, np.minimum(before + 1, count - 1), inside - before
