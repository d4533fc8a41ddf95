"""Found and true edge pixels of one image, counted at each threshold. Knows one image, and nothing of the data set.

The protocol of the Berkeley benchmark (Martin, Fowlkes, Malik 2004, "Learning to Detect Natural Image Boundaries";
Arbelaez et al. 2011, "Contour Detection and Hierarchical Image Segmentation"). At each threshold the edge map is cut
off, thinned to one pixel and matched with the boundaries of each annotator in turn, within a share of the image
diagonal. A true pixel counts once for each annotator who drew it. A found pixel is right if it is matched with a pixel
of any annotator. The functions are pure, so callers can score images in parallel.
"""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.ops.edge_matching import matched
from maskwright.ops.edges import thin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

THRESHOLDS = 99
"""Number of thresholds, as in the benchmark."""
REACH = 0.0075
"""Largest distance of a match as a share of the image diagonal, as in the benchmark."""


def thresholds_of(number: int) -> NDArray[np.float64]:
    """Return thresholds (K,), ascending, that divide 0..1 evenly: 0.01, 0.02, ..., 0.99 for 99."""
    return np.arange(1, number + 1) / (number + 1)


def edge_counts(
    strength: NDArray[np.floating],
    annotators: Sequence[NDArray[np.bool_]],
    thresholds: int = THRESHOLDS,
    reach: float = REACH,
) -> NDArray[np.int64]:
    """Count the edge pixels of one image.

    Args:
        strength: edge map (H, W) within 0..1, usually after `ops.edges.suppress`. An edge is where it is at least the
            threshold.
        annotators: boundaries (H, W) of each annotator, at least one; they may be empty.
        thresholds: their number K, evenly within 0..1.
        reach: largest distance of a match, as a share of the image diagonal.

    Returns:
        (K, 4), for each threshold: true pixels that are matched, true pixels, found pixels that are matched, found
        pixels. The first two are sums over annotators.

    Raises:
        MaskwrightError: no annotator, a map of another size, or a strength outside 0..1.
    """
    _check(strength, annotators)
    pixels = reach * hypot(*strength.shape)
    truth = sum(np.count_nonzero(edges) for edges in annotators)
    counts = np.zeros((thresholds, 4), np.int64)
    counts[:, 1] = truth
    edges_before, row_before = np.zeros(strength.shape, np.bool_), counts[0].copy()
    # In the precision of the map: 0.7 of float32 is below 0.7 of float64.
    for row, threshold in zip(counts, thresholds_of(thresholds).astype(strength.dtype), strict=True):
        edges = strength >= threshold
        if not np.array_equal(edges, edges_before):
            edges_before, row_before = edges, _counted(thin(edges), annotators, pixels)
        row[:] = row_before
    return counts


def _counted(found: NDArray[np.bool_], annotators: Sequence[NDArray[np.bool_]], reach: float) -> NDArray[np.int64]:
    """Match thin edges with each annotator; the counts (4,) of `edge_counts`."""
    right = np.zeros(found.shape, np.bool_)
    recalled = 0
    for truth in annotators:
        matched_found, matched_truth = matched(found, truth, reach)
        right |= matched_found
        recalled += int(matched_truth.sum())
    total = sum(np.count_nonzero(truth) for truth in annotators)
    return np.array([recalled, total, np.count_nonzero(right), np.count_nonzero(found)])


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
