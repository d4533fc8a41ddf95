"""COCO: one JSON file a split, with images, categories and a polygon or run-length code an object. Paints nothing."""

from __future__ import annotations

import mmap
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.core.classes import IGNORE, Classes, require_distinct
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, Fault, ImageRef, Record, Shapes
from maskwright.data.formats.coco_json import CocoAnnotations, load, shapes_of
from maskwright.data.formats.entries import split_ignored, with_map
from maskwright.data.formats.folder import meaningful_splits
from maskwright.data.formats.naming import split_word
from maskwright.data.formats.tables import Entry
from maskwright.data.formats.walk import images_below, record_id
from maskwright.data.readers import DecodeError, image_size

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Split

_MARKS = (b'"images"', b'"annotations"', b'"categories"', b'"segmentation"')
_MOST_FILES = 50
_SIZE_CHECKS = 200


class _Part(NamedTuple):
    """One JSON file, and the split in its name or in that of its folder."""

    file: CocoAnnotations
    split: Split | None


def detect(root: Path) -> str | None:
    """Name the JSON files that hold COCO's keys; the files are searched for the keys and not parsed."""
    names = [record_id(root, path) if path != root else path.name for path in _json_files(root)]
    return ", ".join(names) or None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read COCO annotations: background and the categories; crowds are ignored.

    Raises:
        MaskwrightError: no COCO JSON file, a damaged one, contradictory categories, or no image found.
    """
    if options.classes is not None:
        raise MaskwrightError(
            f"a COCO file names its categories itself, so {options.classes} cannot be used: leave out `read.classes`"
        )
    paths = _json_files(root)
    if not paths:
        raise MaskwrightError(
            f"{root} holds no COCO JSON file with outlines (keys images, annotations with segmentation, categories): "
            "give the file itself, or the folder that holds annotations/"
        )
    parts = [_Part(load(path), split_word(path.stem) or split_word(path.parent.name)) for path in paths]
    classes, values, notes = _classes(parts, options)
    base = _base(root)
    records, faults = _records(base, parts, values)
    if not records:
        raise MaskwrightError(
            f"none of the images that {paths[0]} lists, such as {_first_name(parts)}, was found below {base}: "
            "put the images next to the annotations/ folder"
        )
    faults += [fault for part in parts for fault in part.file.faults]
    text = ", ".join(record_id(base, path) for path in paths)
    return Dataset(
        root,
        "coco",
        "; ".join((f"{text}: {len(classes)} classes with the background, crowds are ignored", *notes)),
        classes,
        tuple(sorted(records, key=lambda record: record.id)),
        values,
        faults=tuple(faults),
    )


def _base(root: Path) -> Path:
    """Return the folder in which the images are searched."""
    if root.is_dir():
        return root
    return root.parent.parent if root.parent.name.lower() in {"annotations", "annotation", "labels"} else root.parent


def _json_files(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix.lower() == ".json" and _looks_right(root) else []
    found = [path for pattern in ("*.json", "*/*.json", "*/*/*.json") for path in _few(root, pattern)]
    fitting = [path for path in sorted(found) if _looks_right(path)]
    instances = [path for path in fitting if path.name.startswith("instances")]
    return instances or fitting


def _few(root: Path, pattern: str) -> list[Path]:
    """Return the files that match a pattern, except from folders with so many that they must be one an image."""
    by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in root.glob(pattern):
        if not any(part.startswith(".") for part in path.relative_to(root).parts) and path.is_file():
            by_folder[path.parent].append(path)
    return [path for paths in by_folder.values() if len(paths) <= _MOST_FILES for path in paths]


def _looks_right(path: Path) -> bool:
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return all(content.find(mark) >= 0 for mark in _MARKS)
    except ValueError:  # An empty file cannot be mapped.
        return False
    except OSError as error:
        raise MaskwrightError(f"{path} cannot be read ({error.strerror}): check its permissions") from None


def _classes(parts: list[_Part], options: ReadOptions) -> tuple[Classes, dict[int, int], tuple[str, ...]]:
    """Make the classes: background, then the categories by id; and the class index of each category id."""
    names: dict[int, str] = {}
    for part in parts:
        for category, name in part.file.categories.items():
            if names.setdefault(category, name) != name:
                raise MaskwrightError(
                    f"{part.file.path} names category {category} {name!r}, but another file names it "
                    f"{names[category]!r}: export the files from one project, or give one file only"
                )
    ground = next((category for category, name in names.items() if name.strip().lower() == "background"), None)
    entries = [Entry(category, name) for category, name in sorted(names.items()) if category != ground]
    entries.insert(0, Entry(ground if ground is not None else 0 if 0 not in names else -1, "background"))
    kept, ignored, notes = split_ignored(tuple(entries), options)
    values = {entry.id: index for index, entry in enumerate(kept)} | {entry.id: IGNORE for entry in ignored}
    values |= dict.fromkeys(options.ignored(), IGNORE)
    found = tuple(entry.name for entry in kept)
    lists = {part.file.path: tuple(part.file.categories.values()) for part in parts}
    require_distinct(
        found, next((path for path, own in lists.items() if len(set(own)) < len(own)), parts[-1].file.path)
    )
    return Classes.named(found), with_map(values, options), notes


def _records(base: Path, parts: list[_Part], values: dict[int, int]) -> tuple[list[Record], list[Fault]]:
    by_name: defaultdict[str, list[Path]] = defaultdict(list)
    for path in images_below(base):
        by_name[path.name].append(path)
    splits = meaningful_splits(part.split for part in parts)
    records: dict[Path, Record] = {}
    faults: list[Fault] = []
    for part in parts:
        missing, sizes = [], {}
        for entry in part.file.images:
            image = _located(entry.name, by_name, base, part)
            if image is None:
                missing.append(entry.name)
            elif image not in records:
                shapes, problem = shapes_of(part.file, entry, values, image)
                faults += [problem] if problem else []
                if shapes is not None:
                    sizes[image] = entry.size
                    annotation = Shapes(part.file.path, shapes)
                    split = part.split if splits else None
                    records[image] = Record(record_id(base, image), ImageRef(image), annotation, split)
        if missing:
            message = f"{len(missing)} of {len(part.file.images)} listed images, such as {missing[0]}, do not exist"
            faults.append(Fault("unpaired", "warning", part.file.path, message, "add them, or remove their entries"))
        for fault in _wrong_sizes(sizes):
            records.pop(fault.path)
            faults.append(fault)
    return list(records.values()), [*faults, *_unlisted(by_name, set(records), parts)]


def _located(name: str, by_name: dict[str, list[Path]], base: Path, part: _Part) -> Path | None:
    """Find an image by the end of its path; of several, take the one in a folder of the same split, or the nearest."""
    wanted = name.replace("\\", "/").removeprefix("./")
    paths = by_name.get(wanted.rpartition("/")[2], [])
    if len(paths) < 2:
        return paths[0] if paths else None

    def likeness(path: Path) -> tuple[bool, bool, bool]:
        folders = path.relative_to(base).parts[:-1]
        return (
            path.as_posix().endswith(f"/{wanted}"),
            part.split is not None and part.split in {split_word(folder) for folder in folders},
            path.is_relative_to(part.file.path.parent),
        )

    return max(paths, key=likeness)


def _wrong_sizes(sizes: dict[Path, tuple[int, int] | None]) -> list[Fault]:
    """Compare the sizes in the JSON with those of the files: in a sample, and in all if one of the sample differs.

    Outlines made for another size would be painted in the wrong place without any error.
    """
    known = {path: size for path, size in sizes.items() if size is not None}
    paths = list(known)
    places = np.unique(np.linspace(0, len(paths) - 1, min(len(paths), _SIZE_CHECKS)).round().astype(int))
    if all(_size_fault(paths[place], known[paths[place]]) is None for place in places):
        return []
    found = [_size_fault(path, size) for path, size in known.items()]
    return [fault for fault in found if fault is not None]


def _size_fault(path: Path, size: tuple[int, int]) -> Fault | None:
    try:
        seen = image_size(path)
    except DecodeError:
        return None  # Reported when the pixels are decoded.
    if seen == size:
        return None
    turned = " after its EXIF orientation is applied" if seen == (size[1], size[0]) else ""
    message = f"{path.name} is {seen[1]}x{seen[0]} pixels{turned}, but it was annotated at {size[1]}x{size[0]}"
    cure = "use the image that was annotated, or export the annotations again"
    return Fault("size-mismatch", "error", path, message, cure)


def _unlisted(by_name: dict[str, list[Path]], used: set[Path], parts: list[_Part]) -> list[Fault]:
    """Report images in the folders of listed ones that no JSON file lists."""
    listed = {entry.name.replace("\\", "/").rpartition("/")[2] for part in parts for entry in part.file.images}
    folders = {path.parent for path in used}
    extra: defaultdict[Path, list[str]] = defaultdict(list)
    for name, paths in by_name.items():
        for path in paths:
            if name not in listed and path.parent in folders:
                extra[path.parent].append(name)
    return [
        Fault(
            "unpaired",
            "warning",
            folder,
            f"no JSON file lists {len(names)} images in {folder.name}/, such as {min(names)}",
            "annotate them, or move them away",
        )
        for folder, names in sorted(extra.items())
    ]


def _first_name(parts: list[_Part]) -> str:
    return next((entry.name for part in parts for entry in part.file.images), "(it lists none)")
