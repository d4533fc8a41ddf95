"""Names that fit the values in masks only if they are moved by one: each class would get the name of another.

A list of bare names counts from 0. Masks may count from 1, or hold a background that the list leaves out. Knows no
colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.classes import BACKGROUND_NAMES
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, plural, such_as
from maskwright.data.formats.meaning.tables import naming_of

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.data.formats.meaning.scan import Held, Scan
    from maskwright.data.formats.meaning.tables import ClassTable, Entry

_WHITE = 255
_MOST_MAPPED = 9


def shift_fault(table: ClassTable | None, scan: Scan, options: ReadOptions) -> tuple[Fault, ...]:
    """Warn where some masks count from 1 and others from 0: those hold one id too many, and never 0."""
    explained = options.ignored() | set(options.map)
    if table is None:
        return () if explained else _two_starts(scan)
    count = len(_listed(table))
    if not _counts_from_0(table) or count in explained:
        return ()
    high = [held for held in scan.held if count in held.values and max(held.values.keys() - {_WHITE}) == count]
    if len(high) < 2 or any(0 in held.values for held in high):
        return ()
    lacking = sum(0 not in held.values for held in scan.held)
    return (
        Fault(
            "shifted-ids",
            "warning",
            high[0].mask.path,
            f"{len(high)} masks hold {count}, which {table.path.name} does not name, and never 0; they, and perhaps "
            f"all {lacking} masks without 0, seem to count from 1, so each class would get the name of another",
            f"subtract 1 from the values in these masks; if {count} is no class, use `read.map` {count}=ignore",
        ),
    )


def _two_starts(scan: Scan) -> tuple[Fault, ...]:
    """Warn where masks without 0, or one, hold an id more than those with 0, and mostly 1 instead of 0."""
    low = [held for held in scan.held if 0 in held.values]
    high = [held for held in scan.held if min(held.values, default=0) == 1]
    if len(low) < 2 or not high:
        return ()
    tops = [max(value for held in group for value in held.values if value != _WHITE) for group in (low, high)]
    mostly = [
        2 * sum(_commonest(held) == start for held in group) > len(group) for start, group in enumerate((low, high))
    ]
    if not 0 < tops[0] == tops[1] - 1 or not all(mostly):
        return ()
    mask = high[0].mask
    message = (
        f"{plural(len(high), 'mask')} ({such_as(len(high), mask.name)}) {agree(len(high), 'holds', 'hold')} 1 to "
        f"{tops[1]}, mostly 1, and never 0; {len(low)} others hold 0 to {tops[0]}, and mostly 0: "
        "the first may count from 1, so each class there would be another"
    )
    them = agree(len(high), "this mask", "these masks")
    cure = f"if so, subtract 1 from the values in {them}; if not, list all values in classes.txt (id,name)"
    return (Fault("shifted-ids", "warning", mask.path, message, cure),)


def _commonest(held: Held) -> int:
    return max(held.values, key=lambda value: held.values[value])


def require_unshifted(table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path) -> None:
    """Refuse n names for masks that count from 1 to n, or from 0 to n.

    Raises:
        MaskwrightError: the masks do so.
    """
    if table is None or table.guessed or not _counts_from_0(table):
        return
    values = {value for value in scan.values if 0 <= value != _WHITE} - options.ignored() - set(options.map)
    if 0 not in scan.values:
        _require_from_0(table, values)
    elif not table.numbered and not scan.binary(frozenset(scan.strays())):
        _require_first(table, values, scan, masks)


def _counts_from_0(table: ClassTable) -> bool:
    return [entry.id for entry in _listed(table)] == list(range(len(_listed(table))))


def _listed(table: ClassTable) -> list[Entry]:
    """Return the entries without LabelMe's `__ignore__`."""
    return [entry for entry in table.entries if entry.id >= 0]


def _require_from_0(table: ClassTable, values: set[int]) -> None:
    """Refuse values from 1 to n."""
    single = len(_listed(table)) == 1
    count = len(_listed(table)) + single
    if max(values, default=0) != count:
        return
    first = "background" if single else _listed(table)[0].name
    cure = naming_of(table).counted_from(1, first)
    if count <= _MOST_MAPPED:
        cure += ", or use " + " ".join(f"`read.map` {value}={value - 1}" for value in range(1, count + 1))
    raise MaskwrightError(
        f"{table.path} names the values 0 to {count - 1}, but the masks hold {count} and never 0, so they seem to "
        f"count from 1, and each class would get the name of another: {cure}; if {count} is no class, use "
        f"`read.map` {count}=ignore"
    )


def _require_first(table: ClassTable, values: set[int], scan: Scan, masks: Path) -> None:
    """Refuse values from 0 to n, unless the first name is that of a background, so that the last one is missing."""
    names = _listed(table)
    first, last, count = names[0], names[-1], len(names)
    if count < 2 or max(values, default=0) != count or first.name.strip().casefold() in BACKGROUND_NAMES:
        return
    if scan.held and not any({0, count} <= held.values.keys() for held in scan.held):
        return
    often = ", and 0 is the most frequent" if max(scan.values, key=lambda value: scan.values[value]) == 0 else ""
    raise MaskwrightError(
        f"{table.path} gives {plural(count, 'name')}, {first.name} to {last.name}, but {masks} holds the {count + 1} "
        f"values 0 to {count}{often}, so one name is missing, and it is unclear which: if 0 has no name, write one, "
        f"such as background, before {first.name}; if {count} has none, write one after {last.name}; if {count} "
        f"is no class, use `read.map` {count}=ignore"
    )
