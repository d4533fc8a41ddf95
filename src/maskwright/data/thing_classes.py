"""Which classes have objects, and how many, where the survey has searched only some of the images."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE
from maskwright.core.records import Shapes
from maskwright.data.labels import read_objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maskwright.core.records import Dataset, Record
    from maskwright.data.survey import Survey

ENOUGH = 5
"""A class of which so many images show no object has none."""


def listed(dataset: Dataset, records: Iterable[Record]) -> Counter[int] | None:
    """Count the objects by class that annotations list, crowds apart; None where an image must be decoded for that."""
    counts: Counter[int] = Counter()
    for record in records:
        if not isinstance(record.annotation, Shapes) or record.objects is not None:
            return None
        counts.update(_classes(dataset, record.annotation))
    return counts


def classes_with_objects(dataset: Dataset, seen: Survey) -> frozenset[int]:
    """Return the classes that have objects, crowds included.

    A class without one in the images that the survey searched is looked for in others that show it.

    Raises:
        DecodeError: as `read_objects`.
    """
    found = set(seen.instances.classes)
    for record in dataset.records:
        if isinstance(record.annotation, Shapes):
            found |= {*_classes(dataset, record.annotation), *_classes(dataset, record.annotation, crowds=True)}
    for index in sorted(set(dataset.classes.objects) - found):
        showing = [record for record in dataset.records if seen.shown(record.id)[index]]
        others = [record for record in showing if not seen.summaries[record.id].objects_share]
        for record in others[: max(ENOUGH - (len(showing) - len(others)), 0)]:
            if index in found:
                break
            size = seen.summaries[record.id].height, seen.summaries[record.id].width
            found |= {entry.index for entry in read_objects(dataset, record, size)}
    return frozenset(found)


def _classes(dataset: Dataset, annotation: Shapes, *, crowds: bool = False) -> Iterator[int]:
    """Yield the class of each object that an annotation lists, or of each crowd."""
    for shape in annotation.shapes:
        index = shape.crowd if crowds else shape.index
        if index is None or index == IGNORE:
            continue
        index = index if dataset.merged is None else dataset.merged[index]
        if index != dataset.classes.background:
            yield index
