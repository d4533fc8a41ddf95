"""Where the names of the classes are written, and how one more is added there: for cures. Opens no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.text import agree

if TYPE_CHECKING:
    from collections.abc import Sequence

    Color = tuple[int, int, int]

_TAB = "<tab>"
BARE = "{name}"
"""The line of a table that lists names and nothing else."""


@dataclass(frozen=True)
class Naming:
    """The table that names the classes of a data set.

    Attributes:
        file: name of the table; empty if there is none.
        line: a class as the table writes it, with `{name}`, `{id}`, and `{r}`, `{g}` and `{b}` or `{hex}`; empty if
            that is unknown.
        numbered: the table gives the ids of the classes, and not only their order.
        advice: what to do instead, if no table can be changed.
    """

    file: str = ""
    line: str = ""
    numbered: bool = False
    advice: str = ""

    def with_values(self, values: Sequence[int], following: int | None = None) -> str:
        """Say how to name `values`; `following` is the id that comes next where only the order of the names counts."""
        if self.advice:
            return self.advice
        added = [f"{value},{_placeholder(value)}" for value in values]
        among = f"one id,name per line, among them {' and '.join(added)}"
        if not self.file:
            return f"list all values in classes.txt, {among}"
        if self.numbered and self.line:
            colors = [(0, 0, 0) if value == 0 else None for value in values]
            lines = [self._row(*row) for row in zip(values, map(_placeholder, values), colors, strict=True)]
            return f"add the {agree(len(lines), 'line', 'lines')} {' and '.join(lines)} to {self.file}{self._tab}"
        if self.line == BARE and [following] == list(values):
            return f"add the name of {following} to the end of {self.file}"
        if self.line == BARE:
            return f"begin each line of {self.file} with its id, from 0 on, and add {' and '.join(added)}"
        return f"list all values in a table, {among}, and give it as `read.classes`"

    def with_colors(self) -> str:
        """Say how to name all colours, where nothing names any."""
        if self.file:
            return "list the colours in a table (name,r,g,b) and give it as `read.classes`"
        return "list the colours in classes.csv (name,r,g,b)"

    def with_color(self, color: Color) -> str:
        """Say how to name a colour."""
        if self.advice:
            return self.advice
        if "{r}" in self.line or "{hex}" in self.line:
            return f"add the line {self._row('ID', 'NAME', color)} to {self.file}{self._tab}"
        written = f"among them NAME,{','.join(map(str, color))}"
        if self.file:
            return f"list all colours in a table, one name,r,g,b per line, {written}, and give it as `read.classes`"
        return f"list all colours in classes.csv, one name,r,g,b per line, {written}"

    def counted_from(self, start: int, first: str) -> str:
        """Say how to give the classes ids that begin at `start`; `first` is the name of the first."""
        if self.numbered:
            return f"correct the ids in {self.file}, so that {first} has {start}, and so on"
        if self.line == BARE:
            return f"begin each line of {self.file} with its id (the first is {start},{first})"
        return f"list the names in a table, one id,name per line (the first is {start},{first}), as `read.classes`"

    def _row(self, number: int | str, name: str, color: Color | None) -> str:
        red, green, blue, code = ("R", "G", "B", "RRGGBB") if color is None else (*color, bytes(color).hex())
        return self.line.format(id=number, name=name, r=red, g=green, b=blue, hex=code).replace("\t", _TAB)

    @property
    def _tab(self) -> str:
        return f" ({_TAB} is a tab)" if "\t" in self.line else ""


def _placeholder(value: int) -> str:
    return "background" if value == 0 else "NAME"


NOWHERE = Naming()
"""No table names the classes."""
