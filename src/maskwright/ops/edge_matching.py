"""One-to-one matching of the pixels of two edge maps, as many pairs as possible. Knows no score and no threshold.

A found pixel and a true pixel may form a pair if their Euclidean distance is at most the reach. The number of pairs is
the largest possible one.

Several largest matchings may exist, and they may leave out different pixels. We choose in two steps. First, pairs are
formed greedily: the nearest come first, and among equal distances the offsets in raster order. Then paths of new
partners (Berge 1957, "Two Theorems in Graph Theory") add the pairs that are missing; no pixel loses its partner without
getting another.

The public benchmark of Berkeley (Martin, Fowlkes, Malik 2004, "Learning to Detect Natural Image Boundaries") minimises
the sum of distances instead, where a pixel without a partner costs a hundred times the reach. There, another pair does
not pay only if more than a hundred pixels must change partners for it, so its number of pairs is the largest one too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Indices = NDArray[np.integer]
    Pairs = list[tuple[Indices, Indices]]

NONE = -1
"""The partner of a pixel without a partner."""


def matched(found: Mask, truth: Mask, reach: float) -> tuple[Mask, Mask]:
    """Match found with true edge pixels one to one, as many as possible.

    Args:
        found: edge map (H, W), of any thickness.
        truth: edge map (H, W).
        reach: largest distance of a pair, in pixels.

    Returns:
        The matched pixels (H, W) of `found` and of `truth`, which are equal in number.
    """
    assert found.shape == truth.shape
    pairs = _pairs(found, truth, reach)
    sizes = (np.count_nonzero(found), np.count_nonzero(truth))
    near, partners = _nearest_first(pairs, sizes)
    both = _extended(near, partners, pairs)
    painted = []
    for edges, chosen in zip((found, truth), both, strict=True):
        image = np.zeros(edges.shape, np.bool_)
        image[edges] = chosen
        painted.append(image)
    return painted[0], painted[1]


def _pairs(found: Mask, truth: Mask, reach: float) -> Pairs:
    """List all possible pairs, one entry for each offset, the nearest offsets first.

    Pixels have their numbers in raster order. The pairs of one offset share no pixel.
    """
    margin = int(reach)
    height, width = found.shape
    stride = width + 2 * margin
    numbers = np.full((height + 2 * margin, stride), NONE, np.int32)
    numbers[margin : margin + height, margin : margin + width][truth] = np.arange(np.count_nonzero(truth))
    numbers = numbers.ravel()
    rows, columns = np.nonzero(found)
    places = (rows + margin) * stride + columns + margin
    pairs = []
    for down, across in _offsets(reach):
        targets = numbers[places + (down * stride + across)]
        sources = np.flatnonzero(targets >= 0)
        pairs.append((sources, targets[sources]))
    return pairs


def _offsets(reach: float) -> list[tuple[int, int]]:
    """List the steps (rows, columns) no longer than `reach`, the shortest first, then in raster order."""
    steps = range(-int(reach), int(reach) + 1)
    near = [(down, across) for down in steps for across in steps if down * down + across * across <= reach * reach]
    return sorted(near, key=lambda step: step[0] ** 2 + step[1] ** 2)


def _nearest_first(pairs: Pairs, sizes: tuple[int, int]) -> tuple[Indices, Indices]:
    """Match greedily: return the partners of the found pixels and of the true ones, `NONE` where there is none."""
    of_found, of_truth = (np.full(size, NONE, np.int64) for size in sizes)
    for sources, targets in pairs:
        free = (of_found[sources] < 0) & (of_truth[targets] < 0)
        of_found[sources[free]], of_truth[targets[free]] = targets[free], sources[free]
    return of_found, of_truth


def _extended(of_found: Indices, of_truth: Indices, pairs: Pairs) -> tuple[Mask, Mask]:
    """Return which found and true pixels have a partner in a largest matching that keeps all pixels of the first one.

    The first matching and any largest one together form paths. Those that begin and end with a pair of the largest one
    alone each add one pair to the first matching, and with all of them it is a largest one (Berge).
    """
    sources, targets = (np.concatenate(side) for side in zip(*pairs, strict=True))
    graph = csr_array((np.ones(len(sources), np.bool_), (sources, targets)), (len(of_found), len(of_truth)))
    best_of_found = maximum_bipartite_matching(graph, "column")
    best_of_truth = np.full(len(of_truth), NONE)
    done = np.flatnonzero(best_of_found >= 0)
    best_of_truth[best_of_found[done]] = done
    has = of_found >= 0, of_truth >= 0
    starts = places = np.flatnonzero((of_truth < 0) & (best_of_truth >= 0))
    while len(starts):
        ends = best_of_truth[places]
        last = of_found[ends] < 0
        has[0][ends[last]] = has[1][starts[last]] = True
        starts, places = starts[~last], of_found[ends[~last]]
        on = best_of_truth[places] >= 0
        starts, places = starts[on], places[on]
    return has
