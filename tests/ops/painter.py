"""Polygons back to masks, to judge `ops.polygons` by."""

from __future__ import annotations

import numpy as np


def to_mask(polygons, size):
    """Paint polygons: a pixel is inside when its centre is (even-odd rule within one polygon, union of all).

    Args:
        polygons: with any corners, whole numbers or not, inside the picture or not.
        size: (height, width) of the mask.

    Returns:
        The mask (H, W).
    """
    mask = np.zeros(size, np.bool_)
    for polygon in polygons:
        mask |= _paint(polygon.rings, size)
    return mask


def _paint(rings, size):
    """Flip everything to the right of every edge; what is flipped an odd number of times is inside."""
    height, width = size
    flips = np.zeros((height, width + 1), np.int32)
    for ring in rings:
        start, stop = ring.astype(np.float64), np.roll(ring, -1, axis=0).astype(np.float64)
        upper, lower = (
            np.where((start[:, 1] <= stop[:, 1])[:, None], *pair) for pair in ((start, stop), (stop, start))
        )
        first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
        count = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64) - first
        edge = np.repeat(np.arange(len(ring)), count)
        rows = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        fall = (lower - upper)[edge]
        x = upper[edge, 0] + (rows + 0.5 - upper[edge, 1]) * fall[:, 0] / fall[:, 1]
        np.add.at(flips, (rows, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)), 1)
    return np.cumsum(flips[:, :-1], axis=1) % 2 == 1
