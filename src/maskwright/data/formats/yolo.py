"""YOLO segmentation: data.yaml, images/ and labels/*.txt with one outline a line. Paints nothing.

A label file holds lines `class x0 y0 x1 y1 ...` in fractions of width and height; an image without a label file shows
background only, as in YOLO.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from maskwright.core.classes import IGNORE, Classes, require_distinct
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, Fault, ImageRef, Record, Shape, Shapes
from maskwright.data.formats import folder
from maskwright.data.formats.entries import split_ignored, with_map
from maskwright.data.formats.folder import meaningful_splits
from maskwright.data.formats.naming import split_word
from maskwright.data.formats.shapes import painting_order, ring, ring_area
from maskwright.data.formats.tables import Entry, find_table, from_names, read_table
from maskwright.data.formats.walk import images_below, record_id

if TYPE_CHECKING:
    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Split

_BOX_NUMBERS = 4
_YAML_KEYS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class _Layout(NamedTuple):
    """The images with their splits; the class names by number, and the file that lists them; the YAML file."""

    base: Path
    images: dict[Path, Split | None]
    names: dict[int, str]
    names_file: Path | None
    yaml: Path | None


def detect(root: Path) -> str | None:
    """Find images that have a text file of outlines where YOLO expects it."""
    layout = _layout(root, None)
    if layout is None:
        return None
    longest = _longest_line(layout.images)
    # Boxes alone are YOLO too, and `read` refuses them with a reason; but masks, if there are any, are better.
    if longest <= _BOX_NUMBERS and (longest < _BOX_NUMBERS or folder.detect(root) is not None):
        return None
    return f"{layout.yaml.name if layout.yaml else 'labels/'} of {len(layout.images)} images"


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read YOLO segmentation: background and the named classes.

    Raises:
        MaskwrightError: there is no data.yaml and no label file, a path does not exist, or all labels are boxes.
    """
    layout = _layout(root, options.classes)
    if layout is None or not layout.images:
        raise MaskwrightError(f"{root} holds no YOLO data: add a data.yaml with train, val and names, or labels/")
    classes, values, notes = _classes(layout, options)
    splits = meaningful_splits(layout.images.values())
    records, tally, faults = [], Counter[str](), []
    for image, split in sorted(layout.images.items()):
        text = _label_path(image)
        if not text.is_file():
            tally["missing"] += 1
        shapes, fault = _shapes(text, values, tally) if text.is_file() else ((), None)
        if fault is not None:
            faults.append(fault)
        elif shapes is not None:
            annotation = Shapes(text, shapes, normalized=True)
            records.append(
                Record(record_id(layout.base, image), ImageRef(image), annotation, split if splits else None)
            )
    _require_outlines(root, tally, len(layout.images))
    where = layout.yaml.name if layout.yaml else "images/ + labels/"
    return Dataset(
        root,
        "yolo",
        "; ".join((f"{where}: {len(classes)} classes with the background", *notes)),
        classes,
        tuple(sorted(records, key=lambda record: record.id)),
        values,
        faults=(*faults, *_tally_faults(layout.base, tally, len(layout.images))),
    )


def _layout(root: Path, classes: Path | None) -> _Layout | None:
    path = root if root.is_file() else _yaml_below(root)
    if path is not None:
        data = _yaml(path) if path.suffix.lower() in {".yaml", ".yml"} else None
        if data is None or "names" not in data or not set(_YAML_KEYS) & set(data):
            return None
        table = read_table(classes) if classes else from_names(path, data["names"])
        base = _base(path, data)
        images = _images_of(base, path, data) or _images_beside_labels(base)
        return _Layout(base, images, {entry.id: entry.name for entry in table.entries}, table.path, path)
    if not root.is_dir():
        return None
    images = _images_beside_labels(root)
    if not images:
        return None
    found = (
        read_table(classes) if classes else find_table([root, *dict.fromkeys(_label_path(p).parent for p in images)])
    )
    if found is None:
        return _Layout(root, images, {}, None, None)
    return _Layout(root, images, {entry.id: entry.name for entry in found.entries}, found.path, None)


def _yaml_below(root: Path) -> Path | None:
    found = sorted([*root.glob("*.yaml"), *root.glob("*.yml")]) if root.is_dir() else []
    return next((path for path in found if _is_data_yaml(path)), None)


def _is_data_yaml(path: Path) -> bool:
    if b"names" not in path.read_bytes():  # Not a data.yaml, so no reason for an error.
        return False
    data = _yaml(path)
    return data is not None and "names" in data and bool(set(_YAML_KEYS) & set(data))


def _yaml(path: Path) -> dict[str, Any] | None:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise MaskwrightError(f"{path} cannot be read as YAML ({reason}): correct it") from None
    return data if isinstance(data, dict) else None


def _base(path: Path, data: dict[str, Any]) -> Path:
    """Return the folder that `path:` names if it exists, or that of the YAML file: data sets get moved."""
    named = data.get("path")
    for candidate in (path.parent / str(named), Path(str(named))) if named else ():
        if candidate.is_dir():
            return candidate
    return path.parent


def _images_of(base: Path, path: Path, data: dict[str, Any]) -> dict[Path, Split | None]:
    """Return the images that train, val and test name: folders, lists of folders, or text files of paths."""
    images: dict[Path, Split | None] = {}
    for key, split in _YAML_KEYS.items():
        places = data.get(key) or []
        for place in places if isinstance(places, list) else [places]:
            found = _resolved(base, path, str(place))
            if found is None and split != "test":
                raise MaskwrightError(
                    f"{path}: {key}: {place} does not exist: correct the path, which is relative to {base}"
                )
            for image in _listed(found, base) if found else []:
                images.setdefault(image, split)
    return images


def _resolved(base: Path, path: Path, place: str) -> Path | None:
    """Find a path of the YAML file; exports often write ../train/images for a folder next to the file."""
    plain = place
    while plain.startswith("../"):
        plain = plain[3:]
    candidates = (base / place, path.parent / place, base / plain, path.parent / plain)
    return next((Path(os.path.normpath(candidate)) for candidate in candidates if candidate.exists()), None)


def _listed(place: Path, base: Path) -> list[Path]:
    if place.is_dir():
        return images_below(place)
    lines = [line.strip() for line in _text(place).splitlines() if line.strip()]
    places = (folder / line for line in lines for folder in (place.parent, base))
    return [path for path in dict.fromkeys(Path(os.path.normpath(path)) for path in places) if path.is_file()]


def _images_beside_labels(root: Path) -> dict[Path, Split | None]:
    """Return all images below the root, with the splits of their folders, if any has a label file."""
    images = images_below(root)
    if not any(_label_path(image).is_file() for image in images):
        return {}
    found: dict[Path, Split | None] = {}
    for image in images:
        words = [split_word(part) for part in image.relative_to(root).parts[:-1]]
        found[image] = next((word for word in reversed(words) if word), None)
    return found


def _label_path(image: Path) -> Path:
    """Return where YOLO keeps the labels of an image: the last `images` folder of its path becomes `labels`."""
    parts = list(image.with_suffix(".txt").parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts)


def _longest_line(images: dict[Path, Split | None]) -> int:
    """Return the most numbers after the class in a line of the first label files; 0 if they are not label files."""
    texts = [path for path in map(_label_path, sorted(images)) if path.is_file() and path.stat().st_size]
    lines = [line.split() for path in texts[:20] for line in _text(path).splitlines() if line.strip()]
    lengths = [len(words) - 1 for words in lines if words[0].isdecimal() and _numbers(words[1:]) is not None]
    return max(lengths) if lengths and len(lengths) * 2 > len(lines) else 0


def _text(path: Path) -> str:
    # A byte that is not UTF-8 makes an invalid line, which is reported with its number.
    return path.read_text(encoding="utf-8", errors="replace")


def _classes(layout: _Layout, options: ReadOptions) -> tuple[Classes, dict[int, int], tuple[str, ...]]:
    names = layout.names
    notes: tuple[str, ...] = ()
    if not names:
        numbers = _class_numbers(layout)
        names = {number: f"class-{number}" for number in numbers - set(options.map) - options.ignored()}
        notes = ("no class names were found",)
    entries = [Entry(number, name) for number, name in sorted(names.items())]
    if not any(entry.name.lower() == "background" for entry in entries):
        entries.insert(0, Entry(-1, "background"))
    kept, ignored, more = split_ignored(tuple(entries), options)
    kept = tuple(sorted(kept, key=lambda entry: entry.name.lower() != "background"))
    values = {entry.id: index for index, entry in enumerate(kept)} | {entry.id: IGNORE for entry in ignored}
    values |= dict.fromkeys(options.ignored(), IGNORE)
    found = tuple(entry.name for entry in kept)
    require_distinct(found, layout.names_file)
    return Classes.named(found), with_map(values, options), (*notes, *more)


def _class_numbers(layout: _Layout) -> set[int]:
    texts = [path for path in map(_label_path, layout.images) if path.is_file()]
    words = (line.split()[0] for path in texts for line in _text(path).splitlines() if line.strip())
    return {int(word) for word in words if word.isdecimal()}


def _shapes(path: Path, values: dict[int, int], tally: Counter[str]) -> tuple[tuple[Shape, ...] | None, Fault | None]:
    """Read one label file; an invalid line makes the image unusable, a box is counted and skipped."""
    found = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        coordinates = _numbers(words[1:])
        if not words[0].isdecimal() or coordinates is None:
            message = f"{path.name}, line {number}, is {line[:40]!r}, but a line must be: class x y x y ..."
            return None, Fault("unreadable", "error", path, message, "correct the line, or export the labels again")
        if int(words[0]) not in values:
            message = f"{path.name}, line {number}, holds class {words[0]}, which has no name"
            cure = f"add a name for {words[0]} to data.yaml, or map it with `read.map` {words[0]}=ignore"
            return None, Fault("unknown-label", "error", path, message, cure)
        outline = ring(coordinates)
        if outline is None:
            tally["box" if len(coordinates) == _BOX_NUMBERS else "bad"] += 1
            continue
        tally["outline"] += 1
        found.append((ring_area(outline), False, Shape(values[int(words[0])], (outline,))))
    return painting_order(found), None


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _require_outlines(root: Path, tally: Counter[str], images: int) -> None:
    if tally["box"] and not tally["outline"]:
        raise MaskwrightError(
            f"{root} holds boxes only ({tally['box']:,} lines of five numbers), but segmentation needs outlines: "
            "export it for YOLO segmentation"
        )
    if tally["missing"] == images:
        raise MaskwrightError(f"{root}: none of {images} images has a label file: put them in labels/ next to images/")


def _tally_faults(base: Path, tally: Counter[str], images: int) -> list[Fault]:
    faults = []
    if tally["missing"]:
        message = f"{tally['missing']} of {images} images have no label file and count as background"
        faults.append(Fault("unpaired", "note", base, message, "remove them if they are not labelled yet"))
    if tally["box"]:
        message = f"{tally['box']} lines are boxes and not outlines, and are skipped"
        faults.append(Fault("bad-outline", "warning", base, message, "draw the outlines, or remove these lines"))
    if tally["bad"]:
        message = f"{tally['bad']} outlines have fewer than three corners or lack a number, and are skipped"
        faults.append(Fault("bad-outline", "warning", base, message, "draw them again, or remove these lines"))
    return faults
