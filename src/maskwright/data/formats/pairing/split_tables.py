"""Tables that give each image its split, for all splits in one file: splits.csv, split.json. Knows no image."""

from __future__ import annotations

import csv
from collections import defaultdict
from typing import TYPE_CHECKING

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.data.formats.pairing.naming import folder_meaning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.core.records import Split

    Names = dict[Split, list[str]]

SUFFIXES = frozenset({".csv", ".tsv", ".json"})
_WORDS = ("split", "partition", "subset", "metadata", "index", "files", "images", "dataset", "data")
_NAME_COLUMNS = ("filename", "file_name", "file", "image", "image_path", "path", "image_id", "name", "id")
_DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}


def read(path: Path) -> Names:
    """Return the names of the images of each split; empty for a file that is no such table.

    Raises:
        MaskwrightError: its name is that of such a table, but it cannot be read.
    """
    if not any(word in path.stem.lower() for word in _WORDS):
        return {}
    try:
        return _from_json(path) if path.suffix.lower() == ".json" else _from_rows(path)
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise MaskwrightError(f"{path} cannot be read ({reason}): correct it, or move it away") from None


def _from_json(path: Path) -> Names:
    """Read {"train": ["a.png", ...], "val": [...]}, also one level down."""
    if "split" not in path.stem.lower():  # it may be large, and anything
        return {}
    content = parsed_json(path)
    while isinstance(content, dict) and len(content) == 1:
        (content,) = content.values()
    if not isinstance(content, dict):
        return {}
    if all(isinstance(value, str) and _split(value) for value in content.values()):
        return _joined([(name, value) for name, value in content.items()])
    lists = {key: value for key, value in content.items() if isinstance(value, list) and _split(key)}
    return _joined([(str(name), key) for key, names in lists.items() for name in names])


def _from_rows(path: Path) -> Names:
    """Read rows in which one column holds nothing but splits; the first row may be a header."""
    with path.open("rb") as stream:
        head = stream.read(4096).decode("latin-1").lower()
    if not any(word in head for word in ("train", "val", "test")):
        return {}
    text = read_text(path)
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS[path.suffix.lower()], key=first.count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=delimiter) if row]
    header = rows[0] if rows and not any(map(_split, rows[0])) else []
    body = rows[1:] if header else rows
    width = min(map(len, body), default=0)
    columns = [column for column in range(width) if all(_split(row[column]) for row in body)]
    if len(columns) != 1 or width < 2:
        return {}
    name = _name_column([cell.lower().replace(" ", "_") for cell in header], columns[0])
    return _joined([(row[name], row[columns[0]]) for row in body])


def _name_column(header: Sequence[str], split: int) -> int:
    """Return the column with the names of the images: the one that is called so, or else the first."""
    named = next((header.index(word) for word in _NAME_COLUMNS if word in header), None)
    return named if named is not None and named != split else int(split == 0)


def _split(word: str) -> Split | None:
    meaning = folder_meaning(word)
    return meaning.split if meaning.role is None else None


def _joined(pairs: Sequence[tuple[str, str]]) -> Names:
    names: defaultdict[Split, list[str]] = defaultdict(list)
    for name, word in pairs:
        split = _split(word)
        assert split is not None
        names[split].append(name)
    return dict(names)
