"""One JSON file of COCO's panoptic format, read and checked. Opens no image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.data.formats.meaning.tables import Entry
from maskwright.data.formats.outlines.annotation_files import DAMAGE
from maskwright.data.formats.outlines.checked import reason, stated_area, whole
from maskwright.data.formats.pairing.naming import split_word

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maskwright.core.records import Split


class Category(NamedTuple):
    """A class, and whether its segments are objects."""

    entry: Entry
    thing: bool


class Segment(NamedTuple):
    """One segment of a PNG; `area` is its number of pixels, 0 if the file does not tell."""

    id: int
    category: int
    crowd: bool
    area: float


class Annotated(NamedTuple):
    """The annotation of one image.

    Attributes:
        image_id: of the image, as text.
        name: of its file.
        png: of segments, which may not exist.
        segments: those listed.
        source: the JSON file.
        split: the one in its name.
    """

    image_id: str
    name: str
    png: Path
    segments: tuple[Segment, ...]
    source: Path
    split: Split | None


def load(path: Path, categories: dict[int, Category]) -> tuple[list[Annotated], list[Fault]]:
    """Read one file, and add its categories; an annotation that cannot be read is a fault.

    Raises:
        MaskwrightError: it is damaged, names no categories, or gives one id to two.
    """
    data = parsed_json(path)
    try:
        if not data.get("categories"):
            raise MaskwrightError(
                f"{path} lists no categories, so the classes of its segments are unknown: add the list, or export the "
                "file again"
            )
        own = dict(categories)
        for item in data["categories"]:
            category = _category(item)
            if own.setdefault(category.entry.id, category) != category:
                names = f"{own[category.entry.id].entry.name!r} and {category.entry.name!r}"
                raise MaskwrightError(
                    f"{path} gives the id {category.entry.id} to {names}: give each category its own id, and the same "
                    "in all files"
                )
        images = {str(item["id"]): str(item["file_name"]) for item in data["images"]}
        found = [_annotated(place, item, images, path) for place, item in enumerate(data["annotations"], 1)]
    except DAMAGE as error:
        what = f"there is no key {error}" if isinstance(error, KeyError) else reason(error)
        raise MaskwrightError(f"{path} is not a file of COCO's panoptic format ({what}): export it again") from None
    categories.update(own)
    return [entry for entry in found if isinstance(entry, Annotated)], [
        entry for entry in found if isinstance(entry, Fault)
    ]


def _category(item: dict[str, Any]) -> Category:
    color = item.get("color")
    rgb = (int(color[0]), int(color[1]), int(color[2])) if color else None
    return Category(Entry(int(item["id"]), str(item["name"]), rgb), bool(item["isthing"]))


def _annotated(place: int, item: dict[str, Any], images: Mapping[str, str], path: Path) -> Annotated | Fault:
    """Read one annotation, the `place`th of its file."""
    try:
        if not isinstance(item.get("segments_info"), list):
            raise ValueError("it has no list of 'segments_info'")  # noqa: TRY004
        segments = tuple(
            Segment(
                whole(part["id"], "id of a segment"),
                whole(part["category_id"], "category_id of a segment"),
                bool(part.get("iscrowd")),
                stated_area(part.get("area")),
            )
            for part in item["segments_info"]
        )
        name, image_id = str(item["file_name"]), str(item["image_id"])
        if image_id not in images:
            raise ValueError(f"image_id is {image_id}, which no entry of 'images' has")
    except DAMAGE as error:
        what = reason(error)
        named = f" ({item['file_name']})" if isinstance(item, dict) and item.get("file_name") else ""
        message = f"annotation {place}{named} of {path.name} cannot be used: {what}"
        return Fault("unreadable", "error", path, message, "correct the annotation, or export the file again")
    places = (path.with_suffix("") / name, path.parent / name)
    png = next((place for place in places if place.is_file()), places[0])
    return Annotated(image_id, images[image_id], png, segments, path, split_word(path.stem))
