"""Regions of an image as a graph, and their merging. Knows no method that finds regions, and no file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.classic.planes import LAB_UNIT, colours
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
    """Merge neighbouring regions, the most similar first, with the mean colour of the whole after each merge.

    Pairs of regions that are each other's most similar neighbour merge in one round.

    Args:
        labels: (H, W), integers, such as superpixels.
        image: (H, W) or (H, W, C), any real dtype.
        count: merge until so many regions remain, or no neighbours do.
        threshold: merge only regions whose mean colours differ by this or less; see `region_graph`.

    Returns:
        int32 (H, W), labels 0..K-1.

    Raises:
        MaskwrightError: neither or both of `count` and `threshold` are given, one breaks its rule, or the sizes differ.
    """
    _check_goal(count, threshold)
    graph = region_graph(labels, image)
    names, regions = graph.labels, np.arange(len(graph.labels))
    least, most = count or 1, math.inf if threshold is None else threshold
    while (joined := _best_pairs(graph, len(graph.sizes) - least, most)).size:
        into = np.arange(len(graph.sizes))
        into[joined[:, 1]] = joined[:, 0]
        places = np.unique(into, return_inverse=True)[1]
        regions, graph = places[regions], _contracted(graph, places)
    return np.asarray(regions[np.searchsorted(names, labels)], np.int32)


def check_labels(labels: NDArray[Any], image: NDArray[Any]) -> None:
    """Refuse labels that are no integers, or of another size than the image.

    Raises:
        MaskwrightError: so they are.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise MaskwrightError(
            f"an array of {labels.dtype} with shape {labels.shape} is not a label map: give integers (height, width)"
        )
    if image.shape[:2] != labels.shape:
        raise MaskwrightError(
            f"the label map is {labels.shape[1]}x{labels.shape[0]} pixels, but the image has shape {image.shape}: "
            "give both at the same height and width"
        )


def _check_goal(count: int | None, threshold: float | None) -> None:
    if (count is None) == (threshold is None):
        raise MaskwrightError(f"count is {count} and threshold is {threshold}: give one of the two")
    if count is not None and count < 1:
        raise MaskwrightError(f"count is {count}, but at least one region remains: set `count` to 1 or more", "count")
    if threshold is not None and not threshold >= 0:
        raise MaskwrightError(
            f"threshold is {threshold}, but a difference of colours is 0 or more: give e.g. 2, a "
            "difference that is just visible",
            "threshold",
        )


def _best_pairs(graph: RegionGraph, at_most: int, threshold: float) -> NDArray[np.int64]:
    """Return up to `at_most` pairs (M, 2) that are each other's best and within the threshold, the best first.

    Equal differences are ordered by a number drawn for each pair, so that a constant image takes few rounds too.
    """
    differences = graph.differences
    draw = (graph.pairs[:, 0] * 2654435761 + graph.pairs[:, 1] * 2246822519) % 4294967291
    ranked = graph.pairs[np.lexsort((draw, differences))]
    ranks = np.arange(len(ranked))
    best = np.full(len(graph.sizes), len(ranked))
    np.minimum.at(best, ranked.ravel(), ranks.repeat(2))
    within = np.sort(differences) <= threshold
    mutual = (best[ranked] == ranks[:, None]).all(axis=1) & within
    return ranked[mutual][: max(at_most, 0)]


def _contracted(graph: RegionGraph, places: NDArray[np.intp]) -> RegionGraph:
    """Return the graph after regions have merged into those at `places` (K,)."""
    sizes = np.bincount(places, graph.sizes).astype(np.int64)
    sums = np.stack([np.bincount(places, graph.sizes * channel) for channel in graph.means.T], axis=1)
    pairs, lengths = _counted(places[graph.pairs], graph.lengths, len(sizes))
    return RegionGraph(np.arange(len(sizes)), sizes, sums / sizes[:, None], pairs, lengths)


def _counted(
    pairs: NDArray[np.int64], lengths: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each pair of different places once, and the sum of its lengths."""
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    apart = low != high
    keys, members = np.unique(low[apart] * count + high[apart], return_inverse=True)
    total = np.bincount(members.ravel(), lengths[apart], len(keys)).astype(np.int64)
    return np.stack([keys // count, keys % count], axis=1), total
