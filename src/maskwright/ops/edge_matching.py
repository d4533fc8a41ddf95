"""One-to-one matching of the pixels of two edge maps, as many pairs as possible. Knows no score and no threshold.

A found pixel and a true pixel may form a pair if their Euclidean distance is at most the reach. The number of pairs is
the largest possible one.

Several largest matchings may exist, and they leave out different found pixels. We choose one with the least sum of
distances, because scores count which found pixels are near any of several truths. The public benchmark of Berkeley
(Martin, Fowlkes, Malik 2004, "Learning to Detect Natural Image Boundaries") does the same, and a pixel without a
partner costs it a hundred times the reach. So one more pair pays there unless more than a hundred pixels must change
partners for it, and in practice its number of pairs is the largest one too.

Four steps, the first two only for speed:

1. Found pixels far from any true one are left out.
2. Pairs are formed greedily, the nearest first.
3. Paths of new partners add pairs until there is none left (Berge 1957, "Two Theorems in Graph Theory").
4. The paths that start at a found pixel without a partner reach a part of the pixels in which all true ones have a
   partner in any largest matching, but not all found ones (Dulmage and Mendelsohn 1958, "Coverings of Bipartite
   Graphs"). There, partners are assigned anew at the least sum of distances. Elsewhere, all found pixels that can have
   a partner in any largest matching have one in all of them. True pixels are only counted, so it does not matter which
   of them stay alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import scipy  # its parts are imported when they are used

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Indices = NDArray[np.integer]

NONE = -1
"""The partner of a pixel without a partner."""
DENSE = 4_000_000
"""Largest matrix of costs, in cells: 32 MB."""


def matched(found: Mask, truth: Mask, reach: float) -> tuple[Mask, Mask]:
    """Match found with true edge pixels one to one, as many as possible.

    Args:
        found: edge map (H, W), of any thickness.
        truth: edge map (H, W).
        reach: largest distance of a pair, in pixels.

    Returns:
        The matched pixels (H, W) of `found` and of `truth`, which are equal in number.
    """
    return Matcher(truth, reach).matched(found)


class Matcher:
    """Matches several edge maps with the same true one. Each search starts from the pairs of the one before.

    Maps that differ little, such as those of neighbouring thresholds, take less time so.

    Args:
        truth, reach: as of `matched`.
        shortest: choose a matching with the least sum of distances. Without this step, the fourth above, the number of
            pairs is the same, and slightly different found pixels have a partner. For a map with edges everywhere, as
            an untrained network emits, it takes nine tenths of the time and more.
    """

    def __init__(self, truth: Mask, reach: float, *, shortest: bool = True) -> None:
        self._truth, self._reach, self._shortest = truth, reach, shortest
        self._around = cv2.dilate(truth.astype(np.uint8), np.ones((2 * int(reach) + 1,) * 2, np.uint8)).astype(np.bool_)
        self._partners = np.full(np.count_nonzero(truth), NONE, np.int64)

    def matched(self, found: Mask) -> tuple[Mask, Mask]:
        """Match the edge map (H, W); see the function of the same name."""
        assert found.shape == self._truth.shape
        near = found & self._around
        places = np.flatnonzero(near)
        pairs = _pairs(near, self._truth, self._reach)
        matching = self._start(places)
        _match_nearest(matching, pairs)
        contested = _extend(matching, pairs)
        if self._shortest:
            _shorten(matching, pairs, contested)
        alone = matching.of_truth < 0
        self._partners = np.where(alone, NONE, places[matching.of_truth] if len(places) else NONE)
        return _painted(near, matching.of_found >= 0), _painted(self._truth, ~alone)

    def _start(self, places: Indices) -> _Matching:
        """Return the pairs of before whose found pixels are among `places` (n,), ascending."""
        matching = _Matching(np.full(len(places), NONE, np.int32), np.full(len(self._partners), NONE, np.int32))
        still = np.flatnonzero(np.isin(self._partners, places))
        matching.of_truth[still] = np.searchsorted(places, self._partners[still])
        matching.of_found[matching.of_truth[still]] = still
        return matching


@dataclass(frozen=True)
class _Pairs:
    """All possible pairs (p,), the shortest first.

    Attributes:
        sources, targets: numbers of the found and of the true pixels, in raster order.
        lengths: in pixels.
        ends: (number of offsets - 1) where the pairs of one offset end; these share no pixel.
    """

    sources: Indices
    targets: Indices
    lengths: NDArray[np.float64]
    ends: Indices


@dataclass
class _Matching:
    """The partners of the found pixels (n,) and of the true ones (m,), `NONE` where there is none."""

    of_found: Indices
    of_truth: Indices


def _pairs(found: Mask, truth: Mask, reach: float) -> _Pairs:
    margin = int(reach)
    numbers = np.full(tuple(size + 2 * margin for size in truth.shape), NONE, np.int32)
    height, width = truth.shape
    numbers[margin : margin + height, margin : margin + width][truth] = np.arange(np.count_nonzero(truth))
    stride = numbers.shape[1]
    numbers = numbers.ravel()
    places = (np.flatnonzero(found) // width + margin) * stride + np.flatnonzero(found) % width + margin
    offsets = _offsets(reach)
    sources, targets = [], []
    for down, across in offsets:
        ends = numbers[places + (down * stride + across)]
        sources.append(np.flatnonzero(ends >= 0).astype(np.int32))
        targets.append(ends[sources[-1]])
    counts = [len(part) for part in sources]
    lengths = np.repeat(np.linalg.norm(offsets, axis=1), counts)
    return _Pairs(np.concatenate(sources), np.concatenate(targets), lengths, np.cumsum(counts)[:-1])


def _offsets(reach: float) -> list[tuple[int, int]]:
    """List the steps (rows, columns) no longer than `reach`, the shortest first, then in raster order."""
    steps = range(-int(reach), int(reach) + 1)
    near = [(down, across) for down in steps for across in steps if down * down + across * across <= reach * reach]
    return sorted(near, key=lambda step: step[0] ** 2 + step[1] ** 2)


def _match_nearest(matching: _Matching, pairs: _Pairs) -> None:
    """Match pixels without a partner greedily."""
    for sources, targets in zip(*(np.split(side, pairs.ends) for side in (pairs.sources, pairs.targets)), strict=True):
        free = (matching.of_found[sources] < 0) & (matching.of_truth[targets] < 0)
        matching.of_found[sources[free]] = targets[free]
        matching.of_truth[targets[free]] = sources[free]


def _extend(matching: _Matching, pairs: _Pairs) -> Mask:
    """Add pairs, along shortest paths of new partners, until no such path is left: the matching is then a largest one.

    Returns the found pixels (n,) that paths from those without a partner reach, themselves included.

    The nodes of the graph are the found pixels, then the true ones, then one that leads to all found pixels without a
    partner. A found pixel leads to its possible partners; if one of them has a partner already, to that partner. New
    partners change no path outside the reached part, so the next search needs only this part.
    """
    found, truth = len(matching.of_found), len(matching.of_truth)
    order = scipy.sparse.csr_array((pairs.targets + 1, (pairs.sources, pairs.targets)), (found, truth))
    sources, targets = np.repeat(np.arange(found), np.diff(order.indptr)), order.data - 1
    while True:
        degrees = np.bincount(sources, minlength=found)
        free = np.flatnonzero((matching.of_found < 0) & (degrees > 0))
        nodes = np.where(matching.of_truth < 0, found + np.arange(truth), matching.of_truth)
        indices = np.concatenate([nodes[targets], free])
        sizes = np.concatenate([[0], degrees, np.zeros(truth, np.int64), [len(free)]])
        graph = scipy.sparse.csr_array((np.ones(len(indices)), indices, np.cumsum(sizes)), (found + truth + 1,) * 2)
        reached, before = scipy.sparse.csgraph.breadth_first_order(graph, found + truth)
        contested = np.zeros(found + truth + 1, np.bool_)
        contested[reached] = True
        goals = reached[(reached >= found) & (reached < found + truth)]
        if not len(goals):
            return contested[:found]
        inside = contested[sources]
        sources, targets = sources[inside], targets[inside]
        _turn(matching, before, _one_a_root(goals, before, found + truth))


def _one_a_root(goals: Indices, before: Indices, source: int) -> Indices:
    """Choose the first of the goals in each tree; the trees hang on `source` and share no pixel."""
    nodes = np.arange(len(before))
    above = np.where((before < 0) | (before == source), nodes, before)
    while not np.array_equal(above, further := above[above]):
        above = further
    return goals[np.unique(above[goals], return_index=True)[1]]


def _turn(matching: _Matching, before: Indices, goals: Indices) -> None:
    """Give each goal the partner before it in its tree, and the true pixel that loses this partner the next one."""
    free = goals - len(matching.of_found)
    places = goals
    while len(free):
        places = before[places]
        left = matching.of_found[places]
        matching.of_found[places], matching.of_truth[free] = free, places
        free, places = left[left >= 0], places[left >= 0]


def _shorten(matching: _Matching, pairs: _Pairs, contested: Mask) -> None:
    """Assign the partners of the contested found pixels anew, at the least sum of distances.

    All true pixels within their reach have a partner among them, and keep one. Parts of the image without a pair
    between them are independent problems.
    """
    kept = contested[pairs.sources]
    columns, column = np.unique(pairs.sources[kept], return_inverse=True)
    rows, row = np.unique(pairs.targets[kept], return_inverse=True)
    lengths = pairs.lengths[kept]
    matching.of_found[columns] = NONE
    for part in _connected(row, column):
        own_rows, own_row = np.unique(row[part], return_inverse=True)
        own_columns, own_column = np.unique(column[part], return_inverse=True)
        dense = len(own_rows) * len(own_columns) <= DENSE
        partners = (_dense_assignment if dense else _sparse_assignment)(own_row, own_column, lengths[part])
        chosen, taken = rows[own_rows], columns[own_columns[partners]]
        matching.of_found[taken] = chosen
        matching.of_truth[chosen] = taken


def _connected(row: Indices, column: Indices) -> list[Indices]:
    """List the connected parts of the pairs (p,), as places in them."""
    if not len(row):
        return []
    nodes = row.max() + column.max() + 2
    graph = scipy.sparse.csr_array((np.ones(len(row), np.int8), (row, column + row.max() + 1)), (nodes, nodes))
    number, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    label = labels[row]
    return np.split(np.argsort(label, kind="stable"), np.cumsum(np.bincount(label, minlength=number))[:-1])


def _dense_assignment(row: Indices, column: Indices, lengths: NDArray[np.float64]) -> Indices:
    """Choose a column for each row at the least sum of lengths (Jonker and Volgenant 1987, as SciPy has it).

    SciPy's sparse form of it takes seconds for some maps, where the dense one takes milliseconds.
    """
    costs = np.full((row.max() + 1, column.max() + 1), np.inf)
    costs[row, column] = lengths
    return scipy.optimize.linear_sum_assignment(costs)[1]


def _sparse_assignment(row: Indices, column: Indices, lengths: NDArray[np.float64]) -> Indices:
    """Do the same as a linear programme, in memory proportional to the pairs: its vertices are assignments."""
    pairs = np.arange(len(row))
    once, at_most_once = (scipy.sparse.csr_array((np.ones(len(row)), (side, pairs))) for side in (row, column))
    solved = scipy.optimize.linprog(
        lengths,
        A_eq=once,
        b_eq=np.ones(once.shape[0]),
        A_ub=at_most_once,
        b_ub=np.ones(at_most_once.shape[0]),
        bounds=(0, None),
        method="highs-ds",
    )
    assert solved.success, solved.message
    chosen = solved.x > 0.5
    partners = np.empty(once.shape[0], np.intp)
    partners[row[chosen]] = column[chosen]
    return partners


def _painted(edges: Mask, chosen: Mask) -> Mask:
    image = np.zeros_like(edges)
    image[edges] = chosen
    return image
