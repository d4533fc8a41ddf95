"""Precision over recall of edges as a chart. Computes no score."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from maskwright.core.text import percent
from maskwright.report.charts import Axis, Series, line_chart

if TYPE_CHECKING:
    from maskwright.metrics.scores import Scores


def charts(scores: Scores) -> dict[str, Any]:
    """Return what the page shows of edges; nothing for another task, or without a true edge."""
    edges = scores.edges
    if edges is None or scores.score.value is None:
        return {"edges": None}
    points = [pair for pair in zip(edges.recall, edges.precision, strict=True) if any(pair)]
    best = tuple(scores.mean[key].value or 0.0 for key in ("recall", "precision"))
    words = f"precision {percent(best[1])} and recall {percent(best[0])} at the threshold {edges.threshold:.2f}"
    axis = Axis(0, 1, lambda value: percent(value, 0))
    drawn = line_chart(
        f"Precision over recall of edge pixels: {words}",
        [Series(tuple(sorted(points)))],
        replace(axis, label="recall"),
        replace(axis, label="precision"),
        mark=(best[0], best[1]),
    )
    return {"edges": {"words": words, "precision": drawn}}
