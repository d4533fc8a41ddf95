"""What to say of a folder that no format fits: what lies there, and which layouts are near. Reads no format."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.outlines.annotation_files import holds
from maskwright.data.formats.walk import folder_name, record_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MOST_NEAR = 3
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
