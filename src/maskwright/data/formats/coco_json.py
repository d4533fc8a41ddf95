"""One COCO JSON file: its images, categories and objects, checked. Opens no image and paints nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.outlines.annotation_files import DAMAGE
from maskwright.data.formats.outlines.shapes import Box, Drawing, Ring, box_around, ring, ring_area
from maskwright.ops import rle as rle_codes

if TYPE_CHECKING:
    from collections.abc import Iterable
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
        faults: what does not fit together.
    """

    path: Path
    images: list[CocoImage]
    categories: dict[int, str]
    objects: defaultdict[str, list[Drawing]] = field(default_factory=lambda: defaultdict(list))
    shared: frozenset[str] = frozenset()
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
    try:
        images = [CocoImage(_key(entry["id"]), str(entry["file_name"]), _size(entry)) for entry in data["images"]]
        categories = {_number(entry["id"]): str(entry["name"]) for entry in data["categories"]}
        file = CocoAnnotations(path, images, categories)
        for entry in data["annotations"]:
            file.objects[_key(entry["image_id"])].append(_object(entry, categories))
    except DAMAGE as error:
        what = f"there is no key {error}" if isinstance(error, KeyError) else str(error)
        raise MaskwrightError(
            f"{path} is not a COCO annotation file ({what}): export it again as COCO instances"
        ) from None
    _require_outlines(file)
    file.faults += [*_twins(file), *_strays(file)]
    if keep_crowds:
        file.objects = _without_crowds(file.objects)
    else:
        file.faults += _crowds(file)
    return file


def _key(value: object) -> str:
    """Return an id as text: files hold 3 in one place and "3" in another."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number(value: object) -> int:
    """Return the id of a category, which must be a whole number, maybe as text."""
    return int(_key(value))


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    return (int(height), int(width)) if height and width else None


def _object(entry: dict[str, Any], categories: dict[int, str]) -> Drawing:
    """Read one annotation; without a usable outline it has only the box around what is there."""
    category = _number(entry["category_id"])
    label = categories.get(category, category)
    crowd = bool(int(entry.get("iscrowd") or 0))
    area = float(entry.get("area") or 0)
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
    box = None if polygons else _box(entry.get("bbox")) or box_around(value for part in parts for value in part)
    shape = Drawing(label, polygons, box=box, area=area or sum(areas), crowd=crowd, name=f"id {entry.get('id')}")
    return shape._replace(kind="flat" if any(parts) else "box", incomplete=0 < len(polygons) < len(parts))


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
