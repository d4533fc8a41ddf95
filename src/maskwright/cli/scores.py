"""Scores for the terminal: a table of the classes and one of the means. Computes nothing; `metrics` did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.cli.tables import Column, table
from maskwright.core.text import plural
from maskwright.report.gain import rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from maskwright.metrics.scores import Estimate, Metric, Scores
    from maskwright.report.content import Gain


def gain_table(gain: Gain, metrics: Iterable[Metric], label: str, width: int) -> RenderableType:
    """Draw the effect of the postprocessor `label`, with one digit more than elsewhere, since it is small."""
    found = rows(gain, metrics, "{:.4f}".format)
    return table(
        f"Effect of the {label}",
        [
            Column("mean over classes", [row.measure for row in found], kind="name"),
            Column("without", [row.without for row in found]),
            Column(f"with the {label}", [row.with_it for row in found]),
            Column("difference", [row.difference for row in found]),
        ],
        width,
    )


def score_tables(scores: Scores, split: str, width: int, postprocessor: str | None = None) -> list[RenderableType]:
    """Draw the per-class table, the means with their intervals, and the calibration in one line."""
    from rich.text import Text

    groups = f" in {plural(scores.groups, 'group')}" if scores.groups else ""
    kind = "image" if split == "all" else f"{split} image"
    how = f" with the {postprocessor}" if postprocessor else ""
    scored = f"{'all ' if split == 'all' and scores.images > 1 else ''}{plural(scores.images, kind)}"
    parts = [_means(scores, f"Scores{how} on {scored}{groups}" if not scores.classes else "Means", width)]
    if scores.classes:
        what = "pixels" if scores.objects is None else "objects"
        parts.insert(0, _classes(scores, f"Scores{how} on {scored}{groups}, by class over all {what}", width))
    parts += [Text(line) for line in (_calibration(scores),) if line]
    over = "groups" if scores.groups else "images"
    known = any(estimate.low is not None for estimate in scores.mean.values())
    how_sure = (
        f"In brackets: 95 % interval over {over}."
        if known
        else f"No intervals: they need at least four {over} that differ."
    )
    undefined = " '-' means undefined: the class is absent." if scores.classes else ""
    parts.append(Text(how_sure + undefined, style="dim"))
    return [*parts, Text(scores.scope, style="yellow")] if scores.scope else parts


def _classes(scores: Scores, title: str, width: int) -> RenderableType:
    entries = scores.classes
    metrics = [metric for metric in scores.metrics if metric.key in entries[0].values]
    return table(
        title,
        [
            Column("class", [entry.name for entry in entries], kind="name"),
            *(_column(metric, scores) for metric in metrics),
            Column("images", [str(entry.images) for entry in entries], rank=2),
            Column("pixels", [str(entry.pixels) for entry in entries], rank=5),
        ],
        width,
    )


def _column(metric: Metric, scores: Scores) -> Column:
    """Draw one metric of every class; the headline metric with its interval."""
    write = interval if metric.key == scores.headline else value
    label = metric.label + (f" {metric.unit}" if metric.unit == "px" else "")
    return Column(label, [write(entry[metric.key], _digits(metric)) for entry in scores.classes], rank=metric.rank)


def _means(scores: Scores, title: str, width: int) -> RenderableType:
    metrics = [metric for metric in scores.metrics if metric.key in scores.mean]
    return table(
        title,
        [
            Column("metric", [metric.label for metric in metrics], kind="name"),
            Column("value", [interval(scores.mean[metric.key], _digits(metric)) for metric in metrics]),
        ],
        width,
    )


def _digits(metric: Metric) -> int:
    return {"px": 1, "count": 0}.get(metric.unit, 3)


def _calibration(scores: Scores) -> str:
    if scores.calibration is None:
        return ""
    scaled = scores.calibration.ece_scaled
    text = f"calibration error {scores.calibration.ece:.3f}"
    return text if scaled is None else f"{text}, {scaled:.3f} with the fitted temperature"


def value(estimate: Estimate, digits: int = 3) -> str:
    """Write an estimate without its interval."""
    return "-" if estimate.value is None else f"{estimate.value:.{digits}f}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """Write an estimate with its interval: `0.871 (0.852..0.888)`."""
    if estimate.low is None or estimate.high is None:
        return value(estimate, digits)
    return f"{value(estimate, digits)} ({estimate.low:.{digits}f}..{estimate.high:.{digits}f})"
