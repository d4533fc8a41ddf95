"""The entries of a COCO JSON file: images, categories and objects. Opens no file and paints nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats.coco_boxes import box_told, without_area
from maskwright.data.formats.outlines.annotation_files import DAMAGE
from maskwright.data.formats.outlines.checked import stated_area
from maskwright.data.formats.outlines.shapes import (
    Drawing,
    Ring,
    are_points,
    box_around,
    box_of,
    box_over,
    encloses,
    ring,
    ring_area,
)
from maskwright.ops import rle as rle_codes

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Fault


class CocoImage(NamedTuple):
    """An entry under `images`: its id as text, file name and (height, width) if given."""

    id: str
    name: str
    size: tuple[int, int] | None


@dataclass
class CocoAnnotations:
    """What one file holds.

    Attributes:
        path: the file.
        images: in the order of the file.
        categories: id -> name.
        objects: image id as text -> objects; the label is the category's name, or its id where it has none.
        shared: image ids that several images have; such images cannot be used.
        named: whether the file names its categories; otherwise they are named after their ids.
        faults: what does not fit together.
    """

    path: Path
    images: list[CocoImage]
    categories: dict[int, str]
    objects: defaultdict[str, list[Drawing]] = field(default_factory=lambda: defaultdict(list))
    shared: frozenset[str] = frozenset()
    named: bool = True
    faults: list[Fault] = field(default_factory=list)


def key_of(value: object) -> str:
    """Return an id as text: files hold 3 in one place and "3" in another."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number(value: object) -> int | None:
    """Return the id of a category, which must be a whole number, maybe as text; None if it is not."""
    try:
        return int(key_of(value))
    except ValueError:
        return None


def entries_of(path: Path, data: Any, key: str) -> list[dict[str, Any]]:
    """Return the list under a key of the file, or the values of a dictionary, as LIVECell has them.

    Raises:
        MaskwrightError: there is none, or not of objects.
    """
    found = data.get(key) if isinstance(data, dict) else None
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise MaskwrightError(
            f"{path} is not a COCO annotation file (it has no list {key!r} of objects): "
            "export it again as COCO instances"
        )
    return found


def categories_of(path: Path, listed: list[dict[str, Any]]) -> dict[int, str]:
    """Return the names of the categories by their ids.

    Raises:
        MaskwrightError: one has no name or no whole number, or an id has two names.
    """
    categories: dict[int, str] = {}
    for entry in listed:
        number, name = _number(entry.get("id")), entry.get("name")
        if number is None or name is None:
            raise MaskwrightError(
                f"{path} has a category {name!r} with the id {entry.get('id')!r}, but each needs a name "
                "and a whole number: number the categories, and the annotations with them"
            )
        if categories.setdefault(number, str(name)) != str(name):
            raise MaskwrightError(
                f"{path} gives the category id {number} to {categories[number]!r} and {name!r}: give each its own id"
            )
    return categories


def numbered(annotations: list[dict[str, Any]]) -> dict[int, str]:
    """Name the categories after the ids that the annotations hold."""
    found = (_number(entry.get("category_id")) for entry in annotations)
    return {number: f"class-{number}" for number in sorted({number for number in found if number is not None})}


def image_of(entry: dict[str, Any]) -> CocoImage | None:
    """Read an entry of `images`; None if it lacks its id, or its name and its address, or has an odd size."""
    try:
        name = entry.get("file_name") or entry["coco_url"]  # LVIS has the address alone
        return CocoImage(key_of(entry["id"]), str(name), _size(entry))
    except DAMAGE:
        return None


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    return (int(height), int(width)) if height and width else None


def _label(value: object, categories: dict[int, str]) -> str | int | None:
    """Return the name of a category given by its id, or by its name; its id if it has no name, None without an id."""
    if value is None or value == "":
        return None
    number = _number(value)
    return categories.get(number, number) if number is not None else str(value)


def object_of(entry: dict[str, Any], categories: dict[int, str]) -> Drawing:
    """Read one annotation; without a usable outline it has only the box around what is there, if anything."""
    label, name = _label(entry.get("category_id"), categories), f"id {entry.get('id')}"
    try:
        return _drawing(label, entry)._replace(name=name)
    except DAMAGE:
        return Drawing(label, box=box_told(entry.get("bbox")), name=name)


def _drawing(label: str | int | None, entry: dict[str, Any]) -> Drawing:
    crowd = bool(int(entry.get("iscrowd") or 0))
    area = stated_area(entry.get("area"))
    drawn = entry.get("segmentation")
    if isinstance(drawn, list) and len(drawn) == 1 and isinstance(drawn[0], dict):
        drawn = drawn[0]
    if isinstance(drawn, dict):
        rle = _rle(drawn)
        own = 0.0 if rle is None else area or _rle_area(rle)
        if own:
            return Drawing(label, rle=rle, area=own, crowd=crowd)
        parts = []
    else:
        parts = _parts(drawn)
    rings = [part for values in parts if (part := ring(values)) is not None]
    areas = [ring_area(part) for part in rings]
    polygons: tuple[Ring, ...] = tuple(filter(encloses, rings))
    box = (
        box_over(map(box_of, polygons))
        or box_told(entry.get("bbox"))
        or box_around(value for part in parts for value in part)
    )
    shape = Drawing(label, polygons, box=box, area=area or sum(areas), crowd=crowd, name=f"id {entry.get('id')}")
    if box is None and not any(parts) and without_area(entry.get("bbox")):
        return shape._replace(kind="nowhere")
    kind = "box" if not any(parts) else "flat" if all(map(are_points, parts)) else "garbled"
    return shape._replace(kind=kind, incomplete=0 < len(polygons) < len(parts))


def _parts(drawn: object) -> list[list[Any]]:
    """Return the rings as flat lists: people write one ring without its outer list, and points as pairs."""
    if not isinstance(drawn, list) or not drawn:
        return []
    if not isinstance(drawn[0], list):
        return [drawn]
    if drawn[0] and isinstance(drawn[0][0], list) and len(drawn[0][0]) == 2:
        return [[value for point in part for value in point] for part in drawn]
    return drawn


def _rle(drawn: dict[str, Any]) -> dict[str, object] | None:
    """Check a run-length code: compressed text, or a list of runs; None if it is neither."""
    size, counts = drawn.get("size"), drawn.get("counts")
    if not isinstance(size, list) or len(size) != 2:
        return None
    if isinstance(counts, str):
        return {"size": [int(size[0]), int(size[1])], "counts": counts.encode()}
    if isinstance(counts, list):
        return {"size": [int(size[0]), int(size[1])], "counts": [int(count) for count in counts]}
    return None


def _rle_area(rle: dict[str, object]) -> float:
    """Return the area of a code; a damaged one gets 1, so that it is painted, and then reported."""
    try:
        return float(rle_codes.area(rle))
    except MaskwrightError:
        return 1.0
