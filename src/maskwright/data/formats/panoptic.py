"""COCO's panoptic format: a JSON file that gives each segment its category, and a PNG of segment ids for each image.

A segment of a thing is an object or, with `iscrowd`, a crowd; a segment of stuff is none. Its class counts in any case.
What belongs to no segment is ignored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, Fault, ImageRef, MaskFile, Record
from maskwright.core.text import listing, plural
from maskwright.data.formats.coco import base_of, cut_off
from maskwright.data.formats.folder import meaningful_splits
from maskwright.data.formats.meaning.entries import classes_of, split_ignored, with_map
from maskwright.data.formats.outlines.annotation_files import few, holds, unreadable
from maskwright.data.formats.outlines.located import Images, Search
from maskwright.data.formats.panoptic_json import load
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maskwright.core.read_options import ReadOptions
    from maskwright.data.formats.panoptic_json import Annotated, Category

# The categories follow the annotations: a file that is cut off, or lacks them, must not go unnoticed.
_MARKS = ('"images"', '"annotations"', '"segments_info"')


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
    entries, categories, damaged = _load(root, paths)
    kept, ignored, notes = split_ignored(tuple(categories[number].entry for number in sorted(categories)), options)
    values = {entry.id: index for index, entry in enumerate(kept)} | {entry.id: IGNORE for entry in ignored}
    values = with_map(values | dict.fromkeys(options.ignored(), IGNORE), options)
    records, faults = _records(base_of(root), entries, categories, values, damaged)
    things = [number for number, category in categories.items() if category.thing]
    rest = len(categories) - len(things)
    words = f"{', '.join(path.name for path in paths)}: {len(things)} classes of things, {rest} of stuff"
    marked = frozenset(values[number] for number in things) - {IGNORE}
    return Dataset(
        root,
        "panoptic",
        "; ".join((words, *notes)),
        replace(classes_of(kept, paths[0]), things=marked, ids=tuple(entry.id for entry in kept)),
        tuple(sorted(records, key=lambda record: record.id)),
        values,
        faults=tuple(faults),
    )


def _json_files(root: Path) -> list[Path]:
    paths = few(root, ".json") if root.is_dir() else [root] if root.suffix.lower() == ".json" else []
    return [path for path in paths if holds(path, _MARKS)]


def _load(root: Path, paths: list[Path]) -> tuple[list[Annotated], dict[int, Category], list[Fault]]:
    """Read the files; one that cannot be read is a fault, if there are others.

    Raises:
        MaskwrightError: none can be read.
    """
    categories: dict[int, Category] = {}
    entries: list[Annotated] = []
    errors: list[tuple[Path, MaskwrightError]] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            found, damaged = load(path, categories)
            entries, faults = entries + found, faults + damaged
        except MaskwrightError as error:
            errors.append((path, error))
    if len(errors) == len(paths):
        raise errors[0][1]
    faults += [unreadable(path, error) for path, error in errors]
    return entries, categories, [*faults, *cut_off(root, paths)]


def _records(
    base: Path,
    entries: list[Annotated],
    categories: Mapping[int, Category],
    values: Mapping[int, int],
    damaged: list[Fault],
) -> tuple[list[Record], list[Fault]]:
    """Find the images; one whose segments contradict the file is left out.

    Raises:
        MaskwrightError: none is left.
    """
    search = Search(Images(base, without=_pictures(entries)))
    divided = meaningful_splits(entry.split for entry in entries)
    by_image: defaultdict[Path, list[Annotated]] = defaultdict(list)
    for entry in entries:
        image = search.one(search.images.named(entry.name, entry.source, entry.split), entry.source, entry.name)
        if image is not None:
            by_image[image].append(entry)
    twice = [_several(image, those) for image, those in by_image.items() if len(those) > 1]
    faults = [*damaged, *twice, *(fault for entry in entries if (fault := _fault(entry, categories)) is not None)]
    records = []
    for image, (entry, *others) in by_image.items():
        if not others and _fault(entry, categories) is None:
            annotation, objects = _masks(entry, categories, values)
            split = entry.split if divided else None
            records.append(Record(record_id(base, image), ImageRef(image), annotation, split, objects=objects))
    if not records:
        raise search.nothing_found(base, faults)
    return records, [*faults, *search.faults("no JSON file annotates")]


def _pictures(entries: list[Annotated]) -> set[Path]:
    """Return the files that hold segments: those of the annotations, and the others in the folders of their own."""
    folders = {entry.png.parent for entry in entries if entry.png.parent == entry.source.with_suffix("")}
    names = {Path(entry.name).name for entry in entries}
    found = {entry.png for entry in entries}
    for folder in folders:
        files = set(folder.iterdir()) if folder.is_dir() else set()
        if not any(path.name in names for path in files):  # else photographs lie there too
            found |= files
    return found


def _several(image: Path, entries: list[Annotated]) -> Fault:
    """Report annotations that belong to one image: nobody knows which of them shows it."""
    those = listing([f"{entry.png.name} (image_id {entry.image_id} in {entry.source.name})" for entry in entries])
    message = f"{plural(len(entries), 'annotation')} belong to {image.name}, which is not used: {those}"
    cure = "give each annotation the id of its own image, or keep one of them"
    return Fault("annotated-twice", "error", entries[-1].source, message, cure)


def _fault(entry: Annotated, categories: Mapping[int, Category]) -> Fault | None:
    """Report what makes an image unusable."""
    if not entry.png.is_file():
        message = f"{entry.source.name} lists {entry.png.name} for {entry.name}, which does not exist"
        cure = f"put it into the folder {entry.source.stem}/ beside {entry.source.name}"
        return Fault("unpaired", "error", entry.source, message, cure)
    strange = next((part.category for part in entry.segments if part.category not in categories), None)
    if strange is not None:
        message = f"{entry.source.name} holds a segment of category {strange} on {entry.name}, which it does not name"
        return Fault("unknown-label", "error", entry.source, message, f"add the category {strange}, or correct the id")
    zero = next((part.id for part in entry.segments if part.id < 1), None)
    if zero is not None:
        message = f"{entry.source.name} lists a segment {zero} of {entry.name}, but 0 is no segment"
        return Fault("unknown-label", "error", entry.source, message, "give it an id above 0, also in the PNG")
    twice = next((number for number, count in Counter(part.id for part in entry.segments).items() if count > 1), None)
    if twice is not None:
        message = f"{entry.source.name} lists the segment {twice} of {entry.name} more than once"
        return Fault("unknown-label", "error", entry.source, message, "give each segment its own id")
    return None


def _masks(
    entry: Annotated, categories: Mapping[int, Category], values: Mapping[int, int]
) -> tuple[MaskFile, MaskFile]:
    """Return how the PNG is read to classes, and how to objects."""
    file = ImageRef(entry.png)
    classes = tuple((part.id, values[part.category]) for part in entry.segments)
    objects = tuple(
        (part.id, values[part.category] if categories[part.category].thing else IGNORE) for part in entry.segments
    )
    crowds = tuple(part.id for part in entry.segments if part.crowd)
    areas = tuple((part.id, part.area) for part in entry.segments if part.area)
    return MaskFile(file, "segment", classes, areas=areas), MaskFile(file, "segment", objects, crowds=crowds)
