"""Class names in lines of text and in CSV: the forms that people write, one class a line. Opens no file.

The lines of a table agree on one form. A line that differs from most others is refused and never taken for a name.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.naming import BARE

if TYPE_CHECKING:
    from pathlib import Path

Color = tuple[int, int, int]
Row = tuple[int | None, str, Color | None]

NAME_COLUMNS = ("name", "class_name", "classname", "class", "label", "category", "label_name")
ID_COLUMNS = (
    *("id", "idx", "index", "class_id", "classid", "label_id", "value", "pixel", "pixel_value", "class_value"),
    *("code", "label"),
)
_COLOR_COLUMNS = (("r", "g", "b"), ("red", "green", "blue"))
_COLOR_COLUMN = ("color", "colour", "rgb", "hex")
_RGB = r"(?P<r>\d{1,3})[\s,;]+(?P<g>\d{1,3})[\s,;]+(?P<b>\d{1,3})"
_ID = r"(?P<id>-?\d+)"
# From the most specific to the most general.
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"(?P<name>[^:]+):(?:{_RGB})?:[^:]*:[^:]*",
        rf"{_ID}\s+{_RGB}\s+[\d.]+\s+[01]\s+[01]\s+\"(?P<name>[^\"]+)\"",  # ITK-SNAP
        rf"(?:{_ID}[\s,;:]+)?(?P<name>\D.*?)[\s,;:=]+#(?P<hex>[0-9a-fA-F]{{6}})",
        rf"(?:{_ID}[\s,;:]+)?#(?P<hex>[0-9a-fA-F]{{6}})[\s,;:=]+(?P<name>\D.*)",
        rf"{_ID}[\s,;:]+(?P<name>\D.*?)[\s,;]+{_RGB}",
        rf"{_RGB}[\s,;]+(?P<name>\D.*)",
        rf"(?P<name>\D.*?)[\s,;:]+{_RGB}",
        rf"{_ID}\s*[:=\t]\s*(?P<name>(?:(?!,\s*\d)[^;:=\t])+)",  # a name with a comma
        rf"{_ID}\s*[,;:=\t]\s*(?P<name>[^,;:\t]+)",
        rf"{_ID}[\s,;:]+(?P<name>\D.*)",
        rf"(?P<name>\D.*?)\s*[,;:=\t]\s*{_ID}",
    )
)
# A name with a number after a blank: ids only where every line has one.
_ENDS_IN_ID = re.compile(rf"(?P<name>\D.*?)\s+{_ID}")
_HIGHEST_ID = 255  # of these: higher numbers are parts of names
# A line with an id beside a separator that is no blank: not a mere name even where the other lines are.
_NUMBERED = re.compile(r"-?\d+\s*[,;:=\t].*\S.*|.*\S\s*[,;:=\t]\s*-?\d+")


def from_lines(path: Path, lines: list[tuple[int, str]]) -> tuple[list[Row], str]:
    """Read classes from lines, each with its number in the file.

    Returns:
        The classes, and how the table writes one (`core.naming.Naming.line`).

    Raises:
        MaskwrightError: a line differs from the others, or names no class.
    """
    if lines and all("|" in line for _, line in lines):
        why = "is a line of a Markdown table, which cannot be read: write one id,name per line, without bars"
        raise MaskwrightError(f"{path}, line {lines[0][0]}: {lines[0][1]!r} {why}")
    columns = _header(lines[0][1], least=1 if path.suffix.lower() == ".csv" else 2) if lines else None
    if columns is not None:
        return _from_csv(path, lines, columns)
    trimmed = [(number, line.rstrip(",; \t")) for number, line in lines]
    found = [[form.fullmatch(line) for _, line in trimmed] for form in _FORMS]
    best = max(found, key=lambda matches: sum(match is not None for match in matches), default=[])
    form = next((matches for matches in found if sum(map(bool, matches)) * 2 > len(lines)), best)
    if sum(map(bool, form)) * 2 < len(lines) or not lines:
        odd = next((line for line in trimmed if _NUMBERED.fullmatch(line[1])), None)
        if odd is not None:
            number, line = odd
            why = "gives an id, but most lines give a name alone: write an id in each line, such as id,name, or in none"
            raise MaskwrightError(f"{path}, line {number}: {line!r} {why}")
        return _with_ids_at_the_end(path, trimmed) or ([(None, line, None) for _, line in trimmed], BARE)
    if form[0] is None and all(form[1:]) and _is_heading(trimmed):
        trimmed, form = trimmed[1:], form[1:]
    rows: list[Row] = []
    for (number, line), match in zip(trimmed, form, strict=True):
        if match is None:
            first = next(text for (_, text), fits in zip(trimmed, form, strict=True) if fits)
            why = f"is written differently from most lines, such as {first!r}: write it in the same way"
            if re.match(r"\d+\s+[^\W\d]", first):
                why += f"; if the numbers are part of the names, write every line as id,name, such as 1,{first}"
            elif line.count(",") > first.count(",") and "\t" not in line:
                why += "; if the name holds a comma, write every line as id: name"
            raise MaskwrightError(f"{path}, line {number}: {line!r} {why}")
        parts = match.groupdict()
        own_id = int(parts["id"]) if parts.get("id") else None
        color = f"#{parts['hex']}" if parts.get("hex") else [parts.get(channel) for channel in "rgb"]
        rows.append((own_id, parts["name"], color_of(path, color)))
    return rows, _as_form(match)


def _with_ids_at_the_end(path: Path, lines: list[tuple[int, str]]) -> tuple[list[Row], str] | None:
    """Read `nut 1`; None if the numbers are parts of names.

    Raises:
        MaskwrightError: the numbers can be ids that differ from the order of the lines, but not each line has its own.
    """
    lines = lines[1:] if len(lines) > 1 and _is_heading(lines) else lines
    found = [match for _, line in lines if (match := _ENDS_IN_ID.fullmatch(line))]
    ids = [int(match["id"]) for match in found]
    if len(ids) < 2 or len(set(ids)) < len(ids) or max(ids) > _HIGHEST_ID:
        return None
    if len(lines) == len({match["name"] for match in found}):
        return [(number, match["name"], None) for number, match in zip(ids, found, strict=True)], "{name} {id}"
    if ids != sorted(ids) and max(ids) <= len(lines):
        why = "may end in an id or in a part of its name: write every line as id,name"
        raise MaskwrightError(f"{path}: {found[0].string!r} {why}")
    return None


def _as_form(match: re.Match[str] | None) -> str:
    """Return a line with the names of its groups in braces instead of what they hold."""
    assert match is not None
    form, end = "", 0
    for group in sorted((name for name, text in match.groupdict().items() if text), key=match.start):
        form += _literal(match.string[end : match.start(group)]) + f"{{{group}}}"
        end = match.end(group)
    return form + _literal(match.string[end:])


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _is_heading(lines: list[tuple[int, str]]) -> bool:
    """Tell whether the first line has no number, and names columns: known ones, or as many as the second line has."""
    heading = lines[0][1]
    first, second = (len(re.findall("[,;:\t]", line)) for _, line in lines[:2])
    known = {*NAME_COLUMNS, *ID_COLUMNS, *(channel for triple in _COLOR_COLUMNS for channel in triple)}
    listed = len(heading.split()) > 1 and set(heading.lower().split()) <= known
    return not re.search(r"\d", heading) and (listed or first == second > 0)


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]


def _delimiter(line: str) -> str:
    return next((mark for mark in ";\t," if mark in line), ",")


def _header(line: str, least: int) -> dict[str, int] | None:
    """Map `name`, `id`, `r`, `g`, `b` and `color` to the columns of a header; None if fewer than `least` are known."""
    names = [re.sub(r"[\s-]+", "_", cell.lower()) for cell in _cells(line, _delimiter(line))]
    name = next((column for column in NAME_COLUMNS if column in names), None)
    if name is None:
        return None
    columns = {"name": names.index(name)}
    number = next((column for column in ID_COLUMNS if column in names and column != name), None)
    if number:
        columns["id"] = names.index(number)
    for triple in _COLOR_COLUMNS:
        if all(column in names for column in triple):
            columns |= {channel: names.index(column) for channel, column in zip("rgb", triple, strict=True)}
    color = next((column for column in _COLOR_COLUMN if column in names), None)
    if color:
        columns["color"] = names.index(color)
    return columns if len(columns) >= least else None


def _from_csv(path: Path, lines: list[tuple[int, str]], columns: dict[str, int]) -> tuple[list[Row], str]:
    delimiter = _delimiter(lines[0][1])
    rows: list[Row] = []
    for number, line in lines[1:]:
        cells = dict(enumerate(_cells(line, delimiter)))
        here = f"{path}, line {number}"
        name = cells.get(columns["name"], "")
        if not name:
            raise MaskwrightError(f"{here}: {line!r} names no class: write a name, or remove the line")
        own_id = None
        if "id" in columns:
            text = cells.get(columns["id"], "")
            if not re.fullmatch(r"[+-]?\d+", text):
                raise MaskwrightError(f"{here}: the id {text!r} is not a whole number: correct it")
            own_id = int(text)
        color: Any = [cells.get(columns[channel]) for channel in "rgb"] if "r" in columns else None
        if "color" in columns:
            text = cells.get(columns["color"], "")
            color = text if text.startswith("#") else re.findall(r"[^\s,;()\[\]]+", text)
        rows.append((own_id, name, color_of(path, color)))
    coded = "color" in columns and all("#" in line for _, line in lines[1:])
    return rows, _csv_form(
        columns, len(_cells(lines[0][1], delimiter)), delimiter, "#{hex}" if coded else "{r} {g} {b}"
    )


def _csv_form(columns: dict[str, int], count: int, delimiter: str, color: str) -> str:
    """Return a line of a CSV with the names of its columns in braces, and how it writes colours; others are empty."""
    cells = [""] * count
    for name, place in columns.items():
        cells[place] = color if name == "color" else f"{{{name}}}"
    return delimiter.join(cells)


def color_of(path: Path, values: Any) -> Color | None:
    """Read [r, g, b] or "#rrggbb"; None if there is no colour.

    Raises:
        MaskwrightError: it is none of these.
    """
    if isinstance(values, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", values):
        values = list(bytes.fromhex(values[1:]))
    if not isinstance(values, list) or len(values) != 3 or any(value in {None, ""} for value in values):
        return None
    try:
        red, green, blue = (int(value) for value in values)
    except (TypeError, ValueError):
        raise MaskwrightError(f"{path} holds the colour {values}: write three whole numbers from 0 to 255") from None
    return red, green, blue
