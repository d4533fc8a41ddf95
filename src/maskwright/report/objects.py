"""Objects in charts: found and missed by size, and counts predicted against counted. Computes no score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.core.text import count, percent, plural
from maskwright.report.charts import scatter, stacked_bars

if TYPE_CHECKING:
    from maskwright.metrics.scores import ObjectScores, SizeBin
    from maskwright.report.svg import Svg


def charts(objects: ObjectScores | None) -> dict[str, Any]:
    """Return what the page shows of objects; nothing for a task without them, or where nothing was there to count."""
    counts = () if objects is None else objects.counts
    if objects is None or not any(map(any, counts)):
        return {"objects": None}
    true, predicted = (sum(entry[side] for entry in counts) for side in (0, 1))
    words = f"{plural(true, 'object')} in {plural(len(counts), 'image')}, {count(predicted)} predicted"
    counted = scatter(f"Objects predicted against objects in the truth: {words}", counts, ("in the truth", "predicted"))
    return {"objects": {"words": words, "sizes": _sizes(objects.sizes), "counts": counted}}


def _sizes(sizes: tuple[SizeBin, ...]) -> Svg | None:
    if not sizes:
        return None
    edges = [*(entry.low for entry in sizes), sizes[-1].high]
    bars = [(entry.found, entry.missed) for entry in sizes]
    found, missed = (sum(bar[part] for bar in bars) for part in (0, 1))
    title = f"Objects by diameter: {count(found)} found, {count(missed)} missed"
    return stacked_bars(title, edges, bars, [_said(entry) for entry in sizes])


def _said(entry: SizeBin) -> str:
    every = entry.found + entry.missed
    part = f", {percent(entry.found / every)} found" if every else ""
    return f"{entry.low:.3g} to {entry.high:.3g} px: {plural(every, 'object')}{part}"
