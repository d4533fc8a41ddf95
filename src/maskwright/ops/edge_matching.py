"""One-to-one matching of the pixels of two edge maps, as many pairs as possible. Knows no score and no threshold.

A found pixel and a true pixel may form a pair if their Euclidean distance is at most the reach. The number of pairs is
the largest possible one.

Several largest matchings may exist, and they may leave out different pixels. We choose in two steps. First, pairs are
formed greedily: the nearest come first, and among equal distances the offsets in raster order. Then paths of new
partners (Berge 1957, "Two Theorems in Graph Theory") add the pairs that are missing; no pixel loses its partner without
getting another.

The public benchmark of Berkeley (Martin, Fowlkes, Malik 2004, "Learning to Detect Natural Image Boundaries") minimises
the sum of distances instead, where a pixel without a partner costs a hundred times the reach. One more pair then pays
unless more than a hundred pixels must change partners for it, so its number of pairs is in practice the largest one
too. On photographs of BSDS500, the two choices differ in about one found pixel of a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

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
    square = np.ones((2 * int(reach) + 1,) * 2, np.uint8)
    near = found & cv2.dilate(truth.astype(np.uint8), square).astype(np.bool_)
    pairs = _pairs(near, truth, reach)
    matching = _nearest_first(pairs, int(near.sum()), int(truth.sum()))
    _extend(matching, pairs)
    return _painted(near, matching.of_found >= 0), _painted(truth, matching.of_truth >= 0)


@dataclass
class _Matching:
    """The partners of the found pixels (n,) and of the true ones (m,), `NONE` where there is none."""

    of_found: Indices
    of_truth: Indices


def _pairs(found: Mask, truth: Mask, reach: float) -> Pairs:
    """List all possible pairs, one entry for each offset, the nearest offsets first.

    Pixels have their numbers in raster order. The pairs of one offset share no pixel.
    """
    margin = int(reach)
    numbers = np.full(tuple(size + 2 * margin for size in truth.shape), NONE, np.int32)
    height, width = truth.shape
    numbers[margin : margin + height, margin : margin + width][truth] = np.arange(np.count_nonzero(truth))
    stride = numbers.shape[1]
    numbers = numbers.ravel()
    places = (np.flatnonzero(found) // width + margin) * stride + np.flatnonzero(found) % width + margin
    pairs: Pairs = []
    for down, across in _offsets(reach):
        targets = numbers[places + (down * stride + across)]
        sources = np.flatnonzero(targets >= 0).astype(np.int32)
        pairs.append((sources, targets[sources]))
    return pairs


def _offsets(reach: float) -> list[tuple[int, int]]:
    """List the steps (rows, columns) no longer than `reach`, the shortest first, then in raster order."""
    steps = range(-int(reach), int(reach) + 1)
    near = [(down, across) for down in steps for across in steps if down * down + across * across <= reach * reach]
    return sorted(near, key=lambda step: step[0] ** 2 + step[1] ** 2)


def _nearest_first(pairs: Pairs, found: int, truth: int) -> _Matching:
    """Match the numbers of found and of true pixels greedily."""
    matching = _Matching(np.full(found, NONE, np.int32), np.full(truth, NONE, np.int32))
    for sources, targets in pairs:
        free = (matching.of_found[sources] < 0) & (matching.of_truth[targets] < 0)
        matching.of_found[sources[free]] = targets[free]
        matching.of_truth[targets[free]] = sources[free]
    return matching


def _extend(matching: _Matching, pairs: Pairs) -> None:
    """Add pairs, along shortest paths of new partners, until no such path is left: the matching is then a largest one.

    The nodes of the graph are the found pixels, then the true ones, then one that leads to all found pixels without a
    partner. A found pixel leads to its possible partners; if one of them has a partner already, to that partner.
    """
    sources, targets = (np.concatenate(side) for side in zip(*pairs, strict=True))
    found, truth = len(matching.of_found), len(matching.of_truth)
    order = csr_array((targets + 1, (sources, targets)), (found, truth))
    targets, ends = order.data - 1, order.indptr
    while True:
        free = np.flatnonzero((matching.of_found < 0) & (np.diff(ends) > 0))
        nodes = np.where(matching.of_truth < 0, found + np.arange(truth), matching.of_truth)
        indices = np.concatenate([nodes[targets], free])
        indptr = np.concatenate([ends, np.full(truth, ends[-1]), [len(indices)]])
        graph = csr_array((np.ones(len(indices)), indices, indptr), (found + truth + 1,) * 2)
        reached, before = breadth_first_order(graph, found + truth)
        goals = reached[(reached >= found) & (reached < found + truth)]
        if not len(goals):
            return
        _turn(matching, before, _one_a_root(goals, before, found + truth))


def _one_a_root(goals: Indices, before: Indices, source: int) -> Indices:
    """Choose the first of the goals in each tree; the trees hang on `source` and share no pixel."""
    roots = goals
    while (inside := before[roots] != source).any():
        roots = np.where(inside, before[roots], roots)
    return goals[np.unique(roots, return_index=True)[1]]


def _turn(matching: _Matching, before: Indices, goals: Indices) -> None:
    """Give each goal the partner before it in its tree, and the true pixel that loses this partner the next one."""
    free = goals - len(matching.of_found)
    places = goals
    while len(free):
        places = before[places]
        left = matching.of_found[places]
        matching.of_found[places], matching.of_truth[free] = free, places
        free, places = left[left >= 0], places[left >= 0]


def _painted(edges: Mask, chosen: Mask) -> Mask:
    image = np.zeros_like(edges)
    image[edges] = chosen
    return image
