"""What to say of a folder that no format fits: what lies there, and which layouts are near. Reads no format."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.outlines.annotation_files import holds
from maskwright.data.formats.walk import folder_name, record_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MOST_NEAR, _MOST_SEARCHED, _MOST_BYTES, _MOST_START = 3, 20, 1 << 16, 256
# Formats that files with a suffix hint at, the likeliest first; images alone hint at the last two.
_NEAR = {
    ".json": ("coco", "labelme"),
    ".xml": ("cvat",),
    ".geojson": ("geojson",),
    ".txt": ("yolo",),
    ".csv": ("runs",),
    "": ("folder", "layers"),
}
_BOXES = (
    "draw outlines or masks of the objects. CVAT, for example, imports the boxes and helps to outline the objects; "
    "export the result as COCO"
)

_LISTS = {'"images"': "images (id, file_name, height, width)", '"categories"': "categories (id, name)"}
_LISTED = ('"images"', '"annotations"', '"categories"')

_UNREAD = (
    ("VIA", ".json", ('"shape_attributes"',), "export the annotations from VIA as COCO"),
    ("VIA", ".csv", ("region_shape_attributes",), "export the annotations from VIA as COCO"),
    (
        "Segment Anything",
        ".json",
        ('"stability_score"', '"segmentation"'),
        "join them into one COCO file: list each 'image' under images, with its image_id as id, and its annotations "
        "under annotations, with that image_id and the category_id of one category",
    ),
)
_RUNS = re.compile(r'(^|,)"?\d+ \d+( \d+ \d+)+"?(,|$)')


def not_read(root: Path, files: Sequence[Path]) -> MaskwrightError | None:
    """Build the error for annotations in a format that is known, but not read."""
    for what, suffix, marks, cure in _UNREAD:
        found = [path for path in files if path.suffix.lower() == suffix]
        first = next((path for path in found[:_MOST_SEARCHED] if holds(path, marks)), None)
        if first is not None:
            return MaskwrightError(f"{root}: {record_id(root, first)} is a file of {what}, which is not read: {cure}")
    for path in [path for path in files if path.suffix.lower() == ".csv" and holds(path, [","])][:_MOST_SEARCHED]:
        with path.open("rb") as stream:
            header, *lines = stream.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
        if "submission" not in path.stem.lower() and any(map(_RUNS.search, lines)):
            return MaskwrightError(
                f"{root}: {record_id(root, path)} seems to hold run lengths, but the names of its columns ({header}) "
                "do not show which: name the column of images ImageId, and that of run lengths EncodedPixels"
            )
    return None


def no_annotations_inside(root: Path, files: Sequence[Path]) -> MaskwrightError | None:
    """Build the error for a file of annotations that is empty, or a web page that was saved instead of it."""
    for path in [path for path in files if path.suffix.lower() in {".json", ".xml", ".geojson"}][:_MOST_SEARCHED]:
        with path.open("rb") as stream:
            start = stream.read(_MOST_START).lstrip().lower()
        if not start:
            return MaskwrightError(f"{root}: {record_id(root, path)} is empty: export or copy it again")
        if start.startswith((b"<!doctype html", b"<html")):
            return MaskwrightError(
                f"{root}: {record_id(root, path)} is a web page, as servers send instead of a file: download it again"
            )
    return None


def boxes_only(root: Path, files: Sequence[Path]) -> MaskwrightError | None:
    """Build the error for annotations that hold boxes and no outlines: Pascal VOC's XML, or COCO's JSON."""
    kinds = (("Pascal VOC", ".xml", "<bndbox", "<polygon"), ("COCO", ".json", '"bbox"', '"segmentation"'))
    for kind, suffix, box, outline in kinds:
        found = [path for path in files if path.suffix.lower() == suffix and holds(path, [box])]
        if found and not any(holds(path, [outline]) for path in found):
            held = f"{plural(len(found), 'file')} of {kind}, {such_as(len(found), record_id(root, found[0]))},"
            hold = agree(len(found), "holds", "hold")
            return MaskwrightError(f"{root}: {held} {hold} boxes only, and boxes cannot train masks: {_BOXES}")
    return None


def without_annotations(root: Path, files: Sequence[Path]) -> MaskwrightError | None:
    """Build the error for files of COCO that list images, but no annotation."""
    listed = [path for path in files if path.suffix.lower() == ".json" and holds(path, _LISTED)]
    if not listed or any(holds(path, ['"image_id"']) for path in listed):
        return None
    held = f"{plural(len(listed), 'file')} of COCO, {such_as(len(listed), record_id(root, listed[0]))},"
    return MaskwrightError(
        f"{root}: {held} {agree(len(listed), 'lists', 'list')} images, but no annotations: outline the objects of some "
        "of them, and export the annotations again"
    )


def without_lists(root: Path, files: Sequence[Path]) -> MaskwrightError | None:
    """Build the error for a file of COCO with annotations, but without the images that these name."""
    drawn = ('"annotations"', '"image_id"', '"segmentation"')
    found = (path for path in files if path.suffix.lower() == ".json" and holds(path, drawn))
    path = next((path for path in found if not holds(path, ['"images"'])), None)
    if path is None:
        return None
    missing = listing([text for key, text in _LISTS.items() if not holds(path, [key])])
    return MaskwrightError(
        f"{root}: {record_id(root, path)} holds annotations of COCO, but lacks {missing}: add what is missing, or "
        "export the annotations again as COCO instances"
    )


def found_and_near(root: Path, files: Sequence[Path], summaries: Mapping[str, str]) -> str:
    """Say which files lie below a folder, and which layouts come nearest.

    Args:
        root: the folder.
        files: all files below it.
        summaries: what each format looks like, by its name.
    """
    by_folder: defaultdict[Path, Counter[str]] = defaultdict(Counter)
    for path in files:
        by_folder[path.parent][path.suffix.lower() or "without suffix"] += 1
    held = [
        f"{folder_name(root, folder)} ({', '.join(f'{count} {suffix}' for suffix, count in sorted(counts.items()))})"
        for folder, counts in sorted(by_folder.items())
    ]
    suffixes = {path.suffix.lower() for path in files} | {""}
    names = [name for suffix, near in _NEAR.items() if suffix in suffixes for name in near]
    near = "; ".join(f"{name} ({summaries[name]})" for name in names[:_MOST_NEAR])
    return f"Found: {listing(held)}. The nearest layouts: {near}. docs/data.md shows all layouts"
