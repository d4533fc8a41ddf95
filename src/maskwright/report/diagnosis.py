"""The page of a diagnosis: answers about a model as one HTML file that needs only a browser. Measures nothing."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from maskwright.core.answers import LEVELS
from maskwright.core.files import write_text
from maskwright.core.text import percent
from maskwright.report import tables
from maskwright.report.charts import Axis, Series, line_chart
from maskwright.report.engine import page_engine
from maskwright.report.pictures import reduced

if TYPE_CHECKING:
    from typing import Literal

    Style = Literal["strong", "other", "faint"]
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from maskwright.core.answers import Answer, Cure, Drawing, Grid, Plot
    from maskwright.metrics.scores import Scores
    from maskwright.report.svg import Svg

BADGES = {"warning": "Weak", "note": "Note", "good": "Good", "open": "Open"}
MEANINGS = {
    "warning": "Something to act on: the commands below the answer say how.",
    "note": "Worth knowing, but nothing is clearly wrong.",
    "good": "Measured, and as it should be.",
    "open": "Not measured. The answer says why, and how to get it.",
}
"""Level -> what its badge means."""
LONG_CELL = 24
"""Letters from which on a cell is not kept on one line."""
MOST_SIDE = 360
STYLES: tuple[Style, ...] = ("strong", "other", "faint")


@dataclass(frozen=True)
class Part:
    """One section: its name, its title, its answers."""

    name: str
    title: str
    answers: Sequence[Answer]


@dataclass(frozen=True, kw_only=True)
class DiagnosisPage:
    """Everything that the page shows.

    Attributes:
        title: which model on which data.
        scores: of the images that were looked at.
        parts: in their order.
        next_steps: answers with the command that acts on them, the most useful first.
        questions: (number, text, answers, cures of other verbs) of each practical question.
        notes: sentences on how the answers came about.
        spelled: writes a cure as a command.
    """

    title: str
    scores: Scores
    parts: Sequence[Part]
    next_steps: Sequence[tuple[Answer, str]]
    questions: Sequence[tuple[int, str, Sequence[Answer], Sequence[Cure]]]
    notes: Sequence[str]
    spelled: Callable[[Cure], str]


def write_diagnosis(path: Path, page: DiagnosisPage) -> None:
    """Write the page as one self-contained HTML file, atomically.

    Raises:
        MaskwrightError: the file cannot be written.
    """
    write_text(path, render_diagnosis(page))


def render_diagnosis(page: DiagnosisPage) -> str:
    """Return the whole page as text."""
    return (
        page_engine()
        .get_template("diagnosis.html.j2")
        .render(
            page=page,
            headline=tables.headline(page.scores),
            badges=BADGES,
            levels=MEANINGS,
            ordered=lambda answers: sorted(answers, key=lambda answer: LEVELS.index(answer.level)),
            prose_columns=prose_columns,
            css_of=tables.css_of,
            style=_style,
            chart=_chart,
            picture=_picture,
        )
    )


def prose_columns(grid: Grid) -> set[int]:
    """Return which columns of a table hold words that may need several lines."""
    return {
        place for row in grid.rows for place, cell in enumerate(row) if isinstance(cell, str) and len(cell) > LONG_CELL
    }


def _style(place: int) -> Style:
    """Return how the line of a plot is drawn: all after the second alike, as bounds."""
    return STYLES[min(place, len(STYLES) - 1)]


def _chart(plot: Plot) -> Svg:
    values = [y for line in plot.lines.values() for _, y in line]
    places = [x for line in plot.lines.values() for x, _ in line]
    write_y = (lambda value: percent(value, 0)) if plot.percent else (lambda value: f"{value:g}")
    return line_chart(
        plot.title,
        [Series(line, _style(place)) for place, line in enumerate(plot.lines.values())],
        Axis(min(places), max(places), lambda value: f"{value:g}", plot.x),
        Axis(min(values), max(values), write_y, plot.y),
    )


def _picture(drawing: Drawing) -> dict[str, Any]:
    """Return a picture as a data URI, with its size in pixels."""
    small = np.ascontiguousarray(reduced(drawing.pixels, MOST_SIDE))
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "WEBP", quality=74)
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"uri": uri, "width": small.shape[1], "height": small.shape[0]}
