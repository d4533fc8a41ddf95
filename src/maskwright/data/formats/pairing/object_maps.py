"""Maps of object ids beside masks of classes: found by their folders, checked on a sample, and given to the records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.records import Dataset, Fault, MaskFile
from maskwright.core.text import agree, plural
from maskwright.data.formats.meaning.divided import undivided, undivided_fault
from maskwright.data.formats.meaning.ground import ground_of
from maskwright.data.formats.pairing.naming import INSTANCE_WORDS, MASK_WORDS
from maskwright.data.formats.pairing.pairs import divided, find_pairs
from maskwright.data.formats.pairing.stacks import image_pairs
from maskwright.data.formats.walk import folder_name
from maskwright.data.labels import read_label, read_objects
from maskwright.data.readers import DecodeError, image_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Record

_MOST_LOOKED_AT = 24


def maps_beside(root: Path, images: list[Path], options: ReadOptions, nothing: int | None) -> dict[str, MaskFile]:
    """Return the maps in folders such as instances/, or named like a_instances.png, by the id of their record.

    Args:
        root: the folder that the user gave.
        images: every image file below it.
        options: those for values of 0 or more concern the masks of classes only.
        nothing: class index of the background in the masks of classes.
    """
    if all(mask.place.word not in INSTANCE_WORDS for mask in divided(root, images).masks):
        return {}
    found = find_pairs(root, images, without=(None, *MASK_WORDS))
    pairs = image_pairs(root, found.pairs)[0] if found.instances else []
    values = {value: IGNORE for value in options.map if value < 0}
    ground = ground_of([pair.mask for pair in pairs], values)
    background = IGNORE if nothing is None else nothing
    values |= dict.fromkeys(() if ground is None else ground.background, background)
    return {pair.id: MaskFile(pair.mask, "instance", tuple(values.items())) for pair in pairs}


class _Seen(NamedTuple):
    """A map that was looked at: the error that makes it useless, or its objects without a class under them."""

    error: DecodeError | None
    bare: int = 0


def with_object_maps(dataset: Dataset, maps: Mapping[str, MaskFile]) -> Dataset:
    """Give the records their maps of objects, unless half or more of a sample of these cannot be used.

    Args:
        dataset: with masks of classes.
        maps: by the id of their record; not every record needs one.
    """
    mapped = [record for record in dataset.records if record.id in maps]
    if not mapped:
        return dataset
    folder = maps[mapped[0].id].path.parent
    sample = mapped[:: max(1, len(mapped) // _MOST_LOOKED_AT)]
    seen = [_look(dataset, record, maps[record.id]) for record in sample]
    errors = [entry.error for entry in seen if entry.error is not None]
    if 2 * len(errors) >= len(seen):
        where = folder_name(dataset.root, folder)
        message = f"the maps of objects in {where} are not used: {errors[0].image.name} {errors[0].message}"
        return _with_faults(dataset, Fault("unused-maps", "warning", folder, message, errors[0].cure))
    faults = [*_bare(folder, [entry.bare for entry in seen]), *_lacking(dataset, maps)]
    ignored = {value for value, _ in maps[mapped[0].id].values or ()}
    if undivided([maps[record.id].file for record in sample], ignored):
        maps = {name: replace(entry, kind="regions") for name, entry in maps.items()}
        faults.append(undivided_fault(folder))
    records = tuple(replace(record, objects=maps.get(record.id)) for record in dataset.records)
    layout = f"{dataset.layout}; object ids in {folder_name(dataset.root, folder)}"
    return _with_faults(replace(dataset, records=records, layout=layout), *faults)


def _with_faults(dataset: Dataset, *faults: Fault) -> Dataset:
    return replace(dataset, faults=(*dataset.faults, *faults))


def _look(dataset: Dataset, record: Record, ids: MaskFile) -> _Seen:
    """Compare a map with the mask of classes."""
    try:
        size = image_size(record.image)
        labels = read_label(dataset, record, size)
    except DecodeError:  # reported when the pixels are asked for
        return _Seen(None)
    try:
        objects = list(read_objects(dataset, replace(record, annotation=ids), size))
    except DecodeError as error:
        return _Seen(error)
    nothing = dataset.classes.background
    under = (labels[entry.rows, entry.columns][entry.mask] for entry in objects if not entry.crowd)
    return _Seen(None, sum(bool(np.all(shown == nothing)) for shown in under))


def _bare(folder: Path, counts: list[int]) -> Iterator[Fault]:
    if any(counts):
        objects, images = sum(counts), sum(count > 0 for count in counts)
        what = f"{plural(objects, 'object')} in {images} of {plural(len(counts), 'map')} looked at"
        where = f"{agree(objects, 'lies', 'lie')} where the masks of classes show background"
        message = f"{what} {where}, and {agree(objects, 'is', 'are')} left out"
        yield Fault("object-map", "warning", folder, message, "correct the masks of classes, or erase the objects")


def _lacking(dataset: Dataset, maps: Mapping[str, MaskFile]) -> Iterator[Fault]:
    lacking = [record for record in dataset.records if record.id not in maps]
    if lacking:
        have = agree(len(lacking), "has", "have")
        message = (
            f"{plural(len(lacking), 'image')}, such as {lacking[0].image.name}, {have} a mask of classes but no map of "
            "objects: classes can be learnt from it, but no objects"
        )
        yield Fault("object-map", "warning", lacking[0].image.path, message, "add the map, or remove the image")
