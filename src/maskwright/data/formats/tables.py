"""Tables of class names in many forms, and where to find them in a folder. Knows no masks.

Text, one class a line: `name`; `id name` or `id,name` or `id: name`; `name,r,g,b` or `name r g b`; `id,name,r,g,b`;
`r g b name` (CamVid); `name:r,g,b:parts:actions` (CVAT). CSV with a header that has a column for the name and,
optionally, for the id and red, green, blue. JSON and YAML: a list of names or of objects, a mapping in either
direction, or one of these under `names`, `classes`, `categories` or `labels`. Lines that start with # are skipped.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Color = tuple[int, int, int]

FILE_NAMES: tuple[str, ...] = (
    *("classes.txt", "classes.csv", "classes.json", "classes.yaml", "labelmap.txt", "label_map.txt", "class_dict.csv"),
    *("class_names.txt", "label_colors.txt", "label_colours.txt", "labels.txt"),
    *("names.txt", "codes.txt", "class_dict_seg.csv", "label_names.txt", "data.yaml", "dataset.yaml", "data.yml"),
)
_LISTS = ("names", "classes", "categories", "labels", "class_names")
_NAME_COLUMNS = ("name", "class_name", "classname", "class", "label", "category", "label_name")
_ID_COLUMNS = ("id", "index", "class_id", "classid", "label_id", "value", "pixel", "pixel_value", "code", "label")
_COLOR_COLUMNS = (("r", "g", "b"), ("red", "green", "blue"))
_RGB = r"(?P<r>\d{1,3})[\s,;]+(?P<g>\d{1,3})[\s,;]+(?P<b>\d{1,3})"
# The first form that fits every line is taken.
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"(?P<name>[^:]+):(?:{_RGB})?:[^:]*:[^:]*",
        rf"(?P<id>\d+)[\s,;:]+(?P<name>\D.*?)[\s,;]+{_RGB}",
        rf"{_RGB}[\s,;]+(?P<name>\D.*)",
        rf"(?P<name>\D.*?)[\s,;:]+{_RGB}",
        r"(?P<id>\d+)[\s,;:]+(?P<name>\D.*)",
        r"(?P<name>\D.*?)[\s]*[,;:=\t]\s*(?P<id>\d+)",
        r"(?P<name>.+)",
    )
)


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
        numbered: the file lists the ids; otherwise they are the line numbers from 0.
    """

    path: Path
    entries: tuple[Entry, ...]
    numbered: bool

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


def read_table(path: Path) -> ClassTable:
    """Read a table of classes.

    Raises:
        MaskwrightError: the file is missing, not UTF-8 text, or in none of the known forms.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MaskwrightError(f"{path} does not exist: give a file with class names as `read.classes`") from None
    except UnicodeDecodeError:
        raise MaskwrightError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise MaskwrightError(
            f"{path} cannot be read ({error.strerror}): give a file with class names as `read.classes`"
        ) from None
    suffix = path.suffix.lower()
    if suffix in {".json", ".yaml", ".yml"}:
        return _table(path, _from_data(path, _parsed(path, text, is_json=suffix == ".json")))
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    columns = _header(lines[0]) if suffix == ".csv" and lines else None
    return _table(path, _from_csv(path, lines) if columns else _from_lines(path, lines))


def _table(path: Path, rows: list[tuple[int | None, str, Color | None]]) -> ClassTable:
    numbered = bool(rows) and all(row[0] is not None for row in rows)
    entries = [
        Entry(number if numbered and number is not None else place, name.strip().strip("'\""), color)
        for place, (number, name, color) in enumerate(rows)
    ]
    _require_distinct(path, entries)
    return ClassTable(path, tuple(sorted(entries, key=lambda entry: entry.id)), numbered)


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


def _from_lines(path: Path, lines: list[str]) -> list[tuple[int | None, str, Color | None]]:
    for form in _FORMS:
        matches = [form.fullmatch(line) for line in lines]
        if not all(matches):
            continue
        rows = []
        for match in matches:
            assert match is not None
            found = match.groupdict()
            number = int(found["id"]) if found.get("id") else None
            color = _color(path, [found.get(channel) for channel in "rgb"])
            rows.append((number, found["name"], color))
        return rows
    raise MaskwrightError(f"{path} is not a table of classes: write one name a line")


def _header(line: str) -> dict[str, str] | None:
    """Map `name`, `id`, `r`, `g`, `b` to the columns of a CSV's first line; None if it is not a header."""
    names = [name.strip().strip('"').lower() for name in re.split("[,;\t]", line)]
    name = next((column for column in _NAME_COLUMNS if column in names), None)
    if name is None:
        return None
    columns = {"name": name}
    number = next((column for column in _ID_COLUMNS if column in names and column != name), None)
    if number:
        columns["id"] = number
    for triple in _COLOR_COLUMNS:
        if all(column in names for column in triple):
            columns |= dict(zip("rgb", triple, strict=True))
    return columns


def _from_csv(path: Path, lines: list[str]) -> list[tuple[int | None, str, Color | None]]:
    columns = _header(lines[0])
    assert columns is not None
    delimiter = next(mark for mark in ",;\t" if mark in lines[0]) if re.search("[,;\t]", lines[0]) else ","
    rows = []
    for number, row in enumerate(csv.DictReader(lines, delimiter=delimiter), start=1):
        cells = {(key or "").strip().lower(): (value or "").strip() for key, value in row.items() if key is not None}
        try:
            own_id = int(cells[columns["id"]]) if "id" in columns else None
        except ValueError:
            wrong = f"{path}, class {number}: the id {cells[columns['id']]!r}"
            raise MaskwrightError(f"{wrong} is not a whole number: correct it") from None
        color = _color(path, [cells.get(columns[channel]) for channel in "rgb"]) if "r" in columns else None
        rows.append((own_id, cells[columns["name"]], color))
    return rows


def _color(path: Path, values: Any) -> Color | None:
    """Read [r, g, b] or "#rrggbb"; None if there is no colour."""
    if isinstance(values, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", values):
        values = list(bytes.fromhex(values[1:]))
    if not isinstance(values, list) or len(values) != 3 or any(value in {None, ""} for value in values):
        return None
    try:
        red, green, blue = (int(value) for value in values)
    except (TypeError, ValueError):
        raise MaskwrightError(f"{path} holds the colour {values}: write three whole numbers from 0 to 255") from None
    return red, green, blue


def _parsed(path: Path, text: str, *, is_json: bool) -> Any:
    try:
        return json.loads(text) if is_json else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise MaskwrightError(f"{path} cannot be read as {'JSON' if is_json else 'YAML'}: {reason}") from None


def from_names(path: Path, names: Any) -> ClassTable:
    """Make a table of the `names` of a YAML or JSON file: a list, or a mapping in either direction.

    Raises:
        MaskwrightError: `names` is neither.
    """
    return _table(path, _from_data(path, names))


def _from_data(path: Path, data: Any) -> list[tuple[int | None, str, Color | None]]:
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


def _from_item(path: Path, item: Any) -> tuple[int | None, str, Color | None]:
    if isinstance(item, dict):
        plain = {str(key).lower(): value for key, value in item.items()}
        name = next((plain[key] for key in _NAME_COLUMNS if isinstance(plain.get(key), str)), None)
        number = next((plain[key] for key in _ID_COLUMNS if isinstance(plain.get(key), int)), None)
        color = plain.get("color", plain.get("colour"))
        if name is not None:
            return number, name, _color(path, color)
    elif isinstance(item, str | int | float | bool):
        return None, str(item), None
    raise MaskwrightError(f"{path} holds {item!r}, which is not a class name: write a name, or an object with a `name`")


def _from_pair(path: Path, key: Any, value: Any) -> tuple[int | None, str, Color | None]:
    if str(key).isdecimal() and isinstance(value, str):
        return int(key), value, None
    if isinstance(value, int) and not isinstance(value, bool):
        return value, str(key), None
    if isinstance(value, list) and len(value) == 3:
        return None, str(key), _color(path, value)
    raise MaskwrightError(f"{path} holds {key!r}: {value!r}, which is not a class: write it as id: name")
