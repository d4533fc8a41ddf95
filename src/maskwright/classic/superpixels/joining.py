"""Regions that are most alike become one, until as many are left as asked for. Knows only sums over regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def joined(
    labels: NDArray[np.int32], sums: NDArray[np.float64], count: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Join neighbouring regions until `count` are left, those first that add least to the variation within regions.

    Ward 1963, "Hierarchical Grouping to Optimize an Objective Function": the variation grows by
    n m / (n + m) |A - B|^2 for regions of n and m pixels with the means A and B. Many pairs become one at the same
    time: in each round, half of what is missing at most, and only regions that are each other's best.

    Args:
        labels: (H, W), 0..K-1, each of one connected region.
        sums: over the pixels of each region (D, K); the last is their number.
        count: from 1 to K.

    Returns:
        The labels 0..count-1 (H, W), and the sums (D, count).
    """
    into = np.arange(sums.shape[1])
    pairs = _neighbours(labels, len(into))
    sums = sums.copy()
    while (surplus := np.unique(into).size - count) > 0:
        one, other = _most_alike(sums, pairs, -(-surplus // 2))
        sums[:, one] += sums[:, other]
        step = np.arange(len(into))
        step[other] = one
        into, pairs = step[into], _different(step[pairs], len(into))
    kept, places = np.unique(into, return_inverse=True)
    return places.astype(np.int32)[labels], sums[:, kept]


def _neighbours(labels: NDArray[np.int32], count: int) -> NDArray[np.intp]:
    """Return the pairs (2, P) of regions that share a side."""
    sides = []
    for map_ in (labels, np.ascontiguousarray(labels.T)):
        below, above = map_[1:].ravel(), map_[:-1].ravel()
        # Along a boundary the same pair comes many times in a row.
        new = np.flatnonzero((below != above) & np.append(True, (below[1:] != below[:-1]) | (above[1:] != above[:-1])))
        sides.append(np.stack([below[new], above[new]]))
    return _different(np.concatenate(sides, axis=1), count)


def _different(pairs: NDArray[np.integer], count: int) -> NDArray[np.intp]:
    """Return each pair (2, P) of different numbers below `count` once, the lower one first."""
    low, high = pairs[:, pairs[0] != pairs[1]].astype(np.int64)
    low, high = np.minimum(low, high), np.maximum(low, high)
    return np.stack(np.divmod(np.unique(low * count + high), count))


def _most_alike(
    sums: NDArray[np.float64], pairs: NDArray[np.intp], most: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return at most `most` of the pairs, the cheapest of those that are the cheapest of both their regions."""
    one, other = pairs
    sizes, means = sums[-1], sums[:-1] / np.maximum(sums[-1], 1)
    costs = sizes[one] * sizes[other] / (sizes[one] + sizes[other])
    costs *= np.square(means[:, one] - means[:, other]).sum(axis=0)
    order = np.argsort(costs, kind="stable")
    one, other = one[order], other[order]
    rank = np.arange(len(order))
    first = np.full(sums.shape[1], len(order))
    for side in (one, other):
        np.minimum.at(first, side, rank)
    chosen = np.flatnonzero((first[one] == rank) & (first[other] == rank))[:most]
    return one[chosen], other[chosen]
