"""Tables of names that differ from folder to folder, as LabelMe writes one for each image. Knows no layout.

Tables that agree are one table. Where one id has two names, or one name two ids, each mask is read by the table of its
own folder, and the classes are joined by their names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.classes import IGNORE, Classes, require_distinct
from maskwright.core.errors import MaskwrightError
from maskwright.core.text import plural
from maskwright.data.formats.meaning.entries import Meaning, means_ignore
from maskwright.data.formats.meaning.tables import ClassTable, naming_of, read_table, undisputed_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maskwright.core.naming import Naming
    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import ImageRef
    from maskwright.data.formats.meaning.scan import Scan

    Values = tuple[tuple[int, int], ...]


class Tables(NamedTuple):
    """The tables of a data set: one for all masks, or one a folder of masks where these contradict each other."""

    common: ClassTable | None
    own: Mapping[Path, ClassTable]


def tables_for(root: Path, masks: list[ImageRef], options: ReadOptions) -> Tables:
    """Find the table that the user gives, or those in the root, in the folders of masks and above them.

    Raises:
        MaskwrightError: tables contradict each other, and one of them is the root's, or a folder has none.
    """
    if options.classes is not None:
        return Tables(read_table(options.classes), {})
    top = undisputed_table([root])
    folders = dict.fromkeys(mask.path.parent for mask in masks)
    above = {folder: [place for place in (folder, *folder.parents) if root in place.parents] for folder in folders}
    tables = {
        place: undisputed_table([place]) for place in sorted({place for places in above.values() for place in places})
    }
    found = {folder: next(filter(None, map(tables.get, places)), None) for folder, places in above.items()}
    known = [table for table in (top, *found.values()) if table is not None]
    common, rival = (known[0] if known else None), None
    for table in known:
        if not _agree(common or table, table):
            rival = table
            break
        common = _joined(common or table, table)
    if rival is None:
        return Tables(common, {})
    bare = next((folder for folder, table in found.items() if table is None), None)
    if top is not None or bare is not None:
        where = "" if bare is None or top is not None else f", and {bare} has none"
        raise MaskwrightError(
            f"{known[0].path} and {rival.path} name the values differently{where}: give the one that is right as "
            "`read.classes`, or keep one in each folder of masks and none above"
        )
    return Tables(None, {folder: table for folder, table in found.items() if table is not None})


def _agree(first: ClassTable, second: ClassTable) -> bool:
    """Tell whether no id has two names, and no name two ids or colours."""
    if first.path == second.path:
        return True
    names = {entry.id: entry.name for entry in first.entries}
    entries = {entry.name: entry for entry in first.entries}
    return all(
        names.get(entry.id, entry.name) == entry.name and entries.get(entry.name, entry) == entry
        for entry in second.entries
    )


def _joined(first: ClassTable, second: ClassTable) -> ClassTable:
    """Return the first table, with the entries that only the second has."""
    entries = {entry.id: entry for entry in (*second.entries, *first.entries)}
    return replace(first, entries=tuple(entries[number] for number in sorted(entries)))


def naming_in(tables: Mapping[Path, ClassTable]) -> Naming:
    """Return where the names are written, if each folder has a table of its own."""
    naming = naming_of(next(iter(tables.values())))
    return replace(naming, file=f"{naming.file} in its folder")


def meaning_by_folder(
    tables: Mapping[Path, ClassTable], scan: Scan, options: ReadOptions
) -> tuple[Meaning, dict[Path, Values]]:
    """Join the classes of the tables by name; return them, and what each value means in each folder.

    Raises:
        MaskwrightError: the masks hold colours, the options map values, which differ from folder to folder, or a table
            gives two classes one name.
    """
    first, second = list(tables.values())[:2]
    if scan.colored or options.map:
        why = "the masks hold colours" if scan.colored else "`read.map` needs values that mean the same in all masks"
        raise MaskwrightError(
            f"tables such as {first.path} and {second.path} name the values differently, and {why}: give one table for "
            "all masks as `read.classes`"
        )
    for table in tables.values():
        require_distinct([entry.name for entry in table.entries if not means_ignore(entry.name)], table.path)
    entries = [entry for table in tables.values() for entry in table.entries if entry.id >= 0]
    names = dict.fromkeys(entry.name for entry in sorted(entries, key=lambda entry: entry.id))
    kept = [name for name in names if not means_ignore(name)]
    index = {name: kept.index(name) if name in kept else IGNORE for name in names}
    values = {
        folder: tuple(
            sorted(
                {
                    255: IGNORE,
                    **{entry.id: index[entry.name] for entry in table.entries if entry.id >= 0},
                    **dict.fromkeys(options.ignored(), IGNORE),
                }.items()
            )
        )
        for folder, table in tables.items()
    }
    note = (
        f"{plural(len(kept), 'name')} from {first.path.name} in each folder, which differ, so each mask is read by "
        "its own"
    )
    white = IGNORE if 255 in options.ignored() else None
    return Meaning("index", Classes.named(tuple(kept)), notes=(note,), white=white), values
