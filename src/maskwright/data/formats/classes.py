"""From a table of names and a scan of the masks to classes: what every value and colour in the files means.

Rules, in order of precedence:

1. `ReadOptions.ignore` and `ReadOptions.map` override everything else.
2. A class named unlabelled, unlabeled, void, ignore, ignored, unannotated or don't care (in any case and
   punctuation) is ignored, and so is its colour; unless fewer than two classes would be left.
3. 255 in an index mask is ignored if no table names it, unless the masks hold only 0 and 255.
4. Masks of 0 and 255 (or of 0 and 1, without a table) are background and foreground. Values that the options map to
   0, to 255 or to ignore do not count here, nor do likely annotation errors (`Scan.strays`) that no table names, which
   are ignored; a value that is mapped to any other value means that the masks hold class ids.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from maskwright.core.classes import IGNORE, Classes, default_palette, require_distinct
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats.scan import FEW_STRAYS
from maskwright.data.formats.tables import ClassTable, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.data.formats.scan import Scan
    from maskwright.data.formats.table_lines import Color

_IGNORED_NAMES = frozenset(
    {"unlabelled", "unlabeled", "void", "ignore", "ignored", "ignoreregion", "unannotated", "dontcare", "donotcare"}
)
# More unnamed values than this are photographs or object ids, and not classes.
_MOST_FOUND = 180
_BINARY = (Entry(0, "background"), Entry(1, "foreground"))


@dataclass(frozen=True)
class Meaning:
    """What the files' values and colours mean.

    Attributes:
        kind: how to read the mask files (`core.records.MaskFile.kind`).
        classes: names and colours by index.
        values: value -> class index or `IGNORE`.
        colors: colour -> class index or `IGNORE`.
        notes: what was decided and why, for `Dataset.layout`.
        soft: the masks are black and white with grey edges, and are thresholded at 128.
        strays: values that may be annotation errors: no table and no option names them, and without them two classes
            are left.
    """

    kind: Literal["index", "color", "instance", "values"]
    classes: Classes
    values: dict[int, int] = field(default_factory=dict)
    colors: dict[Color, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    soft: bool = False
    strays: tuple[int, ...] = ()


def means_ignore(name: str) -> bool:
    """Tell whether a class with this name is ignored (rule 2)."""
    return re.sub(r"[^a-z]", "", name.lower()) in _IGNORED_NAMES


def meaning_of(table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path, *, instances: bool) -> Meaning:
    """Decide what the values and colours of mask files mean.

    Args:
        table: the names that the layout gives, if any.
        scan: what the masks hold.
        options: the user's settings.
        masks: the masks' folder, for messages.
        instances: the layout tells that the values are object ids.

    Raises:
        MaskwrightError: the files are not masks (photographs, JPEG without a table), or the options contradict them.
    """
    if instances or (table is None and not scan.colored and scan.instances):
        return _instances(table, options, masks, named=instances)
    if _by_color(table, scan):
        return _colors(table, scan, options, masks)
    known = {*options.map, *options.ignored(), *(entry.id for entry in (table.entries if table else ()))}
    strays = frozenset(scan.strays()) - known
    aside = _aside(scan, options, strays)
    meaning = (
        _found_values(scan, options, masks, aside) if table is None else _named_values(table, scan, options, aside)
    )
    left = {index for value, index in meaning.values.items() if value not in strays} - {IGNORE}
    return replace(meaning, strays=tuple(sorted(strays & set(meaning.values)))) if len(left) > 1 else meaning


def _aside(scan: Scan, options: ReadOptions, strays: AbstractSet[int]) -> frozenset[int] | None:
    """Return the values that do not count if the rest of the masks is 0 and 255 (rule 4); None if it is not."""
    named = options.ignored() | set(options.map)
    targets = {target for value, target in options.map.items() if value in scan.values}
    if 255 in named or not targets <= {"ignore", 0, 255}:
        return None
    excluded = named if 255 in scan.rare() else named | strays
    return frozenset(scan.values) - {0, 255} if scan.binary(excluded) else None


def _by_color(table: ClassTable | None, scan: Scan) -> bool:
    """Tell whether colours give the class: real colours, or those of a palette or greys that the table lists."""
    if scan.colored:
        return True
    if table is None or not table.colored:
        return False
    if table.numbered and set(scan.values) - {255} <= {entry.id for entry in table.entries}:
        return False
    known = {entry.color for entry in table.entries}
    shown = {value: scan.palette.get(value, (value, value, value)) for value in scan.values}
    return {color for value, color in shown.items() if value != 255 or value not in scan.palette} <= known


def _instances(table: ClassTable | None, options: ReadOptions, masks: Path, *, named: bool) -> Meaning:
    names = [entry.name for entry in table.entries if not means_ignore(entry.name)] if table else []
    pair = ("background", "object")
    if len(names) == 1:
        pair = ("background", names[0])
    elif len(names) == 2:
        pair = (names[0], names[1])
    if any(target != "ignore" for target in options.map.values()):
        raise MaskwrightError(
            f"{masks} holds object ids, which cannot be mapped to classes: leave out `read.map`, or use `read.map` "
            "ID=ignore"
        )
    why = "one id per object" if named else "16-bit masks with the values 0, 1, 2, ... without gaps: one id per object"
    values = dict.fromkeys(options.ignored(), IGNORE)
    return Meaning("instance", Classes.named(pair), values, notes=(why,))


def _found_values(scan: Scan, options: ReadOptions, masks: Path, aside: frozenset[int] | None) -> Meaning:
    """Name the classes after the values in the masks: rules 1, 3 and 4."""
    if scan.soft:
        values = {value: int(value > 127) for value in range(256)} | dict.fromkeys(options.ignored(), IGNORE)
        note = "black and white with grey edges, thresholded at 128"
        return Meaning("index", Classes.named(("background", "foreground")), values, notes=(note,), soft=True)
    if scan.lossy * 2 > scan.looked:
        raise MaskwrightError(
            f"{masks} holds JPEG-compressed masks, whose values are blurred, and no table lists the true values: "
            "export the masks again as PNG, or add a classes.csv (name,r,g,b)"
        )
    if aside is not None:
        black_and_white = (Entry(0, "background"), Entry(255, "foreground"))
        return _indexed(black_and_white, options, (_black_and_white(aside, "foreground"),), aside)
    present = set(scan.values) - {255} - set(options.map) - options.ignored()
    if present <= {0, 1}:
        return _indexed(_BINARY, options)
    if len(present) > _MOST_FOUND:
        raise MaskwrightError(
            f"{masks} holds {len(present)} different values, and no table names them: if they are object ids, name the "
            "folder instances/; if they are classes, add a classes.txt; if the files are photographs, give masks"
        )
    entries = tuple(Entry(value, f"class-{value}") for value in sorted(present))
    return _indexed(entries, options, notes=(f"{len(entries)} classes found in the masks",))


def _black_and_white(aside: frozenset[int], white: str) -> str:
    if not aside:
        return "0 and 255"
    others = ", ".join(map(str, sorted(aside))) if len(aside) <= FEW_STRAYS else f"{len(aside)} other values"
    return f"0 and 255 except for {others}, so 255 is {white}"


def _named_values(table: ClassTable, scan: Scan, options: ReadOptions, aside: frozenset[int] | None) -> Meaning:
    entries = table.entries
    notes = [f"{len(entries)} names from {table.path.name}"]
    white = aside is not None or scan.soft
    if len(entries) == 1 and any(scan.values):
        entries = (Entry(0, "background"), Entry(255 if white else max(1, entries[0].id), entries[0].name))
        notes.append("background added")
    elif len(entries) == 2 and white and 255 not in {entry.id for entry in entries}:
        entries = (entries[0], Entry(255, entries[1].name, entries[1].color))
    if len(entries) == 2 and entries[1].id == 255:
        notes.append(_black_and_white(aside or frozenset(), entries[1].name))
        if scan.soft:
            values = {value: int(value > 127) for value in range(256)} | dict.fromkeys(options.ignored(), IGNORE)
            classes = _classes(entries, table.path)
            return Meaning("index", classes, values, notes=(*notes, "grey edges thresholded at 128"), soft=True)
        return _indexed(entries, options, tuple(notes), aside or (), table.path)
    return _indexed(entries, options, tuple(notes), source=table.path)


def _indexed(
    entries: tuple[Entry, ...],
    options: ReadOptions,
    notes: tuple[str, ...] = (),
    aside: Iterable[int] = (),
    source: Path | None = None,
) -> Meaning:
    """Give class indices, in the order of ids, to the entries that are not ignored; ignore 255 and `aside`."""
    kept, ignored, note = split_ignored(entries, options)
    values = {entry.id: index for index, entry in enumerate(kept)}
    values |= {entry.id: IGNORE for entry in ignored} | dict.fromkeys(options.ignored(), IGNORE)
    values = dict.fromkeys((255, *aside), IGNORE) | values
    return Meaning("index", _classes(kept, source), with_map(values, options), notes=(*notes, *note))


def _colors(table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path) -> Meaning:
    if options.ignore is not None or options.map:
        raise MaskwrightError(
            f"{masks} holds colour masks, but `read.ignore` and `read.map` apply to values: list the colours in "
            "classes.csv (name,r,g,b) and name the one to ignore 'void'"
        )
    if table is not None and table.colored:
        kept, ignored, note = split_ignored(table.entries, options)
        notes = (f"{len(table.entries)} names and colours from {table.path.name}", *note)
    else:
        if scan.lossy * 2 > scan.looked or len(scan.colors) > 255:
            raise MaskwrightError(
                f"{masks} holds {'over ' if len(scan.colors) > 4000 else ''}{len(scan.colors)} different colours, and "
                "no table lists the classes: the files may be photographs, or masks saved as JPEG or resized with "
                "interpolation. Export the masks again as PNG, or add a classes.csv (name,r,g,b)"
            )
        kept, ignored = _found_colors(scan), ()
        notes = (f"{len(kept)} colours found in the masks",)
        if table is not None:
            notes = (*notes, f"{table.path.name} lists no colours and was not used")
    colors = {entry.color: index for index, entry in enumerate(kept) if entry.color is not None}
    colors |= {entry.color: IGNORE for entry in ignored if entry.color is not None}
    return Meaning("color", _classes(kept, None if table is None else table.path), colors=colors, notes=notes)


def _found_colors(scan: Scan) -> tuple[Entry, ...]:
    """Name the colours `class-1`, `class-2`, ... in the order of their values; black is the background."""
    entries: list[Entry] = []
    for color in sorted(scan.colors):
        number = len(entries) + (0 if (0, 0, 0) in scan.colors else 1)
        entries.append(Entry(len(entries), "background" if not any(color) else f"class-{number}", color))
    return tuple(entries)


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
    gone = set(options.map) - forced
    kept = tuple(entry for entry in entries if entry not in ignored and entry.id not in gone)
    if not kept:
        raise MaskwrightError(
            "every class is ignored or mapped away, but training needs one: leave out `read.ignore` or an entry of "
            "`read.map`"
        )
    notes = tuple(f"{entry.name!r} ({entry.id}) is ignored" for entry in ignored)
    return kept, tuple(ignored), notes


def with_map(values: dict[int, int], options: ReadOptions) -> dict[int, int]:
    """Add the values that `options.map` reads as another value.

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


def _classes(entries: tuple[Entry, ...], source: Path | None) -> Classes:
    """Take the table's colours if it has all of them, the default palette otherwise."""
    names = tuple(entry.name for entry in entries)
    require_distinct(names, source)
    colors = [entry.color for entry in entries if entry.color is not None]
    return Classes(names, tuple(colors) if len(colors) == len(names) else default_palette(len(names)))
