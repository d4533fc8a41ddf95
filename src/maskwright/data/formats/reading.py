"""How the images of a data set are read: the value for no data, and whether EXIF orientations are applied.

Annotation tools differ: most show a photograph upright, and some draw on the pixels as they are stored. The sizes of
the annotations tell, where a photograph lies on its side. All images of a data set are read alike. Decodes no pixel.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.records import Fault, MaskEdges, Reading, Shapes
from maskwright.core.resources import cores
from maskwright.core.text import agree, plural, such_as
from maskwright.data.readers import DecodeError, image_orientation, image_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset, Record

_STORED = Reading(upright=False)
_AT_ONCE = 128  # headers that a thread reads at once: to hand over each takes longer than to read it
_UNTAG = "remove the EXIF orientation from the images (exiftool -Orientation= FILES)"


class _Turned(NamedTuple):
    """A turned image with an annotation, and which of the two ways of reading it fits the annotation's size."""

    record: Record
    fits_stored: bool
    fits_upright: bool


def with_reading(dataset: Dataset, options: ReadOptions) -> Dataset:
    """Tell every image how it is read, and add what should be known about that to the faults."""
    turned = _turned([record for record in dataset.records if record.annotation is not None])
    as_stored = sum(entry.fits_stored and not entry.fits_upright for entry in turned)
    as_upright = sum(entry.fits_upright and not entry.fits_stored for entry in turned)
    upright = as_upright > 0 or as_stored == 0
    nodata = options.nodata if options.nodata is not None and math.isfinite(options.nodata) else None
    reading = Reading(nodata, upright)
    faults = []
    if not upright:
        faults = [_stored_note(dataset, len(turned), as_stored)]
    elif not as_upright and (silent := [entry for entry in turned if not _upright_by_tool(entry.record)]):
        faults = [_unclear(silent)]
    records = dataset.records
    if reading != Reading():
        records = tuple(replace(record, image=replace(record.image, reading=reading)) for record in records)
    return replace(dataset, records=records, faults=(*dataset.faults, *faults))


def _upright_by_tool(record: Record) -> bool:
    """Tell whether an annotation has the size that a tool saw; tools show photographs upright."""
    return isinstance(record.annotation, Shapes) and record.annotation.size is not None


def _turned(records: Sequence[Record]) -> list[_Turned]:
    files = {record.image.path: record for record in reversed(records)}  # of a stack, its first page
    firsts = list(reversed(files.values()))
    parts = [firsts[start : start + _AT_ONCE] for start in range(0, len(firsts), _AT_ONCE)]
    with ThreadPoolExecutor(cores()) as pool:
        return [entry for part in pool.map(_turned_of, parts) for entry in part]


def _turned_of(records: Sequence[Record]) -> list[_Turned]:
    return [entry for entry in map(_compared, records) if entry is not None]


def _compared(record: Record) -> _Turned | None:
    """Compare the sizes of a turned image and its annotation; None for one that is stored upright, or unreadable."""
    annotation = record.annotation
    assert annotation is not None
    assert not isinstance(annotation, MaskEdges)  # masks become edges later
    try:
        if image_orientation(record.image) == 1:
            return None
        wanted = annotation.size if isinstance(annotation, Shapes) else image_size(annotation.file)
        stored = image_size(replace(record.image, reading=_STORED))
        return _Turned(record, stored == wanted, image_size(record.image) == wanted)
    except DecodeError:  # reported when the pixels are asked for
        return None


def _stored_note(dataset: Dataset, turned: int, telling: int) -> Fault:
    return Fault(
        "read-as-stored",
        "note",
        dataset.root,
        f"{plural(turned, 'image')} would be turned by the EXIF orientation, but the annotations fit the pixels as "
        f"stored (judging by the sizes of {telling}): all images are read as stored, here and by the model",
        "nothing needs to be done if they were drawn that way; the masks that the model predicts fit the stored pixels "
        "too",
    )


def _unclear(turned: Sequence[_Turned]) -> Fault:
    first = turned[0].record.image
    are = f"{plural(len(turned), 'image')} {agree(len(turned), 'is', 'are')}"
    return Fault(
        "unclear-orientation",
        "warning",
        first.path.parent,
        f"{are} turned by the EXIF orientation ({such_as(len(turned), first.name)}), and the sizes do not show "
        "whether the annotations were drawn on the upright image or on the pixels as stored: upright is assumed",
        f"compare one of them with its annotation; if that was drawn on the pixels as stored, {_UNTAG}",
    )
