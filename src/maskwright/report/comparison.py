"""The page that compares runs: one HTML file that needs only a browser. Computes no score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.files import write_text
from maskwright.core.text import compact, count, decimal, percent
from maskwright.report import paper
from maskwright.report.charts import Axis, Series, interval_bar, line_chart
from maskwright.report.compared import NOTHING, ComparedRun, Comparison, estimate, labelled, verdict
from maskwright.report.curves import Curve, Point, smoothed, thinned
from maskwright.report.engine import page_engine
from maskwright.report.facts import differing
from maskwright.report.tables import cell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from maskwright.metrics.scores import Estimate, Metric
    from maskwright.report.svg import Svg
    from maskwright.report.tables import Cell

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c564b")
"""Of the runs in turn: the palette of Okabe and Ito, which most people who are colour-blind can tell apart."""
SMOOTHING = 0.02


@dataclass(frozen=True)
class RunRow:
    """One run in the first table."""

    name: str
    run: str
    color: str
    cell: Cell
    best: bool
    difference: str
    verdict: str
    values: tuple[tuple[str, bool], ...]
    cost: tuple[str, ...]


@dataclass(frozen=True)
class DifferenceRow:
    """One metric, or one class, of one run: both values and their difference."""

    what: str
    run: str
    color: str
    first: str
    second: str
    difference: str
    bar: Svg | None
    verdict: str


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the page as one self-contained HTML file, atomically.

    Raises:
        MaskwrightError: the file cannot be written.
    """
    write_text(path, render(comparison))


def render(comparison: Comparison) -> str:
    """Return the whole page as text."""
    runs = comparison.runs
    rows, others = _run_rows(comparison), comparison.metrics(paper.RANK)[1:]
    return (
        page_engine()
        .get_template("comparison.html.j2")
        .render(
            title=" and ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} runs",
            first=runs[0].name,
            caption=paper.caption(comparison),
            scope=next((run.scores.scope for run in runs if run.scores.scope), None),
            notes=comparison.notes,
            headline=labelled(comparison.headline),
            others=[labelled(metric) for metric in others],
            rows=rows,
            differences=_by_metric(comparison),
            by_class=_by_class(comparison),
            curves=_curves(comparison),
            legend=[(row.name, row.color) for row in rows],
            decisions=differing([run.plan for run in runs]),
            tables=[("Markdown", paper.markdown(comparison)), ("LaTeX (booktabs)", paper.latex(comparison))],
        )
    )


def _color(place: int) -> str:
    return COLORS[place % len(COLORS)]


def _run_rows(comparison: Comparison) -> list[RunRow]:
    first, *others = comparison.metrics(paper.RANK)
    best = {metric.key: comparison.best(metric) for metric in (first, *others)}
    found = []
    for place, run in enumerate(comparison.runs):
        change = run.differences.get(first.key, NOTHING)
        values = [run.scores.mean.get(metric.key, NOTHING) for metric in others]
        found.append(
            RunRow(
                name=run.name,
                run=run.run,
                color=_color(place),
                cell=cell(first, run.scores.mean[first.key]),
                best=best[first.key][place],
                difference=estimate(first, change, signed=True) if place else "",
                verdict=verdict(first, change) if place else "",
                values=tuple(
                    (estimate(metric, _bare(value)), best[metric.key][place])
                    for metric, value in zip(others, values, strict=True)
                ),
                cost=(*paper.cost(run), count(run.steps), f"{decimal(run.bytes / 1e6)} MB"),
            )
        )
    return found


def _bare(value: Estimate) -> Estimate:
    return type(value)(value.value, None, None)


def _by_metric(comparison: Comparison) -> list[DifferenceRow]:
    found = []
    for metric in comparison.metrics():
        changes = [run.differences.get(metric.key, NOTHING) for run in comparison.runs[1:]]
        values = [run.scores.mean.get(metric.key, NOTHING) for run in comparison.runs]
        found += _rows(comparison, metric, labelled(metric), values, changes)
    return found


def _by_class(comparison: Comparison) -> list[DifferenceRow]:
    """Return the headline metric of each class; nothing where there is only one class."""
    metric, first = comparison.headline, comparison.runs[0].scores
    if len(first.classes) < 2:
        return []
    found = []
    for place, entry in enumerate(first.classes):
        changes = [run.by_class.get(entry.name, NOTHING) for run in comparison.runs[1:]]
        values = [run.scores.classes[place][metric.key] for run in comparison.runs]
        found += _rows(comparison, metric, entry.name, values, changes)
    return found


def _rows(
    comparison: Comparison, metric: Metric, what: str, values: list[Estimate], changes: list[Estimate]
) -> list[DifferenceRow]:
    bounds = [abs(bound) for entry in changes for bound in (entry.value, entry.low, entry.high) if bound is not None]
    most = max(bounds, default=1.0) or 1.0
    found = []
    for place, change in enumerate(changes, start=1):
        bar = None
        if change.value is not None:
            title = f"{what}: {estimate(metric, change, signed=True)}"
            bar = interval_bar(change.value, change.low, change.high, limits=(-most, most), title=title)
        run = comparison.runs[place]
        first, second = (estimate(metric, _bare(value)) for value in (values[0], values[place]))
        words = estimate(metric, change, signed=True), bar, verdict(metric, change)
        found.append(DifferenceRow(what, run.name, _color(place), first, second, *words))
    return found


def _curves(comparison: Comparison) -> list[Curve]:
    """Draw the validation scores and the losses of all runs over the time of their steps."""
    metric = comparison.headline
    key = f"val_{metric.key}"
    scores = _chart(
        f"Validation {metric.label}",
        "Over the time of the steps, each at the working resolution of its run.",
        [_over_time(run, key) for run in comparison.runs],
        lambda value: percent(value, 0) if metric.unit == "share" else f"{value:.4g}",
        dots=True,
    )
    losses = []
    for run in comparison.runs:
        points = _over_time(run, "loss")
        smooth = smoothed([y for _, y in points], round(len(points) * SMOOTHING))
        losses.append(thinned([(x, y) for (x, _), y in zip(points, smooth, strict=True)]))
    note = "Smoothed. Runs whose plans differ in the loss or the augmentation cannot be compared by it."
    loss = _chart("Training loss", note, losses, lambda value: f"{value:.4g}")
    return [chart for chart in (scores, loss) if chart is not None]


def _over_time(run: ComparedRun, key: str) -> list[Point]:
    rows: list[Mapping[str, float | None]] = [row for row in run.history if row.get(key) is not None]
    return [(row["seconds"] or 0.0, value) for row in rows if (value := row[key]) is not None]


def _chart(
    title: str, note: str, lines: list[list[Point]], write: Callable[[float], str], *, dots: bool = False
) -> Curve | None:
    points = [point for line in lines for point in line]
    if not points:
        return None
    heights = sorted(y for _, y in points)
    usual = heights[int(len(heights) * 0.98)]
    x_axis = Axis(0, max(x for x, _ in points), compact, "seconds")
    y_axis = Axis(min(0.0, heights[0]), heights[-1] if dots else min(heights[-1], 2 * abs(usual)), write)
    series = [Series(tuple(line), "dotted" if dots else "strong", _color(place)) for place, line in enumerate(lines)]
    return Curve(title, note, line_chart(f"{title} of {len(lines)} runs", series, x_axis, y_axis))
