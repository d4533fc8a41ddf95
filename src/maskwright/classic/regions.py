"""Regions of an image as a graph, and their merging. Knows no method that finds regions, and no file."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.classic.planes import LAB_UNIT, check_array, colours
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Which regions touch by a side of a pixel.

    Attributes:
        labels: of the regions (K,), ascending.
        sizes: their pixels (K,).
        means: their mean colours (K, C); see `region_graph`.
        pairs: places in `labels` (E, 2) of regions that touch, each pair once, the lower place first.
        lengths: length of their boundary (E,), in sides of pixels.
    """

    labels: NDArray[np.int64]
    sizes: NDArray[np.int64]
    means: NDArray[np.float64]
    pairs: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def differences(self) -> NDArray[np.float64]:
        """Distance (E,) of the mean colours of each pair."""
        return np.sqrt(np.square(self.means[self.pairs[:, 0]] - self.means[self.pairs[:, 1]]).sum(axis=1))


def region_graph(labels: NDArray[Any], image: NDArray[Any]) -> RegionGraph:
    """Find the regions of a label map and their neighbours.

    Colours are CIELAB for an image of three channels, so that a difference of 2 is just visible. Of other images the
    difference between black and white is 100 too.

    Args:
        labels: (H, W), integers.
        image: (H, W) or (H, W, C), any real dtype.

    Raises:
        MaskwrightError: the sizes differ, or `labels` is no label map.
    """
    check_labels(labels, image)
    names, places = np.unique(labels, return_inverse=True)
    places = places.reshape(labels.shape)
    colour = colours(image).reshape(places.size, -1)
    sizes = np.bincount(places.ravel())
    sums = np.stack([np.bincount(places.ravel(), channel) for channel in colour.T], axis=1)
    across, down = (places[:, 1:], places[:, :-1]), (places[1:], places[:-1])
    sides = np.concatenate([np.stack([a[a != b], b[a != b]], axis=1) for a, b in (across, down)])
    pairs, lengths = _counted(sides, np.ones(len(sides), np.int64), len(names))
    return RegionGraph(names.astype(np.int64), sizes, LAB_UNIT * sums / sizes[:, None], pairs, lengths)


def merged(
    labels: NDArray[Any], image: NDArray[Any], *, count: int | None = None, threshold: float | None = None
) -> NDArray[np.int32]:
    """Merge neighbouring regions one pair at a time; a merged region has the mean colour of all its pixels.

    Args:
        labels: (H, W), integers, such as superpixels.
        image: (H, W) or (H, W, C), any real dtype.
        count: merge until so many regions remain, or no neighbours do. The next pair is the one that adds least to the
            variation of colours within regions (Ward 1963, "Hierarchical Grouping to Optimize an Objective
            Function"): n m / (n + m) d^2 for regions of n and m pixels whose mean colours differ by d. So small
            regions merge early, even if they stand out.
        threshold: merge all neighbours whose mean colours differ by this or less, whatever their size, those that
            differ least first; see `region_graph`.

    Returns:
        int32 (H, W), labels 0..K-1.

    Raises:
        MaskwrightError: neither or both of `count` and `threshold` are given, one breaks its rule, or the sizes differ.
    """
    _check_goal(count, threshold)
    graph = region_graph(labels, image)
    merging = _Merging(graph, weighted=threshold is None)
    into = merging.until(count or 1, math.inf if threshold is None else threshold)
    places = np.unique(into, return_inverse=True)[1]
    return np.asarray(places[np.searchsorted(graph.labels, labels)], np.int32)


class _Merging:
    """The regions that are left, and a heap with the best pair of each.

    The greedy hierarchy of Garrido, Salembier and Garcia 1998, "Extensive Operators in Partition Lattices for Image
    Sequence Analysis". A region that was merged gets its best pair anew. That of a neighbour stays in the heap, out of
    date: if the merged region is nearer now, this pair is its own best one too.

    Args:
        graph: the regions.
        weighted: compare pairs by Ward's criterion, and not by the difference of their mean colours.
    """

    def __init__(self, graph: RegionGraph, *, weighted: bool) -> None:
        self._weighted = weighted
        self._sizes, self._means = graph.sizes.astype(np.float64), graph.means.copy()
        self._around: list[set[int]] = [set() for _ in self._sizes]
        for one, other in graph.pairs.tolist():
            self._around[one].add(other)
            self._around[other].add(one)
        self._changes = [0] * len(self._sizes)
        self._heap: list[tuple[float, int, int, int, int]] = []
        for region in range(len(self._sizes)):
            self._seek(region)

    def until(self, least: int, most: float) -> NDArray[np.intp]:
        """Merge down to `least` regions, as long as a pair costs `most` or less; return where each went (K,)."""
        into = np.arange(len(self._sizes))
        left = len(into)
        while left > least and self._heap and self._heap[0][0] <= most:
            _, one, other, before, other_before = heapq.heappop(self._heap)
            if self._changes[one] != before:
                continue
            if self._changes[other] != other_before:
                self._seek(one)
                continue
            if len(self._around[one]) < len(self._around[other]):
                one, other = other, one
            self._merge(one, other)
            into[other] = one
            left -= 1
        while not np.array_equal(into, further := into[into]):
            into = further
        return into

    def _seek(self, region: int) -> None:
        """Put the best pair of a region into the heap; of equals, that with the lowest place."""
        if around := self._around[region]:
            others = np.fromiter(around, np.intp, len(around))
            apart = np.sqrt(np.square(self._means[others] - self._means[region]).sum(axis=1))
            if self._weighted:
                size, sizes = self._sizes[region], self._sizes[others]
                apart *= np.sqrt(size * sizes / (size + sizes))
            best = int(others[apart == apart.min()].min())
            heapq.heappush(self._heap, (apart.min(), region, best, self._changes[region], self._changes[best]))

    def _merge(self, one: int, other: int) -> None:
        size, gained = self._sizes[one], self._sizes[other]
        self._means[one] = (size * self._means[one] + gained * self._means[other]) / (size + gained)
        self._sizes[one] = size + gained
        self._changes[one] += 1
        self._changes[other] = -1
        for neighbour in self._around[other]:
            self._around[neighbour].discard(other)
            self._around[neighbour].add(one)
        self._around[one] |= self._around[other]
        self._around[one].discard(one)
        self._seek(one)


def check_labels(labels: NDArray[Any], image: NDArray[Any]) -> None:
    """Refuse labels that are no integers, or of another size than the image.

    Raises:
        MaskwrightError: so they are.
    """
    check_array(labels, "a label map")
    check_array(image, "an image")
    if labels.ndim != 2 or not labels.size or labels.dtype.kind not in "iu":
        raise MaskwrightError(
            f"an array of {labels.dtype} with shape {labels.shape} is not a label map: give integers (height, width), "
            "both above 0"
        )
    if image.shape[:2] != labels.shape:
        raise MaskwrightError(
            f"the label map is {labels.shape[1]}x{labels.shape[0]} pixels, but the image has shape {image.shape}: "
            "give both at the same height and width"
        )


def _check_goal(count: int | None, threshold: float | None) -> None:
    if (count is None) == (threshold is None):
        raise MaskwrightError(f"count is {count} and threshold is {threshold}: give one of the two")
    if count is not None and (count < 1 or count % 1):
        raise MaskwrightError(f"count is {count}, but regions are counted: set `count` to 1, 2, ...", "count")
    if threshold is not None and not threshold >= 0:
        raise MaskwrightError(
            f"threshold is {threshold}, but a difference of colours is 0 or more: give e.g. 2, a "
            "difference that is just visible",
            "threshold",
        )


def _counted(
    pairs: NDArray[np.int64], lengths: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each pair of different places once, and the sum of its lengths."""
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    apart = low != high
    keys, members = np.unique(low[apart] * count + high[apart], return_inverse=True)
    total = np.bincount(members.ravel(), lengths[apart], len(keys)).astype(np.int64)
    return np.stack([keys // count, keys % count], axis=1), total
