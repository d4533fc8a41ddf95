"""One JSON file of COCO's panoptic format, read and checked. Opens no image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats.meaning.tables import Entry
from maskwright.data.formats.outlines.annotation_files import DAMAGE
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
    """One segment of a PNG."""

    id: int
    category: int
    crowd: bool


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


def load(path: Path, categories: dict[int, Category]) -> list[Annotated]:
    """Read one file, and add its categories.

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
        entries = [_annotated(item, images, path) for item in data["annotations"]]
    except DAMAGE as error:
        what = f"there is no key {error}" if isinstance(error, KeyError) else str(error)
        raise MaskwrightError(f"{path} is not a file of COCO's panoptic format ({what}): export it again") from None
    categories.update(own)
    return entries


def _category(item: dict[str, Any]) -> Category:
    color = item.get("color")
    rgb = (int(color[0]), int(color[1]), int(color[2])) if color else None
    return Category(Entry(int(item["id"]), str(item["name"]), rgb), bool(item["isthing"]))


def _annotated(item: dict[str, Any], images: Mapping[str, str], path: Path) -> Annotated:
    segments = tuple(
        Segment(int(part["id"]), int(part["category_id"]), bool(part.get("iscrowd"))) for part in item["segments_info"]
    )
    name = str(item["file_name"])
    places = (path.with_suffix("") / name, path.parent / name)
    png = next((place for place in places if place.is_file()), places[0])
    image_id = str(item["image_id"])
    return Annotated(image_id, images[image_id], png, segments, path, split_word(path.stem))
