"""Fit the least score of an object, for networks that emit objects, on validation images. Knows no network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.text import plural
from maskwright.metrics.matching import THRESHOLDS, counts_of
from maskwright.metrics.object_overlap import compare
from maskwright.tasks.base import Adjustments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from maskwright.core.instances import Instances
    from maskwright.core.targets import Target

SCORES = (*(round(0.05 * step, 2) for step in range(1, 20)), 0.97, 0.98, 0.99, 0.995)


def fit_score(results: Iterable[tuple[Instances, Target]], deadline: float | None) -> Adjustments:
    """Choose the least score of an object, by the F1 score averaged over IoU 0.5 to 0.9.

    Args:
        results: all objects of each image, whatever their score, with its truth.
        deadline: in seconds of `time.monotonic()`.
    """
    counts, objects, images, end = np.zeros((len(SCORES), len(THRESHOLDS), 3)), 0, 0, ""
    for result, target in results:
        assert target.instances is not None
        objects, images = objects + len(target.instances), images + 1
        compared = compare(target.instances, result, target.ignored, by_class=False)
        counts += [counts_of(compared.above(least)) for least in SCORES]
        if deadline is not None and time.monotonic() > deadline:
            end = "; time ran out, so another run may use more or fewer"
            break
    scores = _mean_f1(counts)
    if not objects or not scores.max():
        return Adjustments()
    # The best score of a few validation images is an accident: those that one object more or less would make the best
    # do as well.
    least = middle_of_best(SCORES, scores, 1 / objects)
    note = (
        f"minimum score of an object fitted on {plural(images, 'validation image')}: {least:g} "
        f"(F1 over IoU 0.5 to 0.9: {scores[SCORES.index(least)]:.3f}){end}"
    )
    return Adjustments({"score": least}, (note,))


def middle_of_best(tried: Sequence[float], values: NDArray[np.float64], slack: float = 0.0) -> float:
    """Return the middle of those tried whose value is the best, or `slack` less: on other images it is the safest."""
    good = [one for one, value in zip(tried, values, strict=True) if value >= values.max() - slack]
    return min(good, key=lambda one: abs(one - (good[0] + good[-1]) / 2))


def _mean_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean F1 (...) over thresholds of counts (..., thresholds, 3): hits, extra, missed."""
    hits, extra, missed = np.moveaxis(counts, -1, 0)
    return np.asarray((2 * hits / np.maximum(2 * hits + extra + missed, 1)).mean(axis=-1))
