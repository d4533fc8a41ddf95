"""The table of a model's exports, written into the report of its run. Measures nothing.

A run is exported after its report was written, so the page has a place for the table, and the table goes into the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.files import read_text, write_text
from maskwright.report.engine import page_engine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PLACE = re.compile(r"<!-- exports -->.*?<!-- end of exports -->", re.DOTALL)


@dataclass(frozen=True)
class ExportRow:
    """One way to run a model.

    Attributes:
        name: of the export, `trained` for the trained model.
        engine: that runs it.
        arithmetic: `float32`, `int8`, `int8 and bfloat16` and the like.
        milliseconds: for one tile.
        labels: share of the pixels with the label that the trained model gives, or of the objects that both find; None
            for the trained model.
        score: on held-out images.
        bytes: of its files.
        fastest: whether no other takes less time here.
    """

    name: str
    engine: str
    arithmetic: str
    milliseconds: float
    labels: float | None
    score: float
    bytes: int
    fastest: bool = False


@dataclass(frozen=True)
class ExportTable:
    """All ways to run a model, timed in turns on one machine.

    Attributes:
        rows: the trained model first.
        metric: what `score` is, for people.
        percent: whether it is a share.
        tile: (height, width) that the times are for.
        machine: processor and cores, in words.
        objects: whether the model emits objects.
    """

    rows: Sequence[ExportRow]
    metric: str
    percent: bool
    tile: tuple[int, int]
    machine: str
    objects: bool = False

    @property
    def agreeing(self) -> str:
        """What `labels` is, for people."""
        return "same object" if self.objects else "same label"


def write_exports(report: Path, table: ExportTable) -> bool:
    """Put the table into a report in place of an earlier one; False if the page has no place for it.

    Raises:
        MaskwrightError: the file cannot be read or written.
    """
    page = read_text(report)
    part = page_engine().get_template("exports.html.j2").render(exports=table)
    filled, count = _PLACE.subn(lambda _found: part, page, count=1)
    if count:
        write_text(report, filled)
    return bool(count)
