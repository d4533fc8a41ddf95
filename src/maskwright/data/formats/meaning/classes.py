"""From a table of names and a scan of the masks to classes: what every value and colour in the files means.

Rules, in order of precedence:

1. `ReadOptions.ignore` and `ReadOptions.map` override everything else.
2. A class named unlabelled, unlabeled, void, ignore, ignored, unannotated or don't care (in any case and
   punctuation) is ignored, and so is its colour; unless fewer than two classes would be left.
3. An entry with a negative id is a class only if the masks hold it. If -1 has a name that is ignored, it stands for 255
   in masks of 8 bits, unless all masks hold only 0 and 255, and two other names are given (rule 5).
4. A value that the files declare as "no data", NaN, and -1 are ignored if no table names them. Where the masks that
   hold it hold a single other value, and not 0, a negative one is the background.
5. Masks of 0 and 255 (or of 0 and 1, without a table) are background and foreground. Values that the options map to
   0, to 255 or to ignore do not count here, nor do likely annotation errors (`Scan.strays`) that no table names, which
   are ignored; a value that is mapped to any other value means that the masks hold class ids. If some masks hold 0 and
   1, others 0 and 255 (or 0 and 65535), and none two of these, each mask is read by its own convention.
6. Black and white with interpolated grey edges is cut at half.
7. 255 is a class where the values divide 0..255 evenly (0, 127, 255) and 255 fills regions.
8. Masks of colours that differ in one channel only, from 0 to at most 63, hold class ids in that channel. Where each
   pixel is 0 in all channels but one, the number of that channel is the class id (one-hot).
9. Any other 255 in an index mask is ignored if no table names it. It is a fault of the mask if that mask holds no
   other value but 0, unless 255 fills regions beside other values elsewhere (`Dataset.white`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.text import plural
from maskwright.data.formats.meaning.channels import coded_in_channels
from maskwright.data.formats.meaning.colored import (
    agreed_palette,
    by_color,
    meaning_of_colors,
    painted_fault,
    tint_fault,
    tint_of,
)
from maskwright.data.formats.meaning.divided import undivided, undivided_fault
from maskwright.data.formats.meaning.entries import Meaning, classes_of, means_ignore, split_ignored, with_map
from maskwright.data.formats.meaning.evidence import like_few_ids, like_ids
from maskwright.data.formats.meaning.ground import coded_fault, ground_fault, ground_of, ids_fault, white_id_fault
from maskwright.data.formats.meaning.plain import (
    fractions_fault,
    no_classes,
    nodata_fault,
    require_plain,
    softened,
    with_nodata,
)
from maskwright.data.formats.meaning.polarity import polarity_fault
from maskwright.data.formats.meaning.scan import FEW_STRAYS
from maskwright.data.formats.meaning.separate import values_fault
from maskwright.data.formats.meaning.shifted import require_unshifted, shift_fault
from maskwright.data.formats.meaning.strays import stray_faults
from maskwright.data.formats.meaning.stretched import stretched_fault
from maskwright.data.formats.meaning.tables import ClassTable, Entry, naming_of
from maskwright.data.formats.meaning.white import (
    HIGHS,
    conventions,
    conventions_fault,
    evenly_spaced,
    inverted_fault,
    require_unscaled,
    unnamed_white,
    white_fault,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Fault
    from maskwright.data.formats.meaning.scan import Scan

# More unnamed values than this are photographs or object ids, and not classes; and so is one above 16 bits.
_MOST_FOUND = 180
_HIGHEST_FOUND = 65535
_WHITE = 255
_BINARY = (Entry(0, "background"), Entry(1, "foreground"))
_BLACK_AND_WHITE = (Entry(0, "background"), Entry(255, "foreground"))


def meaning_of(table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path, *, instances: bool) -> Meaning:
    """Decide what the values and colours of mask files mean.

    Args:
        table: the names that the layout gives, if any.
        scan: what the masks hold.
        options: the user's settings.
        masks: the masks' folder, for messages.
        instances: the layout tells that the values are object ids.

    Raises:
        MaskwrightError: the files are not masks (photographs, JPEG without a table), the table does not fit them, or
            the options contradict them.
    """
    bare = table is None and not scan.colored and not options.map and not instances
    ids = bare and like_ids(scan)
    if instances or (table is None and not scan.colored and (scan.instances or (ids and scan.many_wide))):
        return _instances(table, scan, options, masks, named=instances)
    coded = coded_in_channels(scan, masks) if table is None or not table.colored else None
    if coded is not None:
        meaning = meaning_of(table, coded.scan, options, masks, instances=False)
        colors = {color: meaning.values[value] for color, value in coded.ids.items() if value in meaning.values}
        faults = (*meaning.faults, *coded.faults, *stray_faults(meaning, coded.scan, naming_of(table)))
        meaning = replace(meaning, notes=(*meaning.notes, coded.note), strays=(), faults=faults)
        return replace(meaning, kind="color", values={}, colors=colors)
    tint = tint_of(table, scan)
    if tint is None and by_color(table, scan):
        return meaning_of_colors(table, scan, options, masks)
    options, faults = with_nodata(table, scan, options, masks)
    faults = (*faults, *fractions_fault(scan, masks), *inverted_fault(scan, masks), *shift_fault(table, scan, options))
    if ids or (bare and like_few_ids(scan)):
        faults = (*faults, ids_fault(masks, "classes"))
    require_unshifted(table, scan, options, masks)
    ends = require_plain(table, scan, options, masks)
    if ends is not None:
        meaning = softened(table, ends, options, masks, faults)
    else:
        meaning = _of_values(table, scan, options, masks, faults)
    if tint is not None:
        palette = {0: (0, 0, 0), max(scan.values): tint}
        meaning = replace(meaning, palette=palette, faults=(*meaning.faults, tint_fault(scan, tint, masks)))
    return replace(meaning, faults=(*meaning.faults, *polarity_fault(meaning, scan)))


def _of_values(
    table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path, faults: tuple[Fault, ...]
) -> Meaning:
    """Decide what values mean, in masks that hold them as they were drawn."""
    explained = options.ignored() | set(options.map)
    entries = table.entries if table else ()
    ids = {entry.id for entry in entries if entry.id != -1 or means_ignore(entry.name)}
    strays = frozenset(scan.strays()) - explained - ids
    highs = conventions(scan, (strays | explained) - HIGHS) if ids <= {0, 1} and not explained & HIGHS else ()
    if highs:
        meaning = _by_table(table, scan, options) if table else _indexed(_BINARY, options, aside=strays - HIGHS)
        white = meaning.values[1]
        values = {**meaning.values, **dict.fromkeys(set(highs) - {_WHITE}, white)}
        notes = (*meaning.notes, " or ".join(f"0 and {high}" for high in highs))
        faults = (*faults, conventions_fault(scan, highs, masks))
        return replace(meaning, values=values, notes=notes, white=white, faults=faults)
    aside = _aside(scan, options, strays) if len(ids - {-1}) < 3 or _WHITE in ids else None
    given = explained if table is not None and table.guessed else explained | ids
    if aside is not None or _WHITE in given or -1 in ids:
        meaning = _by_table(table, scan, options, aside) if table else _found(scan, options, masks, aside)
    else:
        meaning = _beside_white(table, scan, options, masks)
    palette = agreed_palette(table, scan)
    faults = (*faults, *meaning.faults, *painted_fault(scan, palette, masks))
    meaning = replace(meaning, faults=faults, palette=palette)
    left = {index for value, index in meaning.values.items() if value not in strays} - {IGNORE}
    return replace(meaning, strays=tuple(sorted(strays & set(meaning.values)))) if len(left) > 1 else meaning


def _beside_white(table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path) -> Meaning:
    """Decide what values mean where nothing names 255 and it is not white: rules 7 and 9."""
    explained = options.ignored() | set(options.map)
    white = unnamed_white(scan, explained)
    values = sorted(set(scan.values) - explained)
    scales: tuple[Fault, ...] = ()
    if table is None and not explained:
        scales = require_unscaled(scan, masks) or stretched_fault(scan, masks) or values_fault(scan, masks)
    if white.region and evenly_spaced(values):
        names = [entry.name for entry in table.entries] if table else [f"class-{value}" for value in values]
        if len(names) == len(values) and not (table and table.numbered):
            entries = tuple(map(Entry, values, names))
            note = f"{', '.join(map(str, values))} are evenly spaced greys, so 255 is {names[-1]}"
            source = table.path if table else None
            return _indexed(entries, options, (plural(len(entries), "class", "classes"), note), source=source)
    meaning = _by_table(table, scan, options) if table else _found(scan, options, masks)
    entries = table.entries if table is not None else ()
    nothing = next((entry.name for entry in entries if entry.id == 0 and means_ignore(entry.name)), None)
    guessed = table is not None and table.guessed
    faults = () if guessed else white_fault(scan, white, naming_of(table), masks, nothing)
    return replace(meaning, white=white.alone, faults=(*scales, *faults))


def _aside(scan: Scan, options: ReadOptions, strays: AbstractSet[int]) -> frozenset[int] | None:
    """Return the values that do not count if the rest of the masks is 0 and 255 (rule 5); None if it is not."""
    named = options.ignored() | set(options.map)
    if options.map.get(0) == _WHITE and options.map.get(_WHITE) == 0:  # white and black are swapped, and so both known
        named -= {0, _WHITE}
    targets = {target for value, target in options.map.items() if value in scan.values}
    if _WHITE in named or not targets <= {"ignore", 0, _WHITE}:
        return None
    excluded = named if _WHITE in scan.rare() else named | strays
    return frozenset(scan.values) - {0, _WHITE} if scan.binary(excluded) else None


def _instances(table: ClassTable | None, scan: Scan, options: ReadOptions, masks: Path, *, named: bool) -> Meaning:
    names = [entry.name for entry in table.entries if not means_ignore(entry.name)] if table else []
    pair = ("background", "object")
    if len(names) == 1:
        pair = ("background", names[0])
    elif len(names) == 2:
        pair = (names[0], names[1])
    if any(target not in ("ignore", 0) for target in options.map.values()):
        raise MaskwrightError(
            f"{masks} holds object ids, which cannot be mapped to classes: leave out `read.map`, or use `read.map` "
            "ID=ignore or, for the id of the background, `read.map` ID=0"
        )
    if scan.lossy * 2 > scan.looked:
        raise MaskwrightError(
            f"{masks} holds lossily compressed maps of objects, which changes their ids at every edge: export them "
            "again as PNG or TIFF; converting these files does not correct them"
        )
    values = dict.fromkeys(options.ignored(), IGNORE)
    values |= {value: 0 for value, target in options.map.items() if target == 0}
    files = [held.mask for held in scan.held]
    unknown = sorted((scan.nodata | ({-1} & scan.values.keys() if 0 in scan.values else set())) - {0} - values.keys())
    values |= dict.fromkeys(unknown, IGNORE)
    ground = ground_of([*files, *scan.painted], values)
    faults = () if ground is None else (ground_fault(ground, masks),)
    values |= dict.fromkeys(() if ground is None else ground.background, 0)
    white = white_id_fault(scan, values.keys() | scan.nodata, masks) if ground is None else None
    faults = faults if white is None else (white,)
    faults = (*faults, *coded_fault(scan, values.keys() | scan.nodata, masks))
    faults = (*faults, *(nodata_fault(value, scan, masks, ignored=True, black=0 in scan.values) for value in unknown))
    if undivided(files, values):
        why = "one value for all objects: each connected region is one"
        return Meaning("regions", Classes.named(pair), values, notes=(why,), faults=(*faults, undivided_fault(masks)))
    why = "one id per object" if named else "16-bit masks with the values 0, 1, 2, ... without gaps: one id per object"
    if not named and not scan.instances:
        why, faults = "one id per object", (*faults, ids_fault(masks, "ids of objects"))
    return Meaning("instance", Classes.named(pair), values, notes=(why,), faults=faults)


def _found(scan: Scan, options: ReadOptions, masks: Path, aside: frozenset[int] | None = None) -> Meaning:
    """Name the classes after the values in the masks."""
    if aside is not None:
        return _indexed(_BLACK_AND_WHITE, options, (_black_and_white(aside, "foreground"),), aside)
    present = set(scan.values) - {_WHITE} - (set(options.map) - set(options.map.values())) - options.ignored()
    if present <= {0, 1}:
        return _indexed(_BINARY, options)
    if any(value < 0 and target == 0 for value, target in options.map.items()):
        present.add(0)
    if min(present) < 0:
        raise MaskwrightError(
            f"{masks} holds the value {min(present)}, and no table names it: if it means that nothing was recorded, "
            f"use `read.map` {min(present)}=ignore; if it is a class, list all values in classes.txt (id,name)"
        )
    if len(present) > _MOST_FOUND or max(present) > _HIGHEST_FOUND:
        found = f"{len(present)} different values" if len(present) > _MOST_FOUND else f"values up to {max(present)}"
        raise no_classes(masks, found)
    entries = tuple(Entry(value, f"class-{value}") for value in sorted(present))
    return _indexed(entries, options, notes=(f"{plural(len(entries), 'class', 'classes')} found in the masks",))


def _black_and_white(aside: frozenset[int], white: str) -> str:
    if not aside:
        return "0 and 255"
    others = ", ".join(map(str, sorted(aside))) if len(aside) <= FEW_STRAYS else f"{len(aside)} other values"
    return f"0 and 255 except for {others}, so 255 is {white}"


def _by_table(table: ClassTable, scan: Scan, options: ReadOptions, aside: frozenset[int] | None = None) -> Meaning:
    """Name the classes by a table."""
    entries = tuple(entry for entry in table.entries if entry.id >= 0 or entry.id in scan.values)
    notes = [f"{plural(len(entries), 'name')} from {table.path.name}"]
    notes += [f"{entry.name!r} ({entry.id}) is in no mask" for entry in table.entries if entry not in entries]
    if len(entries) == 1 and any(scan.values):
        entries = (
            Entry(0, "background"),
            Entry(_WHITE if aside is not None else max(1, entries[0].id), entries[0].name),
        )
        notes.append("background added")
    elif len(entries) == 2 and aside is not None and _WHITE not in {entry.id for entry in entries}:
        entries = (entries[0], Entry(_WHITE, entries[1].name, entries[1].color))
    if len(entries) == 2 and entries[1].id == _WHITE:
        notes.append(_black_and_white(aside or frozenset(), entries[1].name))
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
    values = dict.fromkeys((_WHITE, *aside), IGNORE) | values
    return Meaning("index", classes_of(kept, source), with_map(values, options), notes=(*notes, *note))
