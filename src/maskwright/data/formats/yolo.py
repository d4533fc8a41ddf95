"""YOLO segmentation: data.yaml, images/ and labels/*.txt with one outline a line. Paints nothing.

A label file holds lines `class x0 y0 x1 y1 ...` in fractions of width and height. An image without one is background.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.records import Fault
from maskwright.core.text import plural
from maskwright.data.formats import folder
from maskwright.data.formats.annotation_files import unreadable
from maskwright.data.formats.drawn import ClassList, dataset_of
from maskwright.data.formats.naming import split_word
from maskwright.data.formats.shapes import Drawing, DrawnImage, outlined, ring_area
from maskwright.data.formats.tables import Entry, find_table, from_names, read_table
from maskwright.data.formats.walk import images_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset, Split

# Fractions may lie outside the image by so much; more than that are pixels.
_BEYOND = 0.5
_BOX_NUMBERS = 4
_YAML_KEYS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class _Layout(NamedTuple):
    """The images with their splits; the class names by number, and the file that lists them; the YAML file."""

    base: Path
    images: dict[Path, Split | None]
    names: dict[int, str]
    names_file: Path | None
    yaml: Path | None
    faults: tuple[Fault, ...] = ()


def detect(root: Path) -> str | None:
    """Find images that have a text file of outlines where YOLO expects it."""
    layout = _layout(root, None)
    if layout is None:
        return None
    longest = _longest_line([_label_path(image) for image in sorted(layout.images)])
    # Boxes alone are YOLO too, and `read` refuses them with a reason; but masks, if there are any, are better.
    if longest <= _BOX_NUMBERS and (longest < _BOX_NUMBERS or folder.detect(root) is not None):
        return None
    return f"{layout.yaml.name if layout.yaml else 'labels/'} of {len(layout.images)} images"


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read YOLO segmentation: background and the named classes.

    Raises:
        MaskwrightError: there is no data.yaml and no label file, a path does not exist, or no label is an outline.
    """
    layout = _layout(root, options.classes)
    if layout is None or not layout.images:
        raise MaskwrightError(f"{root} holds no YOLO data: add a data.yaml with train, val and names, or labels/")
    drawn, faults, missing = [], list(layout.faults), []
    names = layout.names or _numbered_names(layout, options)
    for image, split in sorted(layout.images.items()):
        text = _label_path(image)
        objects, fault = _objects(text, names) if text.is_file() else ([], None)
        if not text.is_file():
            missing.append(image)
        if fault is not None:
            faults.append(fault)
        else:
            drawn.append(DrawnImage(image, text, objects, None, split, normalized=True))
    _require_outlines(root, drawn, missing)
    if missing:
        message = f"{len(missing)} of {len(layout.images)} images, such as {missing[0].name}, have no label file and"
        cure = "remove them if they are not labelled yet"
        faults.append(Fault("unpaired", "note", layout.base, f"{message} count as background", cure))
    faults += _without_image(layout)
    where = layout.yaml.name if layout.yaml else "images/ + labels/"
    where += "" if layout.names else ", where no class names were found"
    listed = ClassList([Entry(number, name) for number, name in sorted(names.items())], layout.names_file)
    return dataset_of(root, ("yolo", where), drawn, options, listed, faults, layout.base)


def _layout(root: Path, classes: Path | None) -> _Layout | None:
    path = root if root.is_file() else _yaml_below(root)
    if path is not None:
        data = _yaml(path) if path.suffix.lower() in {".yaml", ".yml"} else None
        if data is None or "names" not in data or not set(_YAML_KEYS) & set(data):
            return None
        table = read_table(classes) if classes else from_names(path, data["names"])
        base = _base(path, data)
        images, faults = _images_of(base, path, data)
        names = {entry.id: entry.name for entry in table.entries}
        return _Layout(base, images or _images_beside_labels(base), names, table.path, path, faults)
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
    if b"names" not in path.read_bytes().replace(b"\0", b""):  # Not a data.yaml, so no reason for an error.
        return False
    data = _yaml(path)
    return data is not None and "names" in data and bool(set(_YAML_KEYS) & set(data))


def _yaml(path: Path) -> dict[str, Any] | None:
    try:
        data = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
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


def _images_of(base: Path, path: Path, data: dict[str, Any]) -> tuple[dict[Path, Split | None], tuple[Fault, ...]]:
    """Return the images that train, val and test name: folders, lists of folders, or text files of paths."""
    images: dict[Path, Split | None] = {}
    torn: list[Path] = []
    for key, split in _YAML_KEYS.items():
        places = data.get(key) or []
        for place in places if isinstance(places, list) else [places]:
            found = _resolved(base, path, str(place))
            if found is None and split != "test":
                raise MaskwrightError(
                    f"{path}: {key}: {place} does not exist: correct the path, which is relative to {base}"
                )
            listed = _listed(found, base) if found else []
            torn += [image for image in listed if images.setdefault(image, split) != split]
    if not torn or len(torn) == len(images):  # With one folder for all splits a split is made, and nothing is wrong.
        return images, ()
    message = f"{path.name} lists {plural(len(torn), 'image')}, such as {torn[0].name}, in several splits"
    cure = "list each image in one split"
    return images, (Fault("split-overlap", "warning", path, f"{message}; the first one counts", cure),)


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
    lines = [line.strip() for line in read_text(place).splitlines() if line.strip()]
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


def _longest_line(paths: Iterable[Path]) -> int:
    """Return the most numbers after the class in a line of the first label files; 0 if they are not label files."""
    texts = [path for path in paths if path.is_file() and path.stat().st_size]
    lines = [line.split() for path in texts[:20] for line in _lines(path) if line.strip()]
    lengths = [len(words) - 1 for words in lines if words[0].isdecimal() and _numbers(words[1:]) is not None]
    return max(lengths) if lengths and len(lengths) * 2 > len(lines) else 0


def _lines(path: Path) -> list[str]:
    """Return the lines of a label file; none of one that is not text, which is reported when it is read."""
    try:
        return read_text(path).splitlines()
    except MaskwrightError:
        return []


def _numbered_names(layout: _Layout, options: ReadOptions) -> dict[int, str]:
    """Name the classes after their numbers in the label files."""
    texts = [path for path in map(_label_path, layout.images) if path.is_file()]
    words = {line.split()[0] for path in texts for line in _lines(path) if line.strip()}
    numbers = {int(word) for word in words if word.isdecimal()} - set(options.map) - options.ignored()
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
        values = _numbers(words[1:])
        where = f"{path.name}, line {number},"
        if not words[0].isdecimal() or not values or len(values) % 2:
            message = f"{where} is {line[:40]!r}, but a line must be: class x y x y ..."
            return [], Fault("unreadable", "error", path, message, "correct the line, or export the labels again")
        wrong = next((value for value in values if not -_BEYOND <= value <= 1 + _BEYOND), None)
        if wrong is not None:
            message = f"{where} holds {wrong:g}, but coordinates must be fractions of the image's sides, from 0 to 1"
            return [], Fault("bad-outline", "error", path, message, "divide x by the width, and y by the height")
        shape = _object(names.get(int(words[0]), int(words[0])), values)
        found.append(shape._replace(name="" if shape.drawn else f"line {number}"))
    return found, None


def _object(label: str | int, values: list[float]) -> Drawing:
    """Read an outline, or a box: centre, width and height."""
    if len(values) == _BOX_NUMBERS:
        x, y, width, height = values
        return Drawing(label, box=(x - width / 2, y - height / 2, x + width / 2, y + height / 2), kind="box")
    shape = outlined(label, [[values]])
    return shape._replace(area=sum(map(ring_area, shape.polygons)))


def _numbers(words: list[str]) -> list[float] | None:
    try:
        values = [float(word) for word in words]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None


def _require_outlines(root: Path, drawn: list[DrawnImage], missing: list[Path]) -> None:
    if len(missing) == len(drawn) and missing:
        raise MaskwrightError(
            f"{root}: none of {len(missing)} images has a label file: put them in labels/ next to images/"
        )
    shapes = [shape for entry in drawn for shape in entry.objects]
    if not shapes or any(shape.drawn for shape in shapes):
        return
    boxes = sum(shape.kind == "box" for shape in shapes)
    if boxes == len(shapes):
        what = f"boxes only ({boxes:,} lines of five numbers), but segmentation needs outlines"
    else:
        what = f"{plural(len(shapes), 'label')}, none of which is an outline that encloses an area"
    raise MaskwrightError(f"{root} holds {what}: export it for YOLO segmentation")


def _without_image(layout: _Layout) -> list[Fault]:
    """Report label files that belong to no image."""
    used = {_label_path(image) for image in layout.images}
    others = [path for folder in sorted({path.parent for path in used}) for path in sorted(folder.glob("*.txt"))]
    labels = [path for path in others if path not in used and _longest_line([path]) >= _BOX_NUMBERS]
    if not labels:
        return []
    message = f"{plural(len(labels), 'label file')}, such as {labels[0].name}, have no image"
    return [Fault("unpaired", "warning", labels[0], message, "add the images, or remove the label files")]
