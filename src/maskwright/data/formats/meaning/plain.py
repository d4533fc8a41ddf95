"""Values that were not drawn as class ids: no data, interpolated edges. Knows no colours."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, plural
from maskwright.data.formats.meaning.entries import Meaning, classes_of, with_map
from maskwright.data.formats.meaning.evidence import interpolation
from maskwright.data.formats.meaning.tables import Entry
from maskwright.data.readers import NO_DATA

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Severity
    from maskwright.data.formats.meaning.scan import Scan
    from maskwright.data.formats.meaning.tables import ClassTable

_WHITE = 255
# Ignoring more than this share without a word from the user deserves a warning.
_MOST = 0.5
# JPEG moves a grey by up to so much.
_JPEG_NOISE = 16


def with_nodata(
    table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path
) -> tuple[ReadOptions, tuple[Fault, ...]]:
    """Map the values that mean "no data", and that neither table nor options name, as if the user had.

    Returns:
        The options with these values ignored, or mapped to 0 where they surround the only class; and a note. Of
        several classes, 0 remains one if it fills most of the masks.
    """
    ids = {entry.id for entry in table.entries} if table else set()
    explained = options.ignored() | set(options.map)
    found = (scan.nodata | ({-1} & scan.values.keys())) - ids - explained
    mapped: dict[int, int | Literal["ignore"]] = {}
    faults: tuple[Fault, ...] = ()
    if 0 in found and not ids and len(scan.values.keys() - found - explained) > 1:
        found = found - {0}
        ground = 2 * scan.values[0] > sum(scan.values.values())
        faults = (_zero_fault(scan, masks, ground=ground),)
        mapped = {} if ground else {0: "ignore"}
    for value in sorted(found):
        beside = {other for held in scan.held if value in held.values for other in held.values} - found - explained
        if value >= 0:
            beside = scan.values.keys() - found - explained
        if len(beside) > 1 or (value < 0 and 0 in beside) or (len(ids) > 1 and 0 not in ids):
            mapped[value] = "ignore"
        elif value < 0:
            mapped[value] = 0
    black = 0 in scan.values and (not ids or 0 in ids)
    notes = (
        nodata_fault(value, scan, masks, ignored=mapped[value] == "ignore", black=black)
        for value in sorted(found & mapped.keys())
    )
    return replace(options, map={**options.map, **mapped}), (*faults, *notes)


def _zero_fault(scan: Scan, masks: Path, *, ground: bool) -> Fault:
    """Say that 0 is declared as no data, and whether it is read as a class or ignored."""
    held = (
        f"{scan.values[0] / sum(scan.values.values()):.1%} of the pixels of the masks hold 0, which the files declare"
    )
    if ground:
        message = f"{held} as no data; it is read as a class, because it fills most of the masks, as a background does"
        cure = "nothing needs to be done if it is the background; if nothing is known there, use `read.ignore` 0"
    else:
        message = f"{held} as no data, and are ignored"
        cure = "nothing needs to be done if nothing is known there; if 0 is a class, use `read.map` 0=0"
    return Fault("no-data", "warning", masks, message, cure)


def nodata_fault(value: int, scan: Scan, masks: Path, *, ignored: bool, black: bool) -> Fault:
    """Note a value that is ignored, or counts as the background; `black` tells that the masks hold 0."""
    share = scan.values[value] / sum(scan.values.values())
    what = "are NaN" if value == NO_DATA else f"hold {value}"
    declared = ", which the files declare as no data" if value in scan.nodata and value != NO_DATA else ""
    other = f"to read them as 0, use `read.map` {value}=0" if ignored else f"to ignore them, use `read.ignore` {value}"
    cure = "nothing needs to be done" + (f"; {other}" if value != NO_DATA and (not ignored or black) else "")
    read = "are ignored" if ignored else "count as the background"
    severity: Severity = "warning" if ignored and share > _MOST else "note"
    return Fault(
        "no-data", severity, masks, f"{share:.1%} of the pixels of the masks {what}{declared}, and {read}", cure
    )


def require_plain(table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path) -> tuple[int, int] | None:
    """Check that the masks hold class ids as they were drawn.

    Returns:
        The two values between which the masks are to be cut; None if they hold class ids.

    Raises:
        MaskwrightError: the masks are blurred and cannot be cut.
    """
    cuttable = table is None or len(table.entries) <= 2
    if scan.lossy * 2 > scan.looked:
        if scan.blurred and cuttable:
            return 0, _WHITE
        if table is None or (table.colored and not table.numbered) or _near(table):
            raise MaskwrightError(
                f"{masks} holds grey lossily compressed masks of several values, which the compression blurs, so the "
                "class at an edge is lost: save the masks again as PNG from the annotation tool; converting these "
                "files does not correct them"
            )
        return None
    named = {_WHITE, *options.map, *options.ignored(), *(entry.id for entry in (table.entries if table else ()))}
    found = interpolation(scan, named)
    if found is None:
        return None
    if not found.drawn:
        raise no_classes(masks, f"{len(scan.values.keys() - named)} different values")
    if found.ends is None or not cuttable:
        raise MaskwrightError(
            f"{masks} holds masks of several classes that were saved with interpolation (resized, rotated or "
            f"anti-aliased): {found.values} values lie only on edges between a lower and a higher value, so no table "
            "can define the classes there. Export the masks again at the size of the images, or resize them with "
            "nearest-neighbour interpolation; if the values are classes, list all of them in a table (id,name) and "
            "give it as `read.classes`; if the files are "
            "photographs or measured values, give masks"
        )
    return found.ends


def fractions_fault(scan: Scan, masks: Path) -> tuple[Fault, ...]:
    """Say that masks hold probabilities, and where they are cut."""
    if not scan.soft:
        return ()
    held = f"{scan.soft} of {plural(scan.looked, 'scanned mask' if scan.looked < scan.masks else 'mask')}"
    message = f"{held} {agree(scan.soft, 'holds', 'hold')} fractions from 0 to 1, as "
    message += "probabilities or interpolated masks do; from 0.5 on is 1"
    return (Fault("soft-mask", "warning", masks, message, "save the masks as 0 and 1 if another value is the limit"),)


def _near(table: ClassTable) -> bool:
    """Tell whether ids lie so near each other that JPEG changes one into another, even far from edges."""
    ids = sorted({entry.id for entry in table.entries})
    return any(high - low < _JPEG_NOISE for low, high in pairwise(ids))


def no_classes(masks: Path, found: str) -> MaskwrightError:
    """Build the error for values that cannot be class ids."""
    return MaskwrightError(
        f"{masks} holds {found}, and no table names them: if they are object ids, name the folder instances/; if they "
        "are classes, add a classes.txt; if the files are photographs, give masks"
    )


def softened(
    table: ClassTable | None, ends: tuple[int, int], options: ReadOptions, masks: Path, faults: tuple[Fault, ...]
) -> Meaning:
    """Cut masks of two classes with grey edges at half."""
    low, high = (0, _WHITE) if ends[0] < 16 and 239 < ends[1] <= _WHITE else ends
    cut = (low + high + 1) // 2
    classes = Classes.named(("background", "foreground"))
    notes = [f"two values with grey edges, thresholded at {cut}"]
    if table is not None:
        entries = table.entries
        notes.insert(0, f"{plural(len(entries), 'name')} from {table.path.name}")
        if len(entries) == 1:
            entries = (Entry(0, "background"), *entries)
            notes.append("background added")
        classes = classes_of(entries, table.path)
    values = {value: int(value >= cut) for value in range(256 if high <= _WHITE else 1 << 16)}
    values = with_map(values | dict.fromkeys(options.ignored(), IGNORE), options)
    fault = Fault(
        "soft-mask",
        "warning",
        masks,
        f"the masks hold two values with grey edges (interpolated or compressed); from {cut} on is {classes.names[1]}",
        "save the masks as 0 and 255 without interpolation, as PNG; if the values are classes, list all of them in "
        "a table (id,name) and give it as `read.classes`",
    )
    return Meaning("index", classes, values, notes=tuple(notes), faults=(*faults, fault))
