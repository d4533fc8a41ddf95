"""One COCO JSON file: its images, categories and objects, checked. Opens no image and paints nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault, Shape
from maskwright.data.formats.shapes import painting_order, ring, ring_area

if TYPE_CHECKING:
    from pathlib import Path


class CocoImage(NamedTuple):
    """An entry under `images`: its id, file name and (height, width) if given."""

    id: int | str
    name: str
    size: tuple[int, int] | None


class _Object(NamedTuple):
    category: int
    crowd: bool
    area: float
    polygons: tuple[tuple[float, ...], ...]
    rle: dict[str, object] | None


@dataclass
class CocoAnnotations:
    """What one file holds.

    Attributes:
        path: the file.
        images: in the order of the file.
        categories: id -> name.
        objects: image id -> objects.
        faults: annotations that could not be used.
    """

    path: Path
    images: list[CocoImage]
    categories: dict[int, str]
    objects: defaultdict[int | str, list[_Object]] = field(default_factory=lambda: defaultdict(list))
    faults: list[Fault] = field(default_factory=list)


def load(path: Path) -> CocoAnnotations:
    """Parse and check one file.

    Raises:
        MaskwrightError: the file is not JSON, lacks a key, or holds boxes only.
    """
    try:
        data = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MaskwrightError(f"{path} cannot be read as JSON ({error}): export it again") from None
    try:
        images = [CocoImage(entry["id"], str(entry["file_name"]), _size(entry)) for entry in data["images"]]
        categories = {int(entry["id"]): str(entry["name"]) for entry in data["categories"]}
        annotations = data["annotations"]
        file = CocoAnnotations(path, images, categories)
        unusable = [entry.get("id") for entry in annotations if not _add(file, entry)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"there is no key {error}" if isinstance(error, KeyError) else str(error)
        raise MaskwrightError(
            f"{path} is not a COCO annotation file ({what}): export it again as COCO instances"
        ) from None
    if annotations and len(unusable) == len(annotations):
        raise MaskwrightError(f"{path} holds boxes only, but segmentation needs outlines: export it with segmentations")
    if unusable:
        message = f"{len(unusable)} annotations, such as id {unusable[0]}, have no usable outline and are skipped"
        cure = "redraw them with at least three corners, or remove them"
        file.faults.append(Fault("bad-outline", "warning", path, message, cure))
    strays = file.objects.keys() - {image.id for image in images}
    if strays:
        count, first = sum(len(file.objects[image]) for image in strays), min(map(str, strays))
        message = f"{count} annotations belong to images, such as id {first}, that the file does not list"
        file.faults.append(Fault("unpaired", "warning", path, message, "list the images, or remove the annotations"))
    return file


def shapes_of(
    file: CocoAnnotations, image: CocoImage, values: dict[int, int], path: Path
) -> tuple[tuple[Shape, ...] | None, Fault | None]:
    """Return the shapes of one image in painting order, or the fault that makes it unusable.

    Args:
        file: the annotations.
        image: the entry.
        values: category id -> class index or `IGNORE`.
        path: of the image, for the fault.
    """
    found = []
    for entry in file.objects.get(image.id, ()):
        if entry.category not in values:
            message = (
                f"{file.path.name} gives {path.name} an object of category {entry.category}, which it does not define"
            )
            cure = f"add the category, or map it with `read.map` {entry.category}=ignore"
            return None, Fault("unknown-label", "error", path, message, cure)
        index = IGNORE if entry.crowd else values[entry.category]
        found.append((entry.area, entry.crowd, Shape(index, entry.polygons, entry.rle)))
    return painting_order(found), None


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    return (int(height), int(width)) if height and width else None


def _add(file: CocoAnnotations, entry: dict[str, Any]) -> bool:
    """Add one annotation; False if it has no usable outline."""
    drawn = entry.get("segmentation")
    polygons: tuple[tuple[float, ...], ...] = ()
    rle: dict[str, object] | None = None
    if isinstance(drawn, dict):
        rle = _rle(drawn)
        area = float(entry.get("area") or 0)
    else:
        rings = [ring(part) for part in drawn] if isinstance(drawn, list) else []
        polygons = tuple(part for part in rings if part is not None)
        area = float(entry.get("area") or sum(ring_area(part) for part in polygons))
    if rle is None and not polygons:
        return False
    crowd = bool(entry.get("iscrowd", 0))
    file.objects[entry["image_id"]].append(_Object(int(entry["category_id"]), crowd, area, polygons, rle))
    return True


def _rle(drawn: dict[str, Any]) -> dict[str, object] | None:
    """Check a run-length code: compressed text, or a list of runs; None if it is neither."""
    size, counts = drawn.get("size"), drawn.get("counts")
    if not isinstance(size, list) or len(size) != 2:
        return None
    if isinstance(counts, str):
        return {"size": [int(size[0]), int(size[1])], "counts": counts.encode("ascii")}
    if isinstance(counts, list):
        return {"size": [int(size[0]), int(size[1])], "counts": [int(count) for count in counts]}
    return None
