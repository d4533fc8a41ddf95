"""One-to-one matching of annotated and predicted objects, as the cell field counts them. Knows no pixels.

At each IoU threshold as many pairs as possible are matched, as StarDist does (Schmidt et al. 2018); of the matchings
with the most pairs, the one with the largest IoU in total. Above an IoU of 1/2, objects that do not overlap have no
choice: no object has two candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.object_overlap import compare
from maskwright.ops.matching import matched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.instances import Instances
    from maskwright.metrics.object_overlap import Comparison

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
"""IoU from which on an object counts as found."""


def match_counts(
    truth: Instances,
    found: Instances,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    ignored: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Count the objects of one image that are found, that are extra and that are missed, whatever their class.

    Args:
        truth: annotated objects.
        found: predicted objects.
        thresholds: T values of IoU.
        ignored: bool (H, W), pixels of which nothing is known; None for none.

    Returns:
        (T, 3): true positives, false positives, false negatives.
    """
    return counts_of(compare(truth, found, ignored, by_class=False), thresholds)


def counts_of(compared: Comparison, thresholds: Sequence[float] = THRESHOLDS) -> NDArray[np.int64]:
    """Count the same in objects that are compared already."""
    iou = compared.iou
    true = np.count_nonzero(~compared.truth.exempt)
    counts = []
    for threshold in thresholds:
        hits = best_matches(compared, iou, iou >= threshold)
        extra = ~compared.excused
        extra[compared.pairs[hits, 1]] = False
        counts.append((len(hits), np.count_nonzero(extra), true - len(hits)))
    return np.array(counts, np.int64).reshape(-1, 3)


def best_matches(compared: Comparison, iou: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Match as many objects as possible, one to one, and of such matchings take the one with the largest total IoU.

    Args:
        compared: the objects of one image or more; crowds are not matched.
        iou: of its pairs (p,).
        allowed: (p,), which pairs may be matched.

    Returns:
        (k,) the places of the matched pairs.
    """
    places = np.flatnonzero(allowed & ~compared.truth.exempt[compared.pairs[:, 0]])
    rows, columns = compared.pairs[places].T
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    if alone.all():
        return places
    rest = places[~alone]
    breaks = np.flatnonzero(np.diff(compared.truth.image[rows[~alone]])) + 1
    solved = (part[_assigned(compared.pairs[part], iou[part])] for part in np.split(rest, breaks))
    return np.concatenate([places[alone], *solved])


def _assigned(pairs: NDArray[np.int32], iou: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which pairs (p, 2) of one image the best assignment takes."""
    rows, row = np.unique(pairs[:, 0], return_inverse=True)
    columns, column = np.unique(pairs[:, 1], return_inverse=True)
    gains = np.zeros((len(rows), len(columns)))
    gains[row, column] = 1 + iou / (2 * min(gains.shape))  # all IoUs together are worth less than one more pair
    chosen = np.zeros(gains.shape, np.bool_)
    chosen[matched(-gains)] = True
    return chosen[row, column]
