"""One COCO JSON file, read and checked. Opens no image and paints nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.coco_boxes import box_faults
from maskwright.data.formats.coco_entries import (
    CocoAnnotations,
    CocoImage,
    categories_of,
    entries_of,
    image_of,
    key_of,
    numbered,
    object_of,
)
from maskwright.data.formats.coco_runs import require_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from maskwright.data.formats.outlines.shapes import Drawing

_FEWEST_IDS = 3

__all__ = ["CocoAnnotations", "CocoImage", "load"]


def load(path: Path, *, keep_crowds: bool = False) -> CocoAnnotations:
    """Parse and check one file.

    Args:
        path: the file.
        keep_crowds: read objects with `iscrowd` like all others.

    Raises:
        MaskwrightError: the file is not JSON, lacks a key, or holds boxes only.
    """
    data = parsed_json(path)
    listed = {key: entries_of(path, data, key) for key in ("images", "annotations")}
    named = isinstance(data, dict) and bool(data.get("categories"))
    categories = categories_of(path, entries_of(path, data, "categories")) if named else numbered(listed["annotations"])
    file = CocoAnnotations(
        path, [image for entry in listed["images"] if (image := image_of(entry))], categories, named=named
    )
    objects = [object_of(entry, categories) for entry in listed["annotations"]]
    for entry, drawing in zip(listed["annotations"], objects, strict=True):
        file.objects[key_of(entry.get("image_id"))].append(drawing)
    _require_outlines(file)
    _require_unshifted(file)
    file.faults += [*_incomplete(file, listed["images"]), *_twins(file), *_strays(file)]
    known = {image.id: image.size for image in file.images}
    sizes = [known.get(key_of(entry.get("image_id"))) for entry in listed["annotations"]]
    file.faults += box_faults(path, listed["annotations"], objects, sizes)
    require_columns(path, objects)
    file.faults += _repeated(path, listed["annotations"])
    if keep_crowds:
        file.objects = _without_crowds(file.objects)
    else:
        file.faults += _crowds(file)
    return file


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


def _require_unshifted(file: CocoAnnotations) -> None:
    """Refuse annotations that all seem to belong to the image before or after the one whose id they name.

    The ids of images have no gap, that beyond one end has objects, and that at the other end has none.
    """
    ids = sorted({int(image.id) for image in file.images if image.id.isdecimal()})
    strays = file.objects.keys() - {image.id for image in file.images}
    if len(ids) < _FEWEST_IDS or len(ids) != len(file.images) or ids[-1] - ids[0] != len(ids) - 1:
        return
    for beyond, bare, change in ((ids[-1] + 1, ids[0], "subtract 1 from"), (ids[0] - 1, ids[-1], "add 1 to")):
        if strays == {str(beyond)} and str(bare) not in file.objects:
            raise MaskwrightError(
                f"{file.path} lists the images {ids[0]} to {ids[-1]}, but annotations belong to an image {beyond}, and "
                f"none to {bare}, so the ids seem to be shifted by one, and each image would get the objects of "
                f"another: {change} each image_id; if only the image {beyond} is missing, list it, or remove its "
                "annotations"
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


def _repeated(path: Path, entries: list[dict[str, Any]]) -> Iterable[Fault]:
    """Note ids that several annotations share; each is an object of its own all the same, unless it is a mere copy."""
    counts = Counter(key_of(entry["id"]) for entry in entries if entry.get("id") is not None)
    unlike: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if counts[number := key_of(entry.get("id"))] > 1:
            unlike[number].add(repr(sorted(entry.items())))
    shared = [number for number, forms in unlike.items() if len(forms) > 1]
    if shared:
        stand = agree(len(shared), "stands", "stand")
        ids = f"{plural(len(shared), 'annotation id')}, {such_as(len(shared), shared[0])},"
        message = f"{ids} {stand} for several objects, all read"
        yield Fault("repeated-id", "note", path, message, "give each annotation its own id")


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
