"""Tables that fit the terminal: the least important columns are dropped first. Knows no verb."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

LEAST_PROSE = 28
GAP = 3


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        header: its title; it and the cells may have several lines.
        cells: one text per row.
        rank: 0 is always shown; of the others, the highest is dropped first if the table is too wide.
        kind: `number` is right-aligned, `name` left-aligned, `prose` left-aligned and wrapped where needed.
    """

    header: str
    cells: Sequence[str]
    rank: int = 0
    kind: Literal["number", "name", "prose"] = "number"

    @property
    def needs(self) -> int:
        """Width in columns of the terminal; prose can be wrapped, names and numbers cannot."""
        from rich.cells import cell_len

        longest = max(cell_len(line) for text in (self.header, *self.cells) for line in text.split("\n"))
        return (min(longest, LEAST_PROSE) if self.kind == "prose" else longest) + GAP


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Drop columns, highest rank first and rightmost among equals, until the rest fits into `width`."""
    kept = list(columns)
    while sum(column.needs for column in kept) - GAP > width and any(column.rank for column in kept):
        worst = max(range(len(kept)), key=lambda index: (kept[index].rank, index))
        del kept[worst]
    return kept


def table(title: str, columns: Sequence[Column], width: int) -> RenderableType:
    """Draw a table with as many of `columns` as fit.

    Args:
        title: above the table.
        columns: all of the same length.
        width: of the terminal, in characters.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns = [replace(column, cells=[printable(cell) for cell in column.cells]) for column in columns]
    kept = fitting(columns, width)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in kept:
        drawn.add_column(
            Text(column.header),
            justify="right" if column.kind == "number" else "left",
            overflow="fold",
            no_wrap=column.kind == "number",
        )
    for row in zip(*(column.cells for column in kept), strict=True):
        drawn.add_row(*(Text(cell) for cell in row))
    parts: list[RenderableType] = [Text(f"\n{title}", style="bold"), drawn]
    if len(kept) < len(columns):
        hidden = ", ".join(column.header.replace("\n", " ") for column in columns if column not in kept)
        parts.append(Text(f"columns that did not fit: {hidden} (widen the terminal, or use --json)", style="dim"))
    return Group(*parts)


def pairs(title: str, rows: Sequence[tuple[str, str]]) -> RenderableType:
    """Draw names and values side by side, with wrapped values."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(no_wrap=True, style="dim")
    drawn.add_column(overflow="fold")
    for name, value in rows:
        drawn.add_row(Text(name), Text(printable(value)))
    return Group(Text(f"\n{title}", style="bold"), drawn)


def printable(text: str) -> str:
    r"""Escape what stdout cannot encode, before its width counts: `\u65b9` is wider than the character."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def number(value: float) -> str:
    """Write a number with three significant digits, without an exponent if possible: `0.0123`, `12.3`, `1234`."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """Write a share 0..1 in percent: `0.02 %`, `3.4 %`, `62 %`."""
    return f"{number(100 * share)} %"
