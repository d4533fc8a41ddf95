"""Compares the objects that an exported network emits with those of the trained one. Knows no file format and no task.

An object agrees if the other network has one of the same class whose mask has an IoU of `SAME_MASK` or more with its
own, whatever its score: near the least score of an object, rounding decides which side an object falls on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.matching import best_matches
from maskwright.metrics.object_overlap import compare

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from maskwright.core.instances import Instances

SAME_MASK = 0.9


def shared_objects(pairs: Iterable[tuple[Instances, Instances]], least: float) -> tuple[float, float]:
    """Return the share of the objects of both networks that agree, and the largest difference of their scores.

    Args:
        pairs: what the trained and the exported network emit in the same tiles.
        least: score from which an object counts. If none reaches it, all objects count.
    """
    scores: list[NDArray[np.float64]] = []
    agreeing: list[NDArray[np.bool_]] = []
    largest = 0.0
    for pair in pairs:
        compared = compare(*pair)
        matched = compared.pairs[best_matches(compared, compared.iou, compared.iou >= SAME_MASK)]
        for objects, own in zip((compared.truth, compared.found), matched.T, strict=True):
            scores.append(objects.score)
            agreeing.append(np.isin(np.arange(len(objects)), own))
        first, second = compared.truth.score[matched[:, 0]], compared.found.score[matched[:, 1]]
        counted = np.maximum(first, second) >= least
        largest = max(largest, float(np.abs(first - second)[counted].max(initial=0.0)))
    every, agrees = np.concatenate(scores), np.concatenate(agreeing)
    counted = every >= least
    if not counted.any():
        counted[:] = True
    return float(agrees[counted].mean()) if len(every) else 1.0, largest
