"""YOLO segmentation: data.yaml, images/ and labels/*.txt with one outline a line. Paints nothing.

A label file holds lines `class x0 y0 x1 y1 ...` in fractions of width and height. An image without one is background,
unless label files without an image lie there: then their names may just not match.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.records import Fault
from maskwright.core.text import agree, plural, such_as
from maskwright.data.formats import folder
from maskwright.data.formats.meaning.tables import Entry, require_same_order, table_of
from maskwright.data.formats.outlines.annotation_files import unreadable
from maskwright.data.formats.outlines.drawn import ClassList, drawn_dataset
from maskwright.data.formats.outlines.shapes import Drawing, DrawnImage, outlined, ring_area
from maskwright.data.formats.yolo_layout import find_layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset, Severity
    from maskwright.data.formats.yolo_layout import Layout

# Fractions may lie outside the image by so much; more than that are pixels.
_BEYOND = 0.5
_BOX_NUMBERS = 4
_FEWEST_CORNERS, _ROUNDING = 3, 0.005
_LONGEST_WORD = 40


def detect(root: Path) -> str | None:
    """Find images that have a text file of outlines where YOLO expects it."""
    try:
        layout = find_layout(root, None)
    except MaskwrightError:
        if folder.detect(root) is None:
            raise
        return None  # The damaged file need not be YOLO's, and there are masks to read.
    if layout is None:
        return None
    longest = _longest_line([layout.labels[image] for image in sorted(layout.images)])
    # Boxes and damaged lines are YOLO too, and `read` refuses them with a reason; but masks, if any, are better.
    told = longest == _BOX_NUMBERS or (layout.yaml and any(label.is_file() for label in layout.labels.values()))
    if longest <= _BOX_NUMBERS and (not told or folder.detect(root) is not None):
        return None
    return f"{layout.yaml.name if layout.yaml else 'labels/'} of {plural(len(layout.images), 'image')}"


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read YOLO segmentation: background and the named classes.

    Raises:
        MaskwrightError: there is no data.yaml and no label file, a path does not exist, or no label is an outline.
    """
    layout = find_layout(root, options.classes)
    if layout is None or not layout.images:
        raise MaskwrightError(f"{root} holds no YOLO data: add a data.yaml with train, val and names, or labels/")
    drawn, faults = [], list(layout.faults)
    names = layout.names or _numbered_names(layout, options)
    if options.classes is None:
        _require_same_order(layout)
    left_out, unpaired = _unpaired(layout)
    for image, split in sorted(layout.images.items()):
        text = layout.labels[image]
        objects, fault = _objects(text, names) if text.is_file() else ([], None)
        if fault is not None:
            faults.append(fault)
        elif image not in left_out:
            drawn.append(DrawnImage(image, text, objects, None, split, normalized=True))
    _require_outlines(root, layout, drawn)
    _require_same_start(layout, drawn)
    where = layout.yaml.name if layout.yaml else "images/ + labels/"
    where += "" if layout.names else ", where no class names were found"
    listed = ClassList([Entry(number, name) for number, name in sorted(names.items())], layout.names_file)
    return drawn_dataset(root, ("yolo", where), drawn, options, listed, [*faults, *unpaired], layout.base)


def _longest_line(paths: Iterable[Path]) -> int:
    """Return the most numbers after the class in a line of the first label files; 0 if they are not label files."""
    texts = [path for path in paths if path.is_file() and path.stat().st_size]
    lines = [line.split() for path in texts[:20] for line in _lines(path) if line.strip()]
    lengths = [len(words) - 1 for words in lines if _class(words[0]) is not None and _numbers(words[1:]) is not None]
    return max(lengths) if lengths and len(lengths) * 2 > len(lines) else 0


def _lines(path: Path) -> list[str]:
    """Return the lines of a label file; none of one that is not text, which is reported when it is read."""
    try:
        return read_text(path).splitlines()
    except MaskwrightError:
        return []


def _numbered_names(layout: Layout, options: ReadOptions) -> dict[int, str]:
    """Name the classes after their numbers in the label files."""
    texts = [path for path in layout.labels.values() if path.is_file()]
    words = {line.split()[0] for path in texts for line in _lines(path) if line.strip()}
    numbers = {number for word in words if (number := _class(word)) is not None} - set(options.map) - options.ignored()
    return {number: f"class-{number}" for number in numbers}


def _objects(path: Path, names: Mapping[int, str]) -> tuple[list[Drawing], Fault | None]:
    """Read one label file; an invalid line makes the image unusable."""
    try:
        lines = read_text(path).splitlines()
    except MaskwrightError as error:
        return [], unreadable(path, error)
    found = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        number_of_class, values = _class(words[0]), _numbers(words[1:])
        if number_of_class is None or not values or len(values) % 2:
            return [], _damaged(path, number, words)
        wrong = next((value for value in values if not -_BEYOND <= value <= 1 + _BEYOND), None)
        if wrong is not None:
            message = (
                f"{path.name} holds {wrong:g} in line {number}, but coordinates must be fractions of the image's "
                "sides, from 0 to 1"
            )
            return [], Fault("bad-outline", "error", path, message, "divide x by the width, and y by the height")
        if _begins_with_box(values):
            message = f"{path.name} holds a box before the outline in line {number}, whose numbers would be two corners"
            return [], Fault("bad-outline", "error", path, message, "remove the four numbers after the class")
        shape = _object(names.get(number_of_class, number_of_class), values)
        found.append(shape._replace(name="" if shape.drawn else f"line {number}"))
    return found, None


def _damaged(path: Path, number: int, words: Sequence[str]) -> Fault:
    """Say what is wrong with a line."""
    odd = next((word for word in words[1:] if _numbers([word]) is None), None)
    cure = "write it as: class x y x y ..."
    if _class(words[0]) is None:
        what = f"begins line {number} with {words[0][:_LONGEST_WORD]!r}, which is not the number of a class"
    elif odd is not None:
        what = f"holds {odd[:_LONGEST_WORD]!r} in line {number}, which is not a number"
    elif len(words) == 1:
        what = f"holds a class without coordinates in line {number}"
    else:
        what = f"holds {len(words) - 1} numbers after the class in line {number}, but x and y come in pairs"
        cure = "complete the line; if its last number is a confidence, remove that"
    if "," in (odd or words[0]):
        cure = "write fractions with a decimal point, and separate the numbers with spaces"
    return Fault("unreadable", "error", path, f"{path.name} {what}", cure)


def _object(label: str | int, values: list[float]) -> Drawing:
    """Read an outline, or a box: centre, width and height."""
    if len(values) == _BOX_NUMBERS:
        x, y, width, height = values
        return Drawing(label, box=(x - width / 2, y - height / 2, x + width / 2, y + height / 2), kind="box")
    shape = outlined(label, [[values]])
    return shape._replace(area=sum(map(ring_area, shape.polygons)))


def _begins_with_box(values: Sequence[float]) -> bool:
    """Tell whether the first four numbers are centre, width and height of the box around the others."""
    xs, ys = values[_BOX_NUMBERS::2], values[_BOX_NUMBERS + 1 :: 2]
    if len(xs) < _FEWEST_CORNERS:
        return False
    around = ((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys))
    return all(abs(one - other) <= _ROUNDING for one, other in zip(values, around, strict=False))


def _class(word: str) -> int | None:
    """Read the number of a class; NumPy writes it with a fraction, 1.0 or 1e+00."""
    number = _numbers([word])
    return int(number[0]) if number and number[0] >= 0 and number[0].is_integer() else None


def _numbers(words: list[str]) -> list[float] | None:
    try:
        values = [float(word) for word in words]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None


def _require_outlines(root: Path, layout: Layout, drawn: Sequence[DrawnImage]) -> None:
    if not any(label.is_file() for label in layout.labels.values()):
        raise MaskwrightError(
            f"{root}: none of {plural(len(layout.images), 'image')} has a label file: put them in labels/ next to "
            "images/"
        )
    shapes = [shape for entry in drawn for shape in entry.objects]
    if not shapes or any(shape.drawn for shape in shapes):
        return
    boxes = sum(shape.kind == "box" for shape in shapes)
    if boxes == len(shapes):
        what = f"boxes only ({plural(boxes, 'line')} of five numbers), but segmentation needs outlines"
    else:
        what = f"{plural(len(shapes), 'label')}, none of which is an outline that encloses an area"
    raise MaskwrightError(f"{root} holds {what}: export it for YOLO segmentation")


def _require_same_order(layout: Layout) -> None:
    """Refuse a table in the folder of the names, or beside the labels, that has the same names in another order."""
    if layout.names_file is None:
        return
    entries = [Entry(number, name) for number, name in layout.names.items()]
    table = table_of(layout.names_file, entries, numbered=True)
    for place in dict.fromkeys((layout.names_file.parent, *(label.parent for label in layout.labels.values()))):
        require_same_order(table, place)


def _require_same_start(layout: Layout, drawn: Sequence[DrawnImage]) -> None:
    """Refuse labels that count from 1 where the names count from 0: each would get the name of the next."""
    count = len(layout.names)
    used = {shape.label for entry in drawn for shape in entry.objects}
    if count not in used or layout.names.keys() != set(range(count)) or layout.names[0] in used:
        return
    source = layout.names_file or layout.base
    raise MaskwrightError(
        f"{source} names the classes 0 to {count - 1}, but the labels hold {count} and never 0, as if they counted "
        f"from 1: number the names from 1 in {source.name} (1: {layout.names[0]}), or add a name for {count}"
    )


def _unpaired(layout: Layout) -> tuple[set[Path], list[Fault]]:
    """Report images and label files that lack each other: returns the images that cannot be background, and faults."""
    paired = set(layout.labels.values())
    folders = sorted({path.parent for path in paired if path.parent.is_dir()})
    texts = [path for place in folders for path in sorted(place.iterdir()) if path.suffix.lower() == ".txt"]
    strays = [path for path in texts if path not in paired and _longest_line([path]) >= _BOX_NUMBERS]
    missing = [image for image, label in sorted(layout.labels.items()) if not label.is_file()]
    places = {path.parent for path in strays}
    left_out = [image for image in missing if layout.labels[image].parent in places]
    plain = [image for image in missing if layout.labels[image].parent not in places]
    faults = []
    if strays:
        have = agree(len(strays), "has", "have")
        message = f"{plural(len(strays), 'label file')}, {such_as(len(strays), strays[0].name)}, {have} no image"
        if left_out:
            message += (
                f", and {plural(len(left_out), 'image')}, {such_as(len(left_out), left_out[0].name)}, no label file; "
                "none is used"
            )
        cure = "give each image and its label file the same name, or remove what has no counterpart"
        faults.append(Fault("unpaired", "warning", strays[0], message, cure))
    if plain:
        have, count = agree(len(plain), "has", "have"), agree(len(plain), "counts", "count")
        of_all = (
            f"{len(plain)} of {plural(len(layout.images), 'image')}, {such_as(len(plain), plain[0].name)}, {have} no "
            "label file"
        )
        severity: Severity = "warning" if 2 * len(plain) > len(layout.images) else "note"
        cure = "remove them if they are not labelled yet"
        faults.append(Fault("unpaired", severity, layout.base, f"{of_all} and {count} as background", cure))
    return set(left_out), [*faults, *_shared(layout)]


def _shared(layout: Layout) -> list[Fault]:
    """Report label files that belong to two images, such as a.jpg and a.png."""
    owners: dict[Path, Path] = {}
    pairs = [(owners.setdefault(label, image), image, label) for image, label in sorted(layout.labels.items())]
    twice = [pair for pair in pairs if pair[0] != pair[1] and pair[2].is_file()]
    if not twice:
        return []
    first, second, label = twice[0]
    message = f"{label.name} is the label file of both {first.name} and {second.name}"
    others = len(twice) - 1
    more = f" ({plural(others, 'other file')} {agree(others, 'is', 'are')} shared too)" if others else ""
    return [Fault("ambiguous-name", "warning", label, message + more, "remove one of them, or give it another name")]
