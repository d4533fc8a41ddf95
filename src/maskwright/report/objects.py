"""Objects in charts: found or not by size, counts against the truth, precision over recall. Computes no score."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from maskwright.core.text import count, listing, percent, plural
from maskwright.report.charts import Axis, Series, line_chart, scatter, stacked_bars

if TYPE_CHECKING:
    from maskwright.metrics.scores import ObjectScores, PrecisionCurve, SizeBin
    from maskwright.report.svg import Svg


def charts(objects: ObjectScores | None) -> dict[str, Any]:
    """Return what the page shows of objects; nothing for a task without them, or where nothing was there to count."""
    counts = () if objects is None else objects.counts
    if objects is None or not any(map(any, counts)):
        return {"objects": None}
    true, predicted = (sum(entry[side] for entry in counts) for side in (0, 1))
    words = f"{plural(true, 'object')} in {plural(len(counts), 'image')}, {count(predicted)} predicted"
    counted = scatter(f"Objects predicted against objects in the truth: {words}", counts, ("in the truth", "predicted"))
    precision = _precision(objects.curves)
    return {"objects": {"words": words, "sizes": _sizes(objects.sizes), "counts": counted, "precision": precision}}


def _sizes(sizes: tuple[SizeBin, ...]) -> Svg | None:
    if not sizes:
        return None
    edges = [*(entry.low for entry in sizes), sizes[-1].high]
    bars = [(entry.found, entry.missed) for entry in sizes]
    found, missed = (sum(bar[part] for bar in bars) for part in (0, 1))
    title = f"Objects by diameter: {count(found)} found, {count(missed)} not found"
    return stacked_bars(title, edges, bars, [_said(entry) for entry in sizes])


def _said(entry: SizeBin) -> str:
    every = entry.found + entry.missed
    part = f", {percent(entry.found / every)} found" if every else ""
    return f"{entry.low:.3g} to {entry.high:.3g} px: {plural(every, 'object')}{part}"


def _precision(curves: tuple[PrecisionCurve, ...]) -> tuple[Svg, list[tuple[str, str]]] | None:
    """Draw the curves; with what each is, and the name of its style."""
    if not curves:
        return None
    styles: tuple[Literal["strong", "other"], ...] = ("strong", "other")
    drawn: list[Series] = []
    legend: list[tuple[str, str]] = []
    for curve, style in zip(curves, styles, strict=True):
        points = [(place / (len(curve.precision) - 1), value or None) for place, value in enumerate(curve.precision)]
        drawn.append(Series(tuple(points), style))
        legend.append((f"IoU {curve.iou:g}: mask AP {percent(fmean(curve.precision))}", style))
    title = f"Precision-recall curves, {listing([words for words, _ in legend])}"
    axis = Axis(0, 1, lambda value: percent(value, 0))
    return line_chart(title, drawn, replace(axis, label="recall"), replace(axis, label="precision")), legend
