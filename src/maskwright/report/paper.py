"""A comparison of runs as tables for a paper: Markdown, CSV, and LaTeX with booktabs."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from maskwright.core.durations import format_seconds
from maskwright.core.text import compact, plural
from maskwright.report.compared import NOTHING, estimate, labelled
from maskwright.report.tables import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.metrics.scores import Estimate
    from maskwright.report.compared import ComparedRun, Comparison

RANK = 1
"""Metrics of this rank or less have a column."""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_MARKED = re.compile("[" + re.escape("".join(_SPECIAL)) + "]")


def markdown(comparison: Comparison) -> str:
    """Return a table in Markdown; the best value of each column is bold."""
    rows = _rows(comparison, lambda text: f"**{text}**", lambda text: text.replace("|", r"\|"))
    align = ["---", *["---:"] * (len(rows[0]) - 1)]
    lines = ["| " + " | ".join(row) + " |" for row in (rows[0], align, *rows[1:])]
    return "\n".join([*lines, "", caption(comparison), ""])


def latex(comparison: Comparison) -> str:
    r"""Return a table in LaTeX; it needs `\usepackage{booktabs}`."""
    rows = _rows(comparison, lambda text: rf"\textbf{{{text}}}", _escaped)
    body = [" & ".join(row) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(caption(comparison))}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def comma_separated(comparison: Comparison) -> str:
    """Return every number, unrounded, one a line: means of all metrics, then the headline metric of each class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["run", "class", "metric", "value", "low", "high", "difference", "difference_low", "difference_high"]
    )
    for run in comparison.runs:
        for metric in comparison.metrics():
            own, changed = run.scores.mean.get(metric.key, NOTHING), run.differences.get(metric.key, NOTHING)
            writer.writerow([run.name, "", metric.key, *_plain(own), *_plain(changed)])
        for entry in run.scores.classes:
            own, changed = entry[run.scores.headline], run.by_class.get(entry.name, NOTHING)
            writer.writerow([run.name, entry.name, run.scores.headline, *_plain(own), *_plain(changed)])
    return text.getvalue()


def caption(comparison: Comparison) -> str:
    """Say what the tables show."""
    scores = comparison.runs[0].scores
    images = plural(scores.images, f"{comparison.split} image")
    over = "images" if not scores.groups else plural(scores.groups, "group")
    return (
        f"Scores on {images}. In brackets: 95% intervals over {over}. Differences are to {comparison.runs[0].name}, on "
        "the same images, with intervals of the paired difference."
    )


def _rows(comparison: Comparison, bold: Callable[[str], str], escape: Callable[[str], str]) -> list[list[str]]:
    first, *others = comparison.metrics(RANK)
    best = {metric.key: comparison.best(metric) for metric in (first, *others)}
    head = ["Run", labelled(first), "Difference", *map(labelled, others), "Parameters", "Training"]
    rows = [[escape(text) for text in head]]
    for place, run in enumerate(comparison.runs):
        cells = [escape(run.name)]
        for metric in (first, *others):
            own = run.scores.mean.get(metric.key, NOTHING)
            text = estimate(metric, own) if metric is first else "-" if own.value is None else write(metric, own.value)
            cells.append(bold(text) if best[metric.key][place] else text)
            if metric is first:
                cells.append("" if not place else estimate(metric, run.differences[metric.key], signed=True))
        rows.append([*cells, *cost(run)])
    return rows


def cost(run: ComparedRun) -> tuple[str, str]:
    """Return the size of a network and the time that it was trained, written."""
    return compact(run.parameters), format_seconds(run.seconds)


def _plain(value: Estimate) -> list[float | str]:
    return ["" if each is None else each for each in (value.value, value.low, value.high)]


def _escaped(text: str) -> str:
    return _MARKED.sub(lambda found: _SPECIAL[found[0]], text)
