"""Tables of class names in many forms, and where to find them in a folder. Knows no masks.

Text, one class a line: `name`; `id name` or `id,name` or `id: name`; `name id`; `name,r,g,b` or `name r g b`;
`name,#rrggbb` or `#rrggbb name`; `id,name,r,g,b`; `r g b name` (CamVid); `name:r,g,b:parts:actions` (CVAT); the label
descriptions of ITK-SNAP. A line that starts with # and no colour is a comment, and so is what follows a # between
blanks. With a header: a column for the name and, optionally, for the id and the colour (red, green, blue in three
columns or in one, or #rrggbb). Ids can be negative. JSON and YAML: a list of names or of objects, a mapping in either
direction, or one of these under `names`, `classes`, `categories` or `labels`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core.documents import parsed_json, parsed_yaml
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.naming import NOWHERE, Naming
from maskwright.data.formats.meaning.table_lines import ID_COLUMNS, NAME_COLUMNS, color_of, from_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from maskwright.data.formats.meaning.table_lines import Color, Row

# ADE20K numbers its 150 classes from 1, and does not list 0, which is unlabelled there; other data in its layout use 0
# for the background.
_ADE20K, _ADE20K_CLASSES = "objectInfo150.txt", 150
FILE_NAMES: tuple[str, ...] = (
    *("classes.txt", "classes.csv", "classes.json", "classes.yaml", "labelmap.txt", "label_map.txt", "class_dict.csv"),
    *("class_names.txt", "label_colors.txt", "label_colours.txt", "labels.txt", "_classes.csv", _ADE20K),
    *("names.txt", "codes.txt", "class_dict_seg.csv", "label_names.txt", "data.yaml", "dataset.yaml", "data.yml"),
)
# LabelMe begins its list with this name, whose id is -1.
_LABELME_IGNORED = "__ignore__"
_COMMENT = re.compile(r"^\s*#(?![0-9a-fA-F]{6}\b).*|\s#\s.*")
_LISTS = ("names", "classes", "categories", "labels", "class_names")


@dataclass(frozen=True)
class Entry:
    """One class of a table: `id` is its value in index masks, `color` its colour in RGB masks."""

    id: int
    name: str
    color: Color | None = None


@dataclass(frozen=True)
class ClassTable:
    """A table of classes.

    Attributes:
        path: the file.
        entries: in the order of their ids.
        numbered: the file lists the ids; otherwise they are the line numbers from 0 (from -1 if LabelMe's
            `__ignore__` is the first name).
        guessed: nobody gave it: the masks look as if it fitted.
        line: how it writes a class (`core.naming.Naming.line`); empty if that is unknown.
    """

    path: Path
    entries: tuple[Entry, ...]
    numbered: bool
    guessed: bool = False
    line: str = ""

    @property
    def colored(self) -> bool:
        """Whether every class has a colour."""
        return bool(self.entries) and all(entry.color is not None for entry in self.entries)


def find_table(folders: Iterable[Path]) -> ClassTable | None:
    """Return the first table in one of the folders, under one of `FILE_NAMES`; None if there is none."""
    for folder in folders:
        for name in FILE_NAMES:
            path = folder / name
            if path.is_file():
                table = read_table(path)
                if table.entries:
                    return table
    return None


def undisputed_table(folders: Iterable[Path]) -> ClassTable | None:
    """Return what `find_table` does.

    Raises:
        MaskwrightError: another table in its folder gives the same names to other ids.
    """
    table = find_table(folders)
    if table is not None:
        require_same_order(table, table.path.parent)
    return table


def require_same_order(table: ClassTable, folder: Path) -> None:
    """Refuse another table in a folder that gives the same names to other ids.

    Raises:
        MaskwrightError: there is one.
    """
    for path in (folder / name for name in FILE_NAMES if (folder / name) != table.path):
        try:
            other = read_table(path) if path.is_file() else table
        except MaskwrightError:  # of another kind, or damaged: it is not the one that is used
            continue
        ids, others = (_ids(one) for one in (table, other))
        if ids.keys() == others.keys() and ids != others:
            raise MaskwrightError(
                f"{table.path} and {path} give the same names to different ids: give the one that is right as "
                "`read.classes`, or move the other away"
            )


def _ids(table: ClassTable) -> dict[str, int]:
    """Return the id of each name, regardless of case; none of a list of colours, whose order tells nothing."""
    if table.colored and not table.numbered:
        return {}
    return {entry.name.strip().casefold(): entry.id for entry in table.entries}


def read_table(path: Path) -> ClassTable:
    """Read a table of classes.

    Raises:
        MaskwrightError: the file is missing, not UTF-8 text, or in none of the known forms.
    """
    if not path.exists():
        raise MaskwrightError(f"{path} does not exist: give a file with class names as `read.classes`")
    suffix = path.suffix.lower()
    if suffix in {".json", ".yaml", ".yml"}:
        return _table(path, _from_data(path, parsed_json(path) if suffix == ".json" else parsed_yaml(path)))
    lines = ((number, _COMMENT.sub("", line).strip()) for number, line in enumerate(read_text(path).splitlines(), 1))
    rows, form = from_lines(path, [(number, line) for number, line in lines if line])
    if path.name == _ADE20K and all(number != 0 for number, _, _ in rows):
        rows = [(0, "unlabelled" if len(rows) == _ADE20K_CLASSES else "background", None), *rows]
    return _table(path, rows, form)


def naming_of(table: ClassTable | None) -> Naming:
    """Return where the names are written; nowhere if there is no table, or nobody gave it."""
    return NOWHERE if table is None or table.guessed else Naming(table.path.name, table.line, table.numbered)


def _table(path: Path, rows: list[Row], line: str = "") -> ClassTable:
    bare = next((name for number, name, _ in rows if number is None), None)
    numbered = bool(rows) and bare is None
    if bare is not None and any(number is not None for number, _, _ in rows):
        raise MaskwrightError(f"{path} gives {bare!r} no id, but gives other classes one: add it")
    first = -1 if rows and rows[0][1].strip() == _LABELME_IGNORED else 0
    entries = [
        Entry(place if number is None else number, name.strip().strip("'\""), color)
        for place, (number, name, color) in enumerate(rows, start=first)
    ]
    return table_of(path, entries, numbered=numbered, line=line)


def table_of(
    path: Path, entries: Iterable[Entry], *, numbered: bool, guessed: bool = False, line: str = ""
) -> ClassTable:
    """Make a table of entries in any order.

    Raises:
        MaskwrightError: two entries have one id or colour, or a colour is too high.
    """
    ordered = sorted(entries, key=lambda entry: entry.id)
    _require_distinct(path, ordered)
    return ClassTable(path, tuple(ordered), numbered, guessed, line)


def _require_distinct(path: Path, entries: list[Entry]) -> None:
    ids: dict[int, str] = {}
    colors: dict[Color, str] = {}
    for entry in entries:
        if entry.id in ids:
            raise MaskwrightError(f"{path} gives id {entry.id} to {ids[entry.id]!r} and {entry.name!r}: change one")
        ids[entry.id] = entry.name
        if entry.color is None:
            continue
        if max(entry.color) > 255:
            colour = f"{path} gives {entry.name!r} the colour {entry.color}"
            raise MaskwrightError(f"{colour}, but 255 is the highest value: correct it")
        if entry.color in colors:
            both = f"{colors[entry.color]!r} and {entry.name!r}"
            raise MaskwrightError(f"{path} gives the colour {entry.color} to {both}: change one")
        colors[entry.color] = entry.name


def from_names(path: Path, names: Any) -> ClassTable:
    """Make a table of the `names` of a YAML or JSON file: a list, or a mapping in either direction.

    Raises:
        MaskwrightError: `names` is neither.
    """
    return _table(path, _from_data(path, names))


def _from_data(path: Path, data: Any) -> list[Row]:
    if isinstance(data, dict):
        inner = next((data[key] for key in _LISTS if isinstance(data.get(key), list | dict)), None)
        if inner is not None:
            return _from_data(path, inner)
        if {"train", "val", "path", "nc"} & set(data):  # YOLO's data.yaml without names
            return []
        return [_from_pair(path, key, value) for key, value in data.items()]
    if isinstance(data, list):
        return [_from_item(path, item) for item in data]
    raise MaskwrightError(f"{path} holds {type(data).__name__}, not class names: write a list of names")


def _from_item(path: Path, item: Any) -> Row:
    if isinstance(item, dict):
        plain = {str(key).lower(): value for key, value in item.items()}
        name = next((plain[key] for key in NAME_COLUMNS if isinstance(plain.get(key), str)), None)
        number = next((int(plain[key]) for key in ID_COLUMNS if re.fullmatch(r"-?\d+", str(plain.get(key)))), None)
        color = plain.get("color", plain.get("colour"))
        if name is not None:
            return number, name, color_of(path, color)
    elif isinstance(item, str | int | float | bool):
        return None, str(item), None
    raise MaskwrightError(f"{path} holds {item!r}, which is not a class name: write a name, or an object with a `name`")


def _from_pair(path: Path, key: Any, value: Any) -> Row:
    if re.fullmatch(r"-?\d+", str(key)) and isinstance(value, str):
        return int(key), value, None
    if isinstance(value, int) and not isinstance(value, bool):
        return value, str(key), None
    if isinstance(value, list) and len(value) == 3:
        return None, str(key), color_of(path, value)
    raise MaskwrightError(f"{path} holds {key!r}: {value!r}, which is not a class: write it as id: name")
