"""From the entries of a table to class indices: which of them are classes, and which are ignored. Knows no mask."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE, Classes, default_palette, require_distinct
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Fault, MaskKind
    from maskwright.data.formats.meaning.table_lines import Color
    from maskwright.data.formats.meaning.tables import Entry

_IGNORED_NAMES = frozenset(
    {"unlabelled", "unlabeled", "void", "ignore", "ignored", "ignoreregion", "unannotated", "dontcare", "donotcare"}
)


@dataclass(frozen=True)
class Meaning:
    """What the files' values and colours mean.

    Attributes:
        kind: how to read the mask files (`core.records.MaskFile.kind`).
        classes: names and colours by index.
        values: value -> class index or `IGNORE`.
        colors: colour -> class index or `IGNORE`.
        notes: what was decided and why, for `Dataset.layout`.
        strays: values that may be annotation errors: no table and no option names them, and without them two classes
            are left.
        white: see `core.records.Dataset.white`.
        palette: see `core.records.Dataset.palette`.
        faults: what else the user should know of the values.
    """

    kind: MaskKind
    classes: Classes
    values: dict[int, int] = field(default_factory=dict)
    colors: dict[Color, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    strays: tuple[int, ...] = ()
    white: int | None = IGNORE
    palette: dict[int, Color] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def means_ignore(name: str) -> bool:
    """Tell whether a class with this name is ignored."""
    return re.sub(r"[^a-z]", "", name.lower()) in _IGNORED_NAMES


def split_ignored(
    entries: tuple[Entry, ...], options: ReadOptions
) -> tuple[tuple[Entry, ...], tuple[Entry, ...], tuple[str, ...]]:
    """Separate the classes from the entries that are ignored by option or by name.

    Returns:
        The classes, the ignored entries, and a note on each of these for `Dataset.layout`.

    Raises:
        MaskwrightError: no class is left.
    """
    forced = options.ignored()
    ignored = [entry for entry in entries if entry.id in forced]
    named = [entry for entry in entries if means_ignore(entry.name) and entry not in ignored]
    if len(entries) - len(ignored) - len(named) >= 2 or not named:
        ignored += named
    gone = set(options.map) - forced - set(options.map.values())
    kept = tuple(entry for entry in entries if entry not in ignored and entry.id not in gone)
    if not kept:
        raise MaskwrightError(
            "every class is ignored or mapped away, but training needs one: leave out `read.ignore` or an entry of "
            "`read.map`"
        )
    notes = tuple(f"{entry.name!r} ({entry.id}) is ignored" for entry in ignored)
    return kept, tuple(ignored), notes


def with_map(values: dict[int, int], options: ReadOptions) -> dict[int, int]:
    """Add the values that `options.map` reads as another value, each as that value is read without the map.

    Raises:
        MaskwrightError: that value has no class.
    """
    mapped = dict(values)
    for value, target in options.map.items():
        if target == "ignore":
            continue
        if target not in values:
            known = ", ".join(str(key) for key in sorted(values))
            raise MaskwrightError(f"`read.map` {value}={target}: {target} has no class: map to one of {known}")
        mapped[value] = values[target]
    return mapped


def classes_of(entries: tuple[Entry, ...], source: Path | None) -> Classes:
    """Take the table's colours if it has all of them, the default palette otherwise."""
    names = tuple(entry.name for entry in entries)
    require_distinct(names, source)
    colors = [entry.color for entry in entries if entry.color is not None]
    return Classes(names, tuple(colors) if len(colors) == len(names) else default_palette(len(names)))
