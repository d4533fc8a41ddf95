"""Answers to questions about a trained model, as plain data: figures, tables, plots, pictures, and what to do next."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from maskwright.core.text import count, percent, points

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

Level = Literal["good", "note", "warning", "open"]
LEVELS: tuple[Level, ...] = ("warning", "note", "good", "open")
"""The most urgent first; `open` is a question that was not measured."""
LARGE = 1000
"""Value from which on all digits before the point are written, and none of a power of ten."""
Unit = Literal["share", "points", "px", "ms", "MB", "count", ""]
"""`share` of 0..1, shown in percent; `points`, a difference of shares, shown in percentage points."""


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval.

    Attributes:
        name: what was measured, in words.
        value: of it; None where it is undefined.
        low, high: ends of the interval; None where there is none.
        unit: of all three.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: Unit = "share"

    @property
    def ends(self) -> str:
        """The interval in words, with a space before it; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f" ({self._plain(self.low)} to {self._plain(self.high)})"

    def __str__(self) -> str:
        """Write the value with its unit and interval; a dash where it is undefined."""
        if self.value is None:
            return "-"
        unit = "" if self.unit in {"share", "count", ""} else f" {self.unit}"
        return self._plain(self.value) + unit + self.ends

    def _plain(self, value: float) -> str:
        """Write a value without the word of its unit."""
        if self.unit == "share":
            return percent(value)
        if self.unit == "points":
            return f"{'+' if value > 0 else ''}{points(value)}"
        if self.unit == "count":
            return count(value)
        return f"{value:,.0f}" if abs(value) >= LARGE else f"{value:.3g}"


Cell = str | Figure
"""A cell of a table: words, or a figure, whose name is not shown."""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: above it.
        header: one word for each column; the first column names the row.
        rows: of cells.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Plot:
    """Lines over an axis.

    Attributes:
        title: what it shows.
        x, y: what the axes show.
        lines: name -> points (x, y).
        percent: whether y is a share of 0..1.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, tuple[tuple[float, float], ...]]
    percent: bool = True


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture with its caption, RGB uint8 (H, W, 3)."""

    caption: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Cure:
    """What to do, as a command that can be pasted.

    Attributes:
        why: what it may change, in one sentence.
        verb: of maskwright, `train` for example.
        arguments: paths and the like, in order.
        options: field of the verb's request -> value; True for a switch, a tuple for an option that is repeated.
    """

    why: str
    verb: str
    arguments: tuple[str, ...] = ()
    options: Mapping[str, str | bool | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The answer to one question about a model.

    Attributes:
        key: short name, unique in a diagnosis.
        question: in the user's words.
        verdict: the answer in one or two sentences, with its figure and interval.
        level: how urgent it is.
        stake: share of the headline score that it is about, 0..1, to rank what to do next.
        figures: that the verdict rests on.
        grids, plots, drawings: shown below the verdict.
        legend: what the colours of the drawings mean, as (words, RGB).
        cures: what to do about it, the best first.
        method: how it was measured, in one or two sentences.
    """

    key: str
    question: str
    verdict: str
    level: Level = "note"
    stake: float = 0.0
    figures: tuple[Figure, ...] = ()
    grids: tuple[Grid, ...] = ()
    plots: tuple[Plot, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    legend: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    cures: tuple[Cure, ...] = ()
    method: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return all but the pictures as plain types, fit for `json.dumps`."""
        drawn = {"drawings"}
        plain = {name: value for name, value in vars(self).items() if name not in drawn}
        for name in ("figures", "grids", "plots", "cures"):
            plain[name] = [asdict(entry) for entry in plain[name]]
        plain["drawings"] = [entry.caption for entry in self.drawings]
        return plain


def in_python(cure: Cure) -> str:
    """Write a cure as a call of the Python interface."""
    words = [repr(word) for word in cure.arguments]
    words += [f"{name}={value!r}" for name, value in cure.options.items()]
    return f"mw.{cure.verb}({', '.join(words)})"
