"""Distances between true and predicted edges: HD95 and the normalised surface distance. Knows one image at a time.

The edge of a class are its pixels with a side towards another label, an ignored pixel or the border of the image.
"""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING

import numpy as np

from maskwright.ops.distance import contour, nearest_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray


def surface_scores(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int, tolerance: float = 2.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score the edges of every class of one image.

    HD95 is the larger one of the two 95th percentiles (linear between pixels) of the distances from each edge to the
    other. NSD is the share of both edges' pixels within `tolerance` of the other edge (Nikolov et al. 2018).

    Args:
        prediction: class indices or `IGNORE` (H, W); what is `IGNORE` in the truth has to be here too.
        truth: class indices or `IGNORE` (H, W).
        classes: K.
        tolerance: in pixels.

    Returns:
        HD95 (K,) in pixels and NSD (K,). NaN for a class in neither map; the image diagonal and 0 for one in only one.
    """
    hd95, nsd = np.full(classes, np.nan), np.full(classes, np.nan)
    ours, theirs = _edges(prediction, classes), _edges(truth, classes)
    for index, (predicted, true) in enumerate(zip(ours, theirs, strict=True)):
        if len(predicted) and len(true):
            there, back = nearest_distances(predicted, true)
            hd95[index] = max(_percentile95(there), _percentile95(back))
            near = np.count_nonzero(there <= tolerance) + np.count_nonzero(back <= tolerance)
            nsd[index] = near / (len(there) + len(back))
        elif len(predicted) or len(true):
            hd95[index], nsd[index] = hypot(*truth.shape), 0.0
    return hd95, nsd


def _edges(labels: NDArray[np.uint8], classes: int) -> list[NDArray[np.intp]]:
    """Return the edge's pixels (n, 2) of every class."""
    rows, columns = np.nonzero(contour(labels))
    owners = labels[rows, columns]
    order = np.argsort(owners, kind="stable")
    ends = np.cumsum(np.bincount(owners, minlength=256)[:classes])
    points = np.stack([rows[order], columns[order]], 1)
    return np.split(points[: ends[-1]], ends[:-1])


def _percentile95(distances: NDArray[np.float32]) -> float:
    """Return what `np.percentile(distances, 95)` does, without its overhead."""
    place = 0.95 * (len(distances) - 1)
    low = int(place)
    high = min(low + 1, len(distances) - 1)
    ranked = np.partition(distances, (low, high))
    return float(ranked[low] + (place - low) * (float(ranked[high]) - float(ranked[low])))
