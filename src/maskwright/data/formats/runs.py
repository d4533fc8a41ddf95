"""Run lengths in a CSV file, as in Kaggle's competitions: a row an object, or an image and class. Paints nothing.

`ImageId,EncodedPixels`: pairs of a start and a length. Pixels count from 1, down each column and then to the right.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.records import Fault
from maskwright.core.text import agree, plural
from maskwright.data.formats.outlines.annotation_files import few, holds
from maskwright.data.formats.outlines.drawn import class_list, drawn_dataset
from maskwright.data.formats.outlines.located import Images, Search, split_of
from maskwright.data.formats.outlines.shapes import Drawing, DrawnImage
from maskwright.data.readers import DecodeError, image_size

if TYPE_CHECKING:
    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset, Severity

_RUNS, _MARK = ("encodedpixels", "encoded_pixels"), "ncoded"
_BOTH = ("imageid_classid", "image_label")
_IMAGES = ("imageid", "image_id", "image", "id", "filename", "img", *_BOTH)
_CLASSES = ("classid", "class_id", "class", "label", "category")
_NONE = {"", "-1", "nan"}
# So many runs must lie a row behind the one before, and so many times as many as a column behind it.
_FEWEST_STEPS, _CLEAR = 16, 4
_UNLISTED = "add a row without runs for those that show no object; annotate the others, or move them away"
_LONGEST = 2**31 - 1  # of a cell: large images have runs beyond the limit of the csv module
_CONVERT = "convert them to masks, or to COCO with pycocotools"


class _Row(NamedTuple):
    image: str
    label: str
    line: int
    runs: str


def detect(root: Path) -> str | None:
    """Find CSV files with a column of run lengths."""
    files = _files(root)
    return f"{plural(len(files), 'CSV file')} of run lengths" if files else None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read run lengths: background and the classes, or `object` if no column tells them.

    Raises:
        MaskwrightError: there is no such file, none has an image, or the runs follow rows.
    """
    base = root if root.is_dir() else root.parent
    search = Search(Images(base), "add the images, or remove the rows")
    drawn: list[DrawnImage] = []
    faults: list[Fault] = []
    for path in (files := _files(root)):
        by_image: defaultdict[str, list[_Row]] = defaultdict(list)
        for row in _rows(path):
            by_image[row.image].append(row)
        for name, rows in by_image.items():
            found = search.images.named(name, path) or search.images.like(Path(name))
            image = search.one(found, path, name)
            try:
                if image is not None:
                    size = image_size(image)
                    objects = [_object(row, size) for row in rows if row.runs.lower() not in _NONE]
                    drawn.append(DrawnImage(image, path, objects, size, split_of(base, image)))
            except (ValueError, DecodeError) as error:
                cure = f"correct the row, or {_CONVERT}"
                faults.append(Fault("unreadable", "error", path, f"the runs of {name} cannot be read: {error}", cure))
    if not drawn:
        raise search.nothing_found(root, faults)
    for path in files:
        faults += _require_columns(path, [entry for entry in drawn if entry.source == path])
    layout = f"{plural(len(files), 'CSV file')} of run lengths, down each column"
    listed = class_list(drawn, options, (), base)
    faults += search.faults("no row names", _UNLISTED)
    return drawn_dataset(root, ("runs", layout), drawn, options, listed, faults)


def _files(root: Path) -> list[Path]:
    """Return the CSV files with a column of run lengths; sample submissions hold none that are true."""
    found = few(root, ".csv") if root.is_dir() else [root] if root.suffix.lower() == ".csv" else []
    marked = (path for path in found if "submission" not in path.stem.lower() and holds(path, [_MARK]))
    return [path for path in marked if _columns(read_text(path).partition("\n")[0]) is not None]


def _columns(header: str) -> tuple[int, int, int | None] | None:
    """Return the places of the image, of the runs and of the class; None if this is no header of run lengths."""
    names = [name.strip().strip('"').lower() for name in header.split(",")]
    image = next((names.index(name) for name in _IMAGES if name in names), None)
    runs = next((names.index(name) for name in _RUNS if name in names), None)
    label = next((names.index(name) for name in _CLASSES if name in names), None)
    return None if image is None or runs is None else (image, runs, label)


def _rows(path: Path) -> list[_Row]:
    lines = read_text(path).splitlines()
    columns = _columns(lines[0])
    assert columns is not None
    image, runs, label = columns
    both = lines[0].split(",")[image].strip().strip('"').lower() in _BOTH
    usual = csv.field_size_limit(_LONGEST)  # of the whole process
    try:
        table = list(csv.reader(lines[1:]))
    finally:
        csv.field_size_limit(usual)
    rows = []
    for number, cells in enumerate(table, start=2):
        if not cells:
            continue
        if len(cells) <= max(image, runs, label or 0):
            raise MaskwrightError(f"{path}, line {number}: {plural(len(cells), 'cell')} are too few: correct the line")
        name, word = cells[image].strip(), "object" if label is None else cells[label].strip()
        if both:
            name, _, word = name.rpartition("_")
        rows.append(_Row(name, word, number, cells[runs].strip()))
    return rows


def _object(row: _Row, size: tuple[int, int]) -> Drawing:
    """Read the runs of one object.

    Raises:
        ValueError: they are no pairs of numbers, go back, or leave the image.
    """
    numbers = [int(word) for word in row.runs.split()]
    counts: list[int] = []
    end = 0
    for start, length in zip(numbers[::2], numbers[1::2], strict=False):
        if start <= end or length < 1:
            raise ValueError(f"line {row.line}: the run {start} {length} does not follow the one before")
        counts += [start - 1 - end, length]
        end = start - 1 + length
    height, width = size
    if end > height * width or len(numbers) % 2:
        raise ValueError(f"line {row.line}: {len(numbers)} numbers that reach pixel {end} of {width}x{height}")
    code: dict[str, object] = {"size": [height, width], "counts": [*counts, height * width - end]}
    return Drawing(row.label or None, rle=code, area=float(sum(numbers[1::2])))


def _require_columns(path: Path, drawn: list[DrawnImage]) -> list[Fault]:
    """Refuse runs of a file that follow rows: the next run of an object lies a row on, and not a column.

    Returns:
        A note, or a warning if a few runs do so, if no more runs lie a column on.

    Raises:
        MaskwrightError: most do so.
    """
    steps = {"column": 0, "row": 0}
    for entry in drawn:
        assert entry.size is not None
        height, width = entry.size
        near = 2 + max(height, width) // 50
        if abs(height - width) <= 2 * near:
            continue
        for shape in entry.objects:
            counts = (shape.rle or {}).get("counts")
            assert isinstance(counts, list)
            for gap, before, after in zip(counts[2::2], counts[1::2], counts[3::2], strict=False):
                step = gap + (before + after) / 2  # between the middles of two runs
                steps["column"] += abs(step - height) <= near
                steps["row"] += abs(step - width) <= near
    if steps["row"] > max(_FEWEST_STEPS, _CLEAR * steps["column"]):
        raise MaskwrightError(
            f"{path} holds runs that follow the rows of the images, but those of Kaggle follow the columns: {_CONVERT}"
        )
    if steps["column"] > steps["row"] or not any(entry.objects for entry in drawn):
        return []
    message = (
        f"{plural(steps['column'], 'run')} {agree(steps['column'], 'lies', 'lie')} a column behind the one before, and "
        f"{steps['row']} a row, which does not show whether runs follow columns or rows (the images are square, or "
        "have few runs): they are read down the columns, as those of Kaggle"
    )
    severity: Severity = "warning" if steps["row"] > steps["column"] else "note"
    return [Fault("unknown-direction", severity, path, message, f"if they follow the rows, {_CONVERT}")]
