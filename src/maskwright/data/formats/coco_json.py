"""One COCO JSON file: its images, categories and objects, checked. Opens no image and paints nothing."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.outlines.annotation_files import DAMAGE
from maskwright.data.formats.outlines.shapes import Box, Drawing, Ring, box_around, box_of, box_over, ring, ring_area
from maskwright.ops import rle as rle_codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


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


def load(path: Path, *, keep_crowds: bool = False) -> CocoAnnotations:
    """Parse and check one file.

    Args:
        path: the file.
        keep_crowds: read objects with `iscrowd` like all others.

    Raises:
        MaskwrightError: the file is not JSON, lacks a key, or holds boxes only.
    """
    data = parsed_json(path)
    listed = {key: _list(path, data, key) for key in ("images", "annotations")}
    named = isinstance(data, dict) and bool(data.get("categories"))
    categories = _categories(path, _list(path, data, "categories")) if named else _numbered(listed["annotations"])
    file = CocoAnnotations(
        path, [image for entry in listed["images"] if (image := _image(entry))], categories, named=named
    )
    for entry in listed["annotations"]:
        file.objects[_key(entry.get("image_id"))].append(_object(entry, categories))
    _require_outlines(file)
    file.faults += [*_incomplete(file, listed["images"]), *_twins(file), *_strays(file)]
    if keep_crowds:
        file.objects = _without_crowds(file.objects)
    else:
        file.faults += _crowds(file)
    return file


def _key(value: object) -> str:
    """Return an id as text: files hold 3 in one place and "3" in another."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number(value: object) -> int | None:
    """Return the id of a category, which must be a whole number, maybe as text; None if it is not."""
    try:
        return int(_key(value))
    except ValueError:
        return None


def _list(path: Path, data: Any, key: str) -> list[dict[str, Any]]:
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise MaskwrightError(
            f"{path} is not a COCO annotation file (it has no list {key!r} of objects): "
            "export it again as COCO instances"
        )
    return found


def _categories(path: Path, listed: list[dict[str, Any]]) -> dict[int, str]:
    categories = {}
    for entry in listed:
        number, name = _number(entry.get("id")), entry.get("name")
        if number is None or name is None:
            raise MaskwrightError(
                f"{path} has a category {name!r} with the id {entry.get('id')!r}, but each needs a name "
                "and a whole number: number the categories, and the annotations with them"
            )
        categories[number] = str(name)
    return categories


def _numbered(annotations: list[dict[str, Any]]) -> dict[int, str]:
    """Name the categories after the ids that the annotations hold."""
    found = (_number(entry.get("category_id")) for entry in annotations)
    return {number: f"class-{number}" for number in sorted({number for number in found if number is not None})}


def _image(entry: dict[str, Any]) -> CocoImage | None:
    """Read an entry of `images`; None if it lacks its id or the name of its file, or has an odd size."""
    try:
        return CocoImage(_key(entry["id"]), str(entry["file_name"]), _size(entry))
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


def _object(entry: dict[str, Any], categories: dict[int, str]) -> Drawing:
    """Read one annotation; without a usable outline it has only the box around what is there, if anything."""
    label, name = _label(entry.get("category_id"), categories), f"id {entry.get('id')}"
    try:
        return _drawing(label, entry)._replace(name=name)
    except DAMAGE:
        return Drawing(label, name=name)


def _drawing(label: str | int | None, entry: dict[str, Any]) -> Drawing:
    crowd = bool(int(entry.get("iscrowd") or 0))
    area = _area(entry.get("area"))
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
    polygons: tuple[Ring, ...] = tuple(part for part, own in zip(rings, areas, strict=True) if own)
    box = (
        box_over(map(box_of, polygons))
        or _box(entry.get("bbox"))
        or box_around(value for part in parts for value in part)
    )
    shape = Drawing(label, polygons, box=box, area=area or sum(areas), crowd=crowd)
    return shape._replace(kind="flat" if any(parts) else "box", incomplete=0 < len(polygons) < len(parts))


def _area(value: object) -> float:
    """Return the area that the file tells; 0 if it is no number above that."""
    try:
        area = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
    return area if 0 < area < math.inf else 0.0


def _parts(drawn: object) -> list[list[Any]]:
    """Return the rings as flat lists: people write one ring without its outer list, and points as pairs."""
    if not isinstance(drawn, list) or not drawn:
        return []
    if not isinstance(drawn[0], list):
        return [drawn]
    if drawn[0] and isinstance(drawn[0][0], list) and len(drawn[0][0]) == 2:
        return [[value for point in part for value in point] for part in drawn]
    return drawn


def _box(values: object) -> Box | None:
    """Return (left, top, right, bottom) of COCO's [left, top, width, height], if it is one."""
    box = box_around(values) if isinstance(values, list) and len(values) == 4 else None
    if box is None or not isinstance(values, list):
        return None
    left, top, width, height = map(float, values)
    return (left, top, left + width, top + height) if width > 0 and height > 0 else None


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


def _rle_area(rle: dict[str, object]) -> float:
    """Return the area of a code; a damaged one gets 1, so that it is painted, and then reported."""
    try:
        return float(rle_codes.area(rle))
    except MaskwrightError:
        return 1.0


def _require_outlines(file: CocoAnnotations) -> None:
    shapes = [shape for shapes in file.objects.values() for shape in shapes]
    if not shapes or any(shape.drawn for shape in shapes):
        return
    if all(shape.kind == "box" for shape in shapes):
        raise MaskwrightError(
            f"{file.path} holds boxes only, but segmentation needs outlines: export it with segmentations"
        )
    raise MaskwrightError(
        f"{file.path} holds {plural(len(shapes), 'outline')}, and none encloses an area, for which three corners are "
        "needed (x0, y0, x1, y1, x2, y2): export it again as COCO instances"
    )


def _incomplete(file: CocoAnnotations, listed: Sequence[object]) -> Iterable[Fault]:
    """Report images that are not told, and categories without names."""
    lost = len(listed) - len(file.images)
    if lost:
        message = f"{plural(lost, 'entry', 'entries')} of 'images' {agree(lost, 'has', 'have')} no id or no file_name"
        yield Fault("unpaired", "error", file.path, f"{message}, or an odd size, and cannot be used", "complete them")
    if not file.named and file.categories:
        message = "lists no categories, so the classes are named after their ids"
        yield Fault("unknown-label", "warning", file.path, message, "add the list of categories, or export it again")


def _twins(file: CocoAnnotations) -> Iterable[Fault]:
    """Report ids that several images share: their objects could belong to any of them."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    for image in file.images:
        names[image.id].add(image.name)
    shared = [number for number, those in names.items() if len(those) > 1]
    if not shared:
        return
    first = shared[0]
    file.shared = frozenset(shared)
    stand = agree(len(shared), "stands", "stand")
    message = (
        f"{plural(len(shared), 'image id')}, {such_as(len(shared), f'{first} of {listing(sorted(names[first]))}')}, "
        f"{stand} for several"
    )
    cure = "give each image its own id"
    yield Fault("unpaired", "error", file.path, f"{message} images, which are not used", cure)


def _strays(file: CocoAnnotations) -> Iterable[Fault]:
    strays = file.objects.keys() - {image.id for image in file.images}
    if strays:
        count, first = sum(len(file.objects[image]) for image in strays), min(strays)
        belong = f"{plural(count, 'annotation')} {agree(count, 'belongs', 'belong')}"
        whose = f"{agree(len(strays), 'an image', 'images')}, {such_as(len(strays), f'id {first}')},"
        message = f"{belong} to {whose} that the file does not list"
        yield Fault("unpaired", "warning", file.path, message, "list the images, or remove the annotations")


def _crowds(file: CocoAnnotations) -> Iterable[Fault]:
    """Report categories of which most objects are crowds: an editor may write `iscrowd` for each brush stroke."""
    crowds, objects = Counter[str | int](), Counter[str | int]()
    for shapes in file.objects.values():
        for shape in shapes:
            if shape.label is not None:
                objects[shape.label] += 1
                crowds[shape.label] += shape.crowd
    mostly = sorted(str(label) for label, count in crowds.items() if 2 * count > objects[label])
    if mostly:
        count, are = sum(crowds.values()), agree(sum(crowds.values()), "is a crowd", "are crowds")
        message = f"{count} of {plural(sum(objects.values()), 'object')} {are} (iscrowd) and ignored"
        message += f", among them most of {listing(mostly)}"
        cure = "if they are single objects, as CVAT writes brush masks, read them with `read.crowd=keep`"
        yield Fault("crowd", "warning", file.path, message, cure)


def _without_crowds(objects: dict[str, list[Drawing]]) -> defaultdict[str, list[Drawing]]:
    kept = {image: [shape._replace(crowd=False) for shape in shapes] for image, shapes in objects.items()}
    return defaultdict(list, kept)
