"""COCO's panoptic format: a JSON file that gives each segment its category, and a PNG of segment ids for each image.

A segment of a thing is an object or, with `iscrowd`, a crowd; a segment of stuff is none. Its class counts in any case.
What belongs to no segment is ignored.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.classes import IGNORE
from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, Fault, ImageRef, MaskFile, Record
from maskwright.data.formats.coco import base_of
from maskwright.data.formats.folder import meaningful_splits
from maskwright.data.formats.meaning.entries import classes_of, split_ignored, with_map
from maskwright.data.formats.meaning.tables import Entry
from maskwright.data.formats.outlines.annotation_files import DAMAGE, few, holds
from maskwright.data.formats.outlines.located import Images, Search
from maskwright.data.formats.pairing.naming import split_word
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Split

_MARKS = ('"images"', '"annotations"', '"categories"', '"segments_info"')


class _Category(NamedTuple):
    """A class, and whether its segments are objects."""

    entry: Entry
    thing: bool


class _Segment(NamedTuple):
    """One segment of a PNG."""

    id: int
    category: int
    crowd: bool


class _Annotated(NamedTuple):
    """One image: the name of its file, its PNG if that exists, the segments, and the JSON file that lists them."""

    name: str
    png: Path
    segments: tuple[_Segment, ...]
    source: Path
    split: Split | None


def detect(root: Path) -> str | None:
    """Name the JSON files that hold the keys of the format; the files are searched for them and not parsed."""
    return ", ".join(path.name for path in _json_files(root)) or None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the classes of all segments, and the objects.

    Raises:
        MaskwrightError: no JSON file of the format, a damaged one, or no image with its PNG found.
    """
    if options.classes is not None:
        raise MaskwrightError(
            f"a panoptic file names its categories itself, so {options.classes} cannot be used: leave out "
            "`read.classes`"
        )
    paths = _json_files(root)
    if not paths:
        raise MaskwrightError(
            f"{root} holds no JSON file of COCO's panoptic format (keys images, categories, annotations with "
            "segments_info): give the file itself, or the folder that holds annotations/"
        )
    categories: dict[int, _Category] = {}
    entries = [entry for path in paths for entry in _load(path, categories)]
    kept, ignored, notes = split_ignored(tuple(categories[number].entry for number in sorted(categories)), options)
    values = {entry.id: index for index, entry in enumerate(kept)} | {entry.id: IGNORE for entry in ignored}
    values = with_map(values | dict.fromkeys(options.ignored(), IGNORE), options)
    records, faults = _records(base_of(root), entries, categories, values)
    things = [number for number, category in categories.items() if category.thing]
    rest = len(categories) - len(things)
    words = f"{', '.join(path.name for path in paths)}: {len(things)} classes of things, {rest} of stuff"
    return Dataset(
        root,
        "panoptic",
        "; ".join((words, *notes)),
        replace(classes_of(kept, paths[0]), things=frozenset(values[number] for number in things) - {IGNORE}),
        tuple(sorted(records, key=lambda record: record.id)),
        values,
        faults=tuple(faults),
    )


def _json_files(root: Path) -> list[Path]:
    paths = few(root, ".json") if root.is_dir() else [root] if root.suffix.lower() == ".json" else []
    return [path for path in paths if holds(path, _MARKS)]


def _load(path: Path, categories: dict[int, _Category]) -> list[_Annotated]:
    """Read one file, and add its categories.

    Raises:
        MaskwrightError: it is damaged, or gives one id to two categories.
    """
    data = parsed_json(path)
    try:
        for item in data["categories"]:
            category = _category(item)
            if categories.setdefault(category.entry.id, category) != category:
                names = f"{categories[category.entry.id].entry.name!r} and {category.entry.name!r}"
                raise MaskwrightError(
                    f"{path} gives the id {category.entry.id} to {names}: give each category its own id, and the same "
                    "in all files"
                )
        images = {str(item["id"]): str(item["file_name"]) for item in data["images"]}
        return [_annotated(item, images, path) for item in data["annotations"]]
    except DAMAGE as error:
        what = f"there is no key {error}" if isinstance(error, KeyError) else str(error)
        raise MaskwrightError(f"{path} is not a file of COCO's panoptic format ({what}): export it again") from None


def _category(item: dict[str, Any]) -> _Category:
    color = item.get("color")
    rgb = (int(color[0]), int(color[1]), int(color[2])) if color else None
    return _Category(Entry(int(item["id"]), str(item["name"]), rgb), bool(item["isthing"]))


def _annotated(item: dict[str, Any], images: Mapping[str, str], path: Path) -> _Annotated:
    segments = tuple(
        _Segment(int(part["id"]), int(part["category_id"]), bool(part.get("iscrowd"))) for part in item["segments_info"]
    )
    name = str(item["file_name"])
    places = (path.with_suffix("") / name, path.parent / name)
    png = next((place for place in places if place.is_file()), places[0])
    return _Annotated(images[str(item["image_id"])], png, segments, path, split_word(path.stem))


def _records(
    base: Path, entries: list[_Annotated], categories: Mapping[int, _Category], values: Mapping[int, int]
) -> tuple[list[Record], list[Fault]]:
    """Find the images; one whose segments contradict the file is left out.

    Raises:
        MaskwrightError: none is left.
    """
    search = Search(Images(base, without={entry.png for entry in entries}))
    divided = meaningful_splits(entry.split for entry in entries)
    records: dict[str, Record] = {}
    faults = []
    for entry in entries:
        image = search.one(search.images.named(entry.name, entry.source, entry.split), entry.source, entry.name)
        fault = _fault(entry, categories)
        if fault is not None:
            faults.append(fault)
        elif image is not None:
            annotation, objects = _masks(entry, categories, values)
            name, split = record_id(base, image), entry.split if divided else None
            records[name] = Record(name, ImageRef(image), annotation, split, objects=objects)
    if not records:
        raise search.nothing_found(base, faults)
    return list(records.values()), [*faults, *search.faults("no JSON file lists")]


def _fault(entry: _Annotated, categories: Mapping[int, _Category]) -> Fault | None:
    """Report what makes an image unusable."""
    if not entry.png.is_file():
        message = f"{entry.source.name} lists {entry.png.name} for {entry.name}, which does not exist"
        cure = f"put it into the folder {entry.source.stem}/ beside {entry.source.name}"
        return Fault("unpaired", "error", entry.source, message, cure)
    strange = next((part.category for part in entry.segments if part.category not in categories), None)
    if strange is not None:
        message = f"{entry.source.name} holds a segment of category {strange} on {entry.name}, which it does not name"
        return Fault("unknown-label", "error", entry.source, message, f"add the category {strange}, or correct the id")
    twice = next((number for number, count in Counter(part.id for part in entry.segments).items() if count > 1), None)
    if twice is not None:
        message = f"{entry.source.name} lists the segment {twice} of {entry.name} more than once"
        return Fault("unknown-label", "error", entry.source, message, "give each segment its own id")
    return None


def _masks(
    entry: _Annotated, categories: Mapping[int, _Category], values: Mapping[int, int]
) -> tuple[MaskFile, MaskFile]:
    """Return how the PNG is read to classes, and how to objects."""
    file = ImageRef(entry.png)
    classes = tuple((part.id, values[part.category]) for part in entry.segments)
    objects = tuple(
        (part.id, values[part.category] if categories[part.category].thing else IGNORE) for part in entry.segments
    )
    crowds = tuple(part.id for part in entry.segments if part.crowd)
    return MaskFile(file, "segment", classes), MaskFile(file, "segment", objects, crowds=crowds)
