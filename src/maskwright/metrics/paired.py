"""The difference of two models on the same images, with its 95 % interval. Knows scores, and no pixels.

An image that is hard for one model is hard for the other. So the difference of the two values is computed anew without
each image (or group) in turn, as in `metrics.intervals`, and its interval is usually much narrower than that of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.text import listing
from maskwright.metrics.intervals import difference_interval
from maskwright.metrics.scores import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.metrics.scores import Scores

Row = tuple[str, str]
"""A group by name, or an image without one by its id."""


def difference(
    first: Scores, second: Scores, key: str, class_name: str | None = None, *, one_sided: bool = False
) -> Estimate:
    """Return by how much a mean metric of the second model is larger than that of the first.

    Args:
        first: scores of a model.
        second: of another, on the same images.
        key: of the metric.
        class_name: compare the headline metric of this class instead of a mean.
        one_sided: give bounds of which each alone holds with 95 %.

    Returns:
        The difference; None where one of the two values is undefined, and without bounds where fewer than four images
        or groups tell the models apart.

    Raises:
        MaskwrightError: the scores are of other images (`check_same`).
    """
    place = check_same(first, second)
    before, after = (_estimate(scores, key, class_name) for scores in (first, second))
    if before.value is None or after.value is None:
        return Estimate(None, None, None)
    value = after.value - before.value
    if before.without is None or after.without is None:
        return Estimate(value, None, None)
    rows = rows_of(first)
    sizes = np.array(list(rows.values()), np.float64)
    moved = after.without[place] - before.without
    low, high = difference_interval(value, moved, sizes, one_sided=one_sided)
    return Estimate(value, None, None) if np.isnan(low) else Estimate(value, low, high)


def check_same(first: Scores, second: Scores) -> NDArray[np.intp]:
    """Check that two models were scored on the same images, and say where the rows of the first are in the second.

    Raises:
        MaskwrightError: another task, other classes, other images, or other groups of them.
    """
    if first.task != second.task:
        raise MaskwrightError(
            f"one model is for the task {first.task}, the other for {second.task}: compare models of one task"
        )
    names = [[entry.name for entry in scores.classes] for scores in (first, second)]
    if names[0] != names[1]:
        raise MaskwrightError(
            f"one model has the classes {', '.join(names[0])}, the other {', '.join(names[1])}: compare models with "
            "the same classes"
        )
    images = [{(entry.id, entry.group) for entry in scores.per_image} for scores in (first, second)]
    if images[0] != images[1]:
        other = sorted(name for name, _ in images[0] ^ images[1])
        raise MaskwrightError(
            f"the models were not scored on the same images (for example {listing(other, 2)}): score both on one data "
            "set, given with `data`"
        )
    places = {row: place for place, row in enumerate(rows_of(second))}
    return np.array([places[row] for row in rows_of(first)], np.intp)


def rows_of(scores: Scores) -> dict[Row, int]:
    """Return the rows that `Estimate.without` leaves out one of, with the images in each (`intervals.by_group`)."""
    found: dict[Row, int] = {}
    for entry in scores.per_image:
        row = ("image", entry.id) if entry.group is None else ("group", entry.group)
        found[row] = found.get(row, 0) + 1
    return found


def _estimate(scores: Scores, key: str, class_name: str | None) -> Estimate:
    if class_name is None:
        return scores.mean.get(key, Estimate(None, None, None))
    return next(entry for entry in scores.classes if entry.name == class_name)[key]
