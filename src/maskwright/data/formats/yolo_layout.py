"""Where YOLO keeps things: the data.yaml, the images it lists, and the label file of each. Reads no label."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.documents import parsed_yaml
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.records import Fault
from maskwright.core.text import plural, such_as
from maskwright.data.formats.meaning.tables import find_table, from_names, read_table
from maskwright.data.formats.outlines.located import split_of
from maskwright.data.formats.pairing.naming import alike
from maskwright.data.formats.walk import images_below

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maskwright.core.records import Split

_YAML_KEYS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class Layout(NamedTuple):
    """The images with their splits; the class names by number, and the file that lists them; the YAML file.

    `labels` holds the label file of each image, or the path where it would be.
    """

    base: Path
    images: dict[Path, Split | None]
    labels: dict[Path, Path]
    names: dict[int, str]
    names_file: Path | None
    yaml: Path | None
    faults: tuple[Fault, ...] = ()


def find_layout(root: Path, classes: Path | None) -> Layout | None:
    """Find the data.yaml, or images beside label files; None if there is neither.

    Args:
        root: a folder, or the data.yaml itself.
        classes: the user's table of names, which replaces the others.

    Raises:
        MaskwrightError: the YAML file or a table is damaged, or names a path that does not exist.
    """
    path = root if root.is_file() else _yaml_below(root)
    if path is not None:
        data = _yaml(path) if path.suffix.lower() in {".yaml", ".yml"} else None
        if data is None or "names" not in data or not set(_YAML_KEYS) & set(data):
            return None
        table = read_table(classes) if classes else from_names(path, data["names"])
        base = _base(path, data)
        images, faults = _images_of(base, path, data)
        images = images or _with_splits(base)
        names = {entry.id: entry.name for entry in table.entries}
        if not classes and isinstance(data.get("nc"), int) and data["nc"] != len(names):
            faults = (*faults, _other_count(path, data["nc"], len(names)))
        return Layout(base, images, _label_files(images), names, table.path, path, faults)
    return _without_yaml(root, classes) if root.is_dir() else None


def _other_count(path: Path, count: int, names: int) -> Fault:
    message = f"nc is {count}, but names holds {plural(names, 'class', 'classes')}: the names count"
    return Fault("class-count", "warning", path, message, "correct nc, or add the missing names")


def _without_yaml(root: Path, classes: Path | None) -> Layout | None:
    folders = dict.fromkeys(image.parent for image in images_below(root))
    if not any(_holds_labels(_label_folder(folder)) for folder in folders):
        return None
    images = _with_splits(root)
    labels = _label_files(images)
    if not any(label.is_file() for label in labels.values()):
        return None
    found = read_table(classes) if classes else find_table([root, *dict.fromkeys(p.parent for p in labels.values())])
    if found is None:
        return Layout(root, images, labels, {}, None, None)
    return Layout(root, images, labels, {entry.id: entry.name for entry in found.entries}, found.path, None)


def _yaml_below(root: Path) -> Path | None:
    found = sorted([*root.glob("*.yaml"), *root.glob("*.yml")]) if root.is_dir() else []
    return next((path for path in found if _is_data_yaml(path)), None)


def _is_data_yaml(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:  # a folder, or a link to nothing
        return False
    if b"names" not in content.replace(b"\0", b""):  # Not a data.yaml, so no reason for an error.
        return False
    data = _yaml(path)
    return data is not None and "names" in data and bool(set(_YAML_KEYS) & set(data))


def _yaml(path: Path) -> dict[str, Any] | None:
    data = parsed_yaml(path)
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
    message = f"{path.name} lists {plural(len(torn), 'image')}, {such_as(len(torn), torn[0].name)}, in several splits"
    cure = "list each image in one split"
    return images, (Fault("split-overlap", "warning", path, f"{message}; the first one is used", cure),)


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


def _with_splits(root: Path) -> dict[Path, Split | None]:
    """Return all images below the root, with the splits of their folders."""
    return {image: split_of(root, image) for image in images_below(root)}


def _label_files(images: Iterable[Path]) -> dict[Path, Path]:
    """Return the label file of each image, also if it is written in another case or Unicode form and no other fits."""
    expected = {image: _label_path(image) for image in images}
    taken = set(expected.values())
    spare: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
    for folder in {path.parent for path in taken}:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path not in taken:
                spare[folder, alike(path.name)].append(path)
    found = {}
    for image, path in expected.items():
        others = spare[path.parent, alike(path.name)]
        found[image] = others[0] if len(others) == 1 and not path.is_file() else path
    return found


def _holds_labels(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() == ".txt" for path in folder.iterdir())


def _label_path(image: Path) -> Path:
    """Return where YOLO keeps the labels of an image: the last `images` folder of its path becomes `labels`."""
    return _label_folder(image.parent) / f"{image.stem}.txt"


@lru_cache(maxsize=4096)  # A data set has few folders and many files.
def _label_folder(folder: Path) -> Path:
    parts = list(folder.parts)
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts)
