"""Scores as rows of tables: every number with its interval, its bar and its words. Knows no HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maskwright.metrics.scores import DESCRIPTIONS
from maskwright.report.charts import interval_bar
from maskwright.report.numbers import count, decimal, finite, percent, points, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.classes import Classes
    from maskwright.metrics.scores import ClassScores, Estimate, Scores
    from maskwright.report.svg import Svg


@dataclass(frozen=True)
class Metric:
    """How one metric is named and written.

    Attributes:
        key: in `Scores.mean` and `DESCRIPTIONS`, and attribute of `ClassScores`.
        label: for people.
        unit: `percent` for shares 0..1, `px` for lengths.
    """

    key: str
    label: str
    unit: Literal["percent", "px"] = "percent"

    @property
    def description(self) -> str:
        """What the metric means, in one sentence."""
        return DESCRIPTIONS.get(self.key, "")


CLASS_METRICS = (
    Metric("iou", "IoU"),
    Metric("dice", "Dice"),
    Metric("precision", "Precision"),
    Metric("recall", "Recall"),
    Metric("boundary_iou", "Boundary IoU"),
    Metric("hd95", "HD95", "px"),
    Metric("nsd", "NSD"),
)
WIDE_METRICS = (*CLASS_METRICS[:4], Metric("accuracy", "Class accuracy"), *CLASS_METRICS[4:])
PIXEL_ACCURACY = Metric("pixel_accuracy", "Pixel accuracy")
IMAGE_METRICS = (Metric("iou_per_image", "IoU per image"), Metric("dice_per_image", "Dice per image"))


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
    cell: Cell


@dataclass(frozen=True)
class ClassRow:
    """One class: its colour (CSS), how much of it there is, and a cell for each of `CLASS_METRICS`."""

    name: str
    color: str
    pixels: str
    images: str
    share: str
    sort: int
    cells: tuple[Cell, ...]


def cell(metric: Metric, estimate: Estimate, limit: float = 1.0) -> Cell:
    """Write one estimate; `limit` is the value at the right end of its bar."""
    value = finite(estimate.value)
    if value is None:
        return Cell()
    write = _percent_points if metric.unit == "percent" else decimal
    unit = "%" if metric.unit == "percent" else " px"
    low, high = finite(estimate.low), finite(estimate.high)
    interval = None if low is None or high is None else f"{write(low)} to {write(high)}"
    title = f"{metric.label} {write(value)}{unit}" + (f", 95% interval {interval}{unit}" if interval else "")
    return Cell(write(value), interval, interval_bar(value, low, high, limits=(0.0, limit), title=title), value)


def mean_rows(scores: Scores, metrics: Sequence[Metric]) -> list[MeanRow]:
    """Return the means that `scores` holds, in the order of `metrics`."""
    estimates = {**scores.mean, PIXEL_ACCURACY.key: scores.pixel_accuracy}
    found = [metric for metric in metrics if metric.key in estimates]
    return [
        MeanRow(metric, cell(metric, estimates[metric.key], _limit(metric, [estimates[metric.key]])))
        for metric in found
    ]


def class_rows(scores: Scores, classes: Classes) -> list[ClassRow]:
    """Return one row a class, in the order of the classes."""
    total = sum(entry.pixels for entry in scores.classes)
    limits = [_limit(metric, [getattr(entry, metric.key) for entry in scores.classes]) for metric in CLASS_METRICS]
    return [_class_row(entry, css(classes, index), total, limits) for index, entry in enumerate(scores.classes)]


def css(classes: Classes, index: int) -> str:
    """Return the colour of a class for a style sheet."""
    red, green, blue = classes.colors[index] if index < len(classes) else (128, 128, 128)
    return f"#{red:02x}{green:02x}{blue:02x}"


def definitions() -> list[Metric]:
    """Return every metric that has a sentence in `DESCRIPTIONS`, once."""
    return [metric for metric in (*WIDE_METRICS, PIXEL_ACCURACY, *IMAGE_METRICS) if metric.description]


def headline(estimate: Estimate | None) -> tuple[str, str] | None:
    """Return the mean IoU and its interval (or nothing) in words, or None when it is undefined."""
    value = finite(estimate.value) if estimate is not None else None
    if estimate is None or value is None:
        return None
    if finite(estimate.low) is None or finite(estimate.high) is None:
        return percent(value), ""
    return percent(value), f"{percent(estimate.low or 0.0)} to {percent(estimate.high or 0.0)}"


def _class_row(entry: ClassScores, color: str, total: int, limits: list[float]) -> ClassRow:
    cells = tuple(
        cell(metric, getattr(entry, metric.key), limit) for metric, limit in zip(CLASS_METRICS, limits, strict=True)
    )
    part = share(entry.pixels / total) if total else share(0)
    return ClassRow(entry.name, color, count(entry.pixels), count(entry.images), part, entry.pixels, cells)


def _limit(metric: Metric, estimates: Sequence[Estimate]) -> float:
    """Return where a bar ends: at 1 for shares, at the largest value for lengths."""
    if metric.unit == "percent":
        return 1.0
    found = [value for entry in estimates for value in (finite(entry.value), finite(entry.high)) if value is not None]
    return max(found, default=1.0) or 1.0


def _percent_points(value: float) -> str:
    return points(value)
