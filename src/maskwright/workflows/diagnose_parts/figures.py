"""Scores and estimates as figures of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Figure
from maskwright.metrics.paired import difference
from maskwright.metrics.summary import estimated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.answers import Unit
    from maskwright.metrics.scores import Estimate, Metric, Scores


def figure(name: str, estimate: Estimate, unit: Unit = "share") -> Figure:
    """Return an estimate as a figure."""
    return Figure(name, estimate.value, estimate.low, estimate.high, unit)


def ratio(name: str, rows: NDArray[np.float64], groups: Sequence[str | None]) -> Figure:
    """Return the share that the first column of rows (n, 2) over images is of the second, with its interval."""
    return figure(name, estimated(rows, groups, _ratio, np.ones(1))[0])


def mean(scores: Sequence[Scores]) -> Estimate:
    """Return the mean headline score of the images of one or more scorings, with its interval over images or groups."""
    metric = scores[0].image_headline
    images = [(entry.values[metric.key], entry.group) for each in scores for entry in each.per_image]
    known = [(value, group) for value, group in images if value is not None]
    sums = np.array([[value, 1.0] for value, _ in known]).reshape(-1, 2)
    top = np.array([1.0 if metric.unit == "share" else np.inf])
    return estimated(sums, [group for _, group in known], _ratio, top)[0]


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[:, :1] / sums[:, 1:])


def unit_of(metric: Metric, *, difference: bool = False) -> Unit:
    """Return the unit of a metric's values, or of differences of them."""
    return "points" if difference and metric.unit == "share" else metric.unit


def change(before: Scores, after: Scores) -> Figure:
    """Return by how much the headline score is higher in the second of two scorings of the same images."""
    found = difference(before, after, before.headline)
    return figure("change", found, unit_of(before.headline_metric, difference=True))
