"""Scores as rows of tables: every number with its interval, its bar and its words. Knows no HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.text import count, decimal, finite, points, share
from maskwright.report.charts import interval_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.classes import Classes
    from maskwright.metrics.scores import ClassScores, Estimate, Metric, Scores
    from maskwright.report.svg import Svg


LAST = 6
"""Rank from which on a metric has no column in the table of classes."""


@dataclass(frozen=True)
class Cell:
    """One estimate, written: its value, its interval, its bar, and the number to sort by; all None if undefined."""

    text: str | None = None
    interval: str | None = None
    bar: Svg | None = None
    sort: float | None = None


@dataclass(frozen=True)
class MeanRow:
    """One mean over classes or images."""

    metric: Metric
    unit: str
    cell: Cell


@dataclass(frozen=True)
class ClassRow:
    """One class: its colour (CSS), how much of it there is, and a cell for each of `class_metrics`."""

    name: str
    color: str
    pixels: str
    images: str
    share: str
    sort: int
    cells: tuple[Cell, ...]


def class_metrics(scores: Scores) -> list[Metric]:
    """Return the metrics that every class has a value of, without those that rank last."""
    if not scores.classes:
        return []
    return [metric for metric in scores.metrics if metric.key in scores.classes[0].values and metric.rank < LAST]


def write(metric: Metric, value: float) -> str:
    """Write a value without its unit: shares in percent."""
    if metric.unit == "count":
        return count(value)
    return points(value) if metric.unit == "share" else decimal(value)


def unit(metric: Metric) -> str:
    """Return what follows a written value."""
    return {"share": "%", "px": " px"}.get(metric.unit, "")


def written(metric: Metric, value: float) -> str:
    """Write a value with its unit."""
    return write(metric, value) + unit(metric)


def cell(metric: Metric, estimate: Estimate, limits: tuple[float, float] = (0.0, 1.0)) -> Cell:
    """Write one estimate; `limits` are the values at the ends of its bar."""
    value = finite(estimate.value)
    if value is None:
        return Cell()
    low, high = finite(estimate.low), finite(estimate.high)
    interval = None if low is None or high is None else f"{write(metric, low)} to {write(metric, high)}"
    mark = unit(metric)
    title = f"{metric.label} {write(metric, value)}{mark}" + (f", 95% interval {interval}{mark}" if interval else "")
    bar = interval_bar(value, low, high, limits=limits, title=title)
    return Cell(write(metric, value), interval, bar, value)


def mean_rows(scores: Scores) -> list[MeanRow]:
    """Return one row a metric, in the order of the scores' table."""
    return [
        MeanRow(metric, unit(metric), cell(metric, estimate, _limits(metric, [estimate])))
        for metric in scores.metrics
        if (estimate := scores.mean.get(metric.key)) is not None
    ]


def class_rows(scores: Scores, classes: Classes) -> list[ClassRow]:
    """Return one row a class, in the order of the classes."""
    total = sum(entry.pixels for entry in scores.classes)
    metrics = class_metrics(scores)
    limits = [(metric, _limits(metric, [entry[metric.key] for entry in scores.classes])) for metric in metrics]
    places = {name: index for index, name in enumerate(classes.names)}  # the background may be no row of its own
    return [
        _class_row(entry, css(classes, places.get(entry.name, len(places))), total, limits) for entry in scores.classes
    ]


def css(classes: Classes, index: int) -> str:
    """Return the colour of a class for a style sheet."""
    return css_of(classes.colors[index] if index < len(classes) else (128, 128, 128))


def css_of(color: tuple[int, int, int]) -> str:
    """Return an RGB colour for a style sheet."""
    red, green, blue = color
    return f"#{red:02x}{green:02x}{blue:02x}"


def headline(scores: Scores) -> tuple[str, str] | None:
    """Return the headline metric and its interval (or nothing) in words, or None when it is undefined."""
    metric, estimate = scores.headline_metric, scores.score
    value, low, high = (finite(bound) for bound in (estimate.value, estimate.low, estimate.high))
    if value is None:
        return None
    interval = "" if low is None or high is None else f"{written(metric, low)} to {written(metric, high)}"
    return written(metric, value), interval


def _class_row(
    entry: ClassScores, color: str, total: int, limits: list[tuple[Metric, tuple[float, float]]]
) -> ClassRow:
    cells = tuple(cell(metric, entry[metric.key], ends) for metric, ends in limits)
    part = share(entry.pixels / total) if total else share(0)
    return ClassRow(entry.name, color, count(entry.pixels), count(entry.images), part, entry.pixels, cells)


def _limits(metric: Metric, estimates: Sequence[Estimate]) -> tuple[float, float]:
    """Return where bars begin and end.

    Those of shares go from 0 to 1, others to the largest value; they begin at its opposite where one is negative.
    """
    if metric.unit == "share":
        return 0.0, 1.0
    bounds = [bound for entry in estimates for bound in (entry.value, entry.low, entry.high)]
    found = [bound for entry in bounds if (bound := finite(entry)) is not None]
    most = max(map(abs, found), default=1.0) or 1.0
    return (-most if min(found, default=0.0) < 0 else 0.0), most
