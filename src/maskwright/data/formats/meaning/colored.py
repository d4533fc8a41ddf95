"""Masks whose colours give the class: real colours, or those of palettes. Knows no values."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, plural
from maskwright.data.formats.meaning.channels import in_red
from maskwright.data.formats.meaning.entries import Meaning, classes_of, split_ignored
from maskwright.data.formats.meaning.evidence import has_thin_colors
from maskwright.data.formats.meaning.separate import colors_fault
from maskwright.data.formats.meaning.stretched import stretched_fault
from maskwright.data.formats.meaning.tables import Entry, naming_of
from maskwright.data.formats.meaning.white import HIGHS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maskwright.core.naming import Naming
    from maskwright.core.read_options import ReadOptions
    from maskwright.data.formats.meaning.scan import Scan
    from maskwright.data.formats.meaning.table_lines import Color
    from maskwright.data.formats.meaning.tables import ClassTable

_MOST_COLORS = 255
_FEWEST_TO_COMPARE = 5


def by_color(table: ClassTable | None, scan: Scan) -> bool:
    """Tell whether colours give the class: real colours, or those of a palette or greys that the table lists.

    Where palettes show one value in several colours, the colours count if the table lists them, or if there is no
    table and there are no more colours than values; the values count if the table lists these.

    Raises:
        MaskwrightError: palettes differ, and nothing tells which of the two counts.
    """
    if scan.colored:
        return True
    differing = _differing_palettes(scan)
    if table is not None and table.colored and _lists(table, scan):
        ids = {entry.id for entry in table.entries}
        return differing is not None or not (table.numbered and set(scan.values) - {255} <= ids)
    if differing is None or (table is not None and table.numbered):
        return False
    colors = {color for held in scan.held for color in held.colors.values()}
    if table is None and len(colors) <= len(scan.values):
        return True
    raise MaskwrightError(
        f"{differing}, so it is unclear whether values or colours define the class: if colours do, "
        f"{naming_of(table).with_colors()}; if values do, list them in classes.txt (id,name)"
    )


def _lists(table: ClassTable, scan: Scan) -> bool:
    """Tell whether a table lists every colour that palettes and greys show; 255 in a palette need not be listed."""
    shown = {
        held.colors.get(value, (value, value, value))
        for held in scan.held
        for value in held.values
        if value != 255 or not held.colors
    }
    return shown <= {entry.color for entry in table.entries}


def _differing_palettes(scan: Scan) -> str | None:
    """Say which two masks show one value in two colours; None if the palettes agree."""
    first = scan.palette
    for held in scan.held:
        for value, color in held.colors.items():
            if first[value] != color:
                other = next(one.mask for one in scan.held if one.colors.get(value) == first[value])
                shown = ", ".join(map(str, first[value])), ", ".join(map(str, color))
                return (
                    f"the palette of {other} shows the value {value} in the colour ({shown[0]}), but that of "
                    f"{held.mask} in ({shown[1]})"
                )
    return None


def agreed_palette(table: ClassTable | None, scan: Scan) -> dict[int, Color]:
    """Return the colour that each value must have.

    It is that of the table if palettes show its colours, in whichever 255 may be shown; none if palettes differ, or a
    table lists the values alone and no mask holds colours.
    """
    shown = scan.palette
    if table is not None and table.colored:
        colors = {entry.id: entry.color for entry in table.entries if entry.color is not None and 0 <= entry.id < 256}
        if colors.get(255) != shown.get(255):
            colors.pop(255, None)
        if {color for value, color in shown.items() if value != 255} <= {entry.color for entry in table.entries}:
            return colors
    if (table is not None and table.numbered and not scan.painted) or _differing_palettes(scan) is not None:
        return {}
    return shown


def tint_of(table: ClassTable | None, scan: Scan) -> Color | None:
    """Return the only colour on black of some masks, where all others are black and white; None if there is none."""
    tints = scan.colors.keys() - {(0, 0, 0)}
    values = scan.values.keys() - {0}
    plain = table is None or not table.entries[0].color
    if not plain or len(tints) != 1 or scan.palettes or scan.nodata or not values <= HIGHS or not values:
        return None
    return next(iter(tints))


def painted_fault(scan: Scan, palette: Mapping[int, Color], folder: Path) -> tuple[Fault, ...]:
    """Tell that some masks hold colours, which are read as the values that the others show in them."""
    if not scan.painted or not scan.colors.keys() <= set(palette.values()):
        return ()
    held = f"{len(scan.painted)} of {plural(scan.looked, 'scanned mask' if scan.looked < scan.masks else 'mask')}"
    return (
        Fault(
            "two-conventions",
            "note",
            folder,
            f"{held} {agree(len(scan.painted), 'holds', 'hold')} colours, and the others values with a palette that "
            "shows them in these colours: each colour is read as its value",
            "nothing needs to be done",
        ),
    )


def tint_fault(scan: Scan, tint: Color, folder: Path) -> Fault:
    """Tell that one colour on black counts as the foreground of the masks in black and white."""
    color = ",".join(map(str, tint))
    return Fault(
        "two-conventions",
        "warning",
        folder,
        f"{len(scan.painted)} of {scan.looked} {'scanned ' if scan.looked < scan.masks else ''}masks hold the colour "
        f"{color} on black, and the others black and white: both are read as one foreground",
        f"nothing needs to be done if they show the same; if {color} is another class, save all masks as class ids",
    )


def meaning_of_colors(table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path) -> Meaning:
    """Decide what colours mean.

    Raises:
        MaskwrightError: options for values, a table without some of the colours, or too many colours without a table.
    """
    if options.ignore is not None or options.map:
        raise MaskwrightError(
            f"{masks} holds colour masks, but `read.ignore` and `read.map` apply to values: "
            f"{naming_of(table).with_colors()}, and name the one to ignore 'void'"
        )
    if table is not None and table.colored:
        kept, ignored, note = split_ignored(table.entries, options)
        notes = (f"{plural(len(table.entries), 'name and colour', 'names and colours')} from {table.path.name}", *note)
    else:
        _require_complete(table)
        kept, ignored = _found_colors(scan, masks, naming_of(table)), ()
        notes = (f"{plural(len(kept), 'colour')} found in the masks",)
        if table is not None:
            notes = (*notes, f"{table.path.name} lists no colours and was not used")
    colors = {entry.color: index for index, entry in enumerate(kept) if entry.color is not None}
    colors |= {entry.color: IGNORE for entry in ignored if entry.color is not None}
    if 255 in scan.palette:
        colors.setdefault(scan.palette[255], IGNORE)
    faults: tuple[Fault, ...] = ()
    if table is None or not table.colored:
        naming = naming_of(table)
        faults = (
            stretched_fault(scan, masks) or _objects_fault(scan, masks, naming) or colors_fault(scan, masks, naming)
        )
    classes = classes_of(kept, None if table is None else table.path)
    return Meaning("color", classes, colors=colors, notes=notes, faults=faults)


def _objects_fault(scan: Scan, masks: Path, naming: Naming) -> tuple[Fault, ...]:
    """Warn where most colours occur in a single mask only, as colours do that tell objects apart."""
    single = sum(holders == 1 for holders in scan.color_holders.values())
    if len(scan.painted) < _FEWEST_TO_COMPARE or single <= max(_FEWEST_TO_COMPARE, len(scan.colors) / 2):
        return ()
    return (
        Fault(
            "object-colors",
            "warning",
            masks,
            f"{single} of {len(scan.colors)} colours {agree(single, 'occurs', 'occur')} in only one of "
            f"{len(scan.painted)} masks: the colours may distinguish objects, but each is read as a class",
            f"if they do, save masks of class ids instead; if they are classes, {naming.with_colors()}" + in_red(scan),
        ),
    )


def _require_complete(table: ClassTable | None) -> None:
    without = [entry.name for entry in table.entries if entry.color is None] if table is not None else []
    if table is not None and len(without) < len(table.entries):
        raise MaskwrightError(
            f"{table.path} gives {without[0]!r} no colour, but gives other classes one, and the masks hold colours: "
            "add it"
        )


def _found_colors(scan: Scan, masks: Path, naming: Naming) -> tuple[Entry, ...]:
    """Name the colours `class-1`, `class-2`, ... in the order of their values; black is the background."""
    found = Counter(scan.colors)
    for held in scan.held:
        found.update(held.colors.values())
    count = len(found)
    if scan.lossy * 2 > scan.looked or count > _MOST_COLORS or has_thin_colors(scan):
        listed = scan.lossy * 2 > scan.looked
        raise MaskwrightError(
            f"{masks} holds {'over ' if count > 4000 else ''}{count} different colours, and "
            "no table lists the colours: the files may be photographs, or masks saved as JPEG, as WebP with loss, or "
            f"resized with interpolation. Export the masks again as PNG"
            f"{f', or {naming.with_colors()}' if listed else ', without smooth edges'}{in_red(scan)}"
        )
    entries: list[Entry] = []
    for color in sorted(found):
        number = len(entries) + (0 if (0, 0, 0) in found else 1)
        entries.append(Entry(len(entries), "background" if not any(color) else f"class-{number}", color))
    return tuple(entries)
