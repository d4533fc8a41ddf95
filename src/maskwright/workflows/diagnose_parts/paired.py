"""Differences between two scorings of the same images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Figure
from maskwright.metrics.intervals import by_group, intervals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.records import Record
    from maskwright.metrics.scores import Scores


def image_values(scores: Scores) -> dict[str, float]:
    """Return the headline score of each image by id; an image whose score is undefined is left out."""
    key = scores.image_headline.key
    return {entry.id: value for entry in scores.per_image if (value := entry.values[key]) is not None}


def change(before: dict[str, float], after: dict[str, float], records: Sequence[Record]) -> tuple[Figure, float]:
    """Return the mean difference of the images that both scored, with its interval, and the mean before.

    Args:
        before: score by id.
        after: of the same images.
        records: that may have been scored; they know the groups.
    """
    both = [record for record in records if record.id in before and record.id in after]
    if not both:
        return Figure("change", None, unit="points"), float("nan")
    rows = np.array([[after[record.id] - before[record.id], 1.0] for record in both])
    totals, sizes = by_group(rows, [record.group for record in both])
    low, high = (float(bound[0]) for bound in intervals(totals, sizes, _mean, np.array([np.nan])))
    known = not np.isnan(low)
    figure = Figure("change", float(rows[:, 0].mean()), low if known else None, high if known else None, "points")
    return figure, float(np.mean([before[record.id] for record in both]))


def _mean(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[:, :1] / sums[:, 1:])
