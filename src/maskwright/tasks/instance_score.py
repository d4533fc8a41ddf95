"""Fit what counts as an object, for networks that emit objects, on validation images. Knows no network."""

from __future__ import annotations

import time
from itertools import product
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
    from maskwright.metrics.object_overlap import Comparison

SCORES = (*(round(0.05 * step, 2) for step in range(1, 20)), 0.97, 0.98, 0.99, 0.995)
_LEFT_OUT = {
    0.0: "",
    0.1: ", without connected parts below 10% of the object's largest one",
    1.0: ", with the largest connected part of each object only",
}
PARTS = tuple(_LEFT_OUT)
"""Least sizes of a connected part that are tried, as shares of the object's largest part."""
DOUBLES = (1.0, 0.5)
"""Largest IoUs of two objects of one class that are tried. Annotated objects are seldom so much alike."""


def fit_objects(results: Iterable[tuple[Iterable[Instances], Target]], deadline: float | None) -> Adjustments:
    """Choose which objects, and which of their parts, count, by the F1 averaged over IoU 0.5 to 0.9.

    Args:
        results: all objects of each image, whatever their score, with the first of `DOUBLES` and each of `PARTS`, then
            with the next; and the truth.
        deadline: in seconds of `time.monotonic()`.
    """
    tried = list(product(DOUBLES, PARTS))
    counts, objects, images, end = np.zeros((len(tried), len(SCORES), len(THRESHOLDS), 3)), 0, 0, ""
    for found, target in results:
        assert target.instances is not None
        objects, images = objects + len(target.instances), images + 1
        counts += [_by_score(compare(target.instances, one, target.ignored, by_class=False)) for one in found]
        if deadline is not None and time.monotonic() > deadline:
            end = "; time ran out, so another run may use more or fewer"
            break
    scores = _mean_f1(counts)
    if not objects or not scores.max():
        return Adjustments()
    # The best score of a few validation images is an accident: those that one object more or less would make the best
    # do as well.
    chosen = [middle_of_best(SCORES, each, 1 / objects) for each in scores]
    reached = [float(each[SCORES.index(least)]) for each, least in zip(scores, chosen, strict=True)]
    place = reached.index(max(reached))
    (most, part), least = tried[place], chosen[place]
    alone = f", without the less certain of two objects with an IoU above {most:g}" if most < 1 else ""
    note = (
        f"minimum score of an object fitted on {plural(images, 'validation image')}: {least:g}{_LEFT_OUT[part]}{alone} "
        f"(F1 over IoU 0.5 to 0.9: {reached[place]:.3f}){end}"
    )
    rest = {**({"part": part} if part else {}), **({"double": most} if most < 1 else {})}
    return Adjustments({"score": least, **rest}, (note,))


def _by_score(compared: Comparison) -> NDArray[np.int64]:
    """Return the counts (scores, thresholds, 3) of one image with each least score."""
    counts: dict[int, NDArray[np.int64]] = {}  # by the number of objects that stay: most scores change nothing
    kept = [int(np.count_nonzero(compared.found.score >= least)) for least in SCORES]
    for least, number in zip(SCORES, kept, strict=True):
        if number not in counts:
            counts[number] = counts_of(compared.above(least))
    return np.stack([counts[number] for number in kept])


def middle_of_best(tried: Sequence[float], values: NDArray[np.float64], slack: float = 0.0) -> float:
    """Return the middle of those tried whose value is the best, or `slack` less: on other images it is the safest."""
    good = [one for one, value in zip(tried, values, strict=True) if value >= values.max() - slack]
    return min(good, key=lambda one: abs(one - (good[0] + good[-1]) / 2))


def _mean_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean F1 (...) over thresholds of counts (..., thresholds, 3): hits, extra, missed."""
    hits, extra, missed = np.moveaxis(counts, -1, 0)
    return np.asarray((2 * hits / np.maximum(2 * hits + extra + missed, 1)).mean(axis=-1))
