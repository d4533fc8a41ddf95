"""Found and true edge pixels of one image, counted at each threshold. Knows one image, and nothing of the data set.

The protocol of the Berkeley benchmark (Martin, Fowlkes, Malik 2004, "Learning to Detect Natural Image Boundaries";
Arbelaez et al. 2011, "Contour Detection and Hierarchical Image Segmentation"). At each threshold the edge map is cut
off, thinned to one pixel and matched with the boundaries of each annotator in turn, within a share of the image
diagonal. A true pixel counts once for each annotator who drew it. A found pixel is right if it is matched with a pixel
of any annotator. The functions are pure.
"""

from __future__ import annotations

from functools import partial
from math import hypot
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.edges import REACH
from maskwright.core.errors import MaskwrightError
from maskwright.ops.edge_matching import Matcher
from maskwright.ops.edges import thin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from numpy.typing import NDArray

THRESHOLDS = 99
"""Number of thresholds, as in the benchmark."""
PARTS = 8
"""Runs of neighbouring thresholds that are counted apart. It does not depend on the machine, so no result does."""


def thresholds_of(number: int) -> NDArray[np.float64]:
    """Return thresholds (K,), ascending, that divide 0..1 evenly: 0.01, 0.02, ..., 0.99 for 99."""
    return np.arange(1, number + 1) / (number + 1)


def edge_counts(
    strength: NDArray[np.floating],
    annotators: Sequence[NDArray[np.bool_]],
    thresholds: int = THRESHOLDS,
    reach: float = REACH,
    pool: Executor | None = None,
    *,
    quick: bool = False,
) -> NDArray[np.int64]:
    """Count the edge pixels of one image.

    Args:
        strength: edge map (H, W) within 0..1, usually after `ops.edges.suppress`. An edge is where it is at least the
            threshold.
        annotators: boundaries (H, W) of each annotator, at least one; they may be empty.
        thresholds: their number K, evenly within 0..1.
        reach: largest distance of a match, as a share of the image diagonal.
        pool: counts at several thresholds at the same time. The result is the same without it.
        quick: do not choose the shortest of the largest matchings, which is up to 18 times as fast. Only the third
            count changes, by a few in a thousand, or by 1 % where few pixels are found.

    Returns:
        (K, 4), for each threshold: true pixels that are matched, true pixels, found pixels that are matched, found
        pixels. The first two are sums over annotators.

    Raises:
        MaskwrightError: no annotator, a map of another size, or a strength outside 0..1.
    """
    _check(strength, annotators)
    # In the precision of the map: 0.7 of float32 is below 0.7 of float64.
    parts = np.array_split(thresholds_of(thresholds).astype(strength.dtype), PARTS)
    work = partial(_counts_at, strength, annotators, reach * hypot(*strength.shape), shortest=not quick)
    return np.concatenate(list((pool.map if pool else map)(work, parts)))


def _counts_at(
    strength: NDArray[np.floating],
    annotators: Sequence[NDArray[np.bool_]],
    reach: float,
    thresholds: NDArray[np.floating],
    *,
    shortest: bool,
) -> NDArray[np.int64]:
    """Count at some thresholds (K,), ascending; `reach` in pixels."""
    matchers = [Matcher(truth, reach, shortest=shortest) for truth in annotators]
    counts = np.zeros((len(thresholds), 4), np.int64)
    counts[:, 1] = sum(np.count_nonzero(truth) for truth in annotators)
    edges_before, row_before = np.zeros(strength.shape, np.bool_), counts[:1].copy()
    # From the highest, so that edges only grow.
    for row, threshold in zip(counts[::-1], thresholds[::-1], strict=True):
        edges = strength >= threshold
        if not np.array_equal(edges, edges_before):
            found = thin(edges)
            pairs = [matcher.matched(found) for matcher in matchers]
            right = np.logical_or.reduce([of_found for of_found, _ in pairs])
            recalled = sum(np.count_nonzero(of_truth) for _, of_truth in pairs)
            edges_before = edges
            row_before = np.array([[recalled, row[1], np.count_nonzero(right), np.count_nonzero(found)]])
        row[:] = row_before
    return counts


def _check(strength: NDArray[np.floating], annotators: Sequence[NDArray[np.bool_]]) -> None:
    if not annotators:
        raise MaskwrightError("the image has no annotator, and scoring edges needs at least one: add a boundary map")
    for number, truth in enumerate(annotators, 1):
        if truth.shape != strength.shape:
            raise MaskwrightError(
                f"the boundary map of annotator {number} has {_size(truth.shape)} pixels and the edge map has "
                f"{_size(strength.shape)}, and they must have the same size: resize the edge map to the size of its "
                "image, or leave out this annotator"
            )
    low, high = (float(bound(strength, initial=0.0)) for bound in (np.min, np.max))
    if not 0 <= low <= high <= 1:
        raise MaskwrightError(
            f"the edge map holds values in {low:g}..{high:g}, and they must be within 0..1: divide 8-bit values by "
            "255, and replace NaN by 0"
        )


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape[::-1]))
