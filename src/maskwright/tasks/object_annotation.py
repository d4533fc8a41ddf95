"""What an image's annotation says of its objects and of the rest, as maps. Knows no network and no result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instances
from maskwright.data.labels import read_label, read_objects
from maskwright.ops.instance_maps import to_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import Dataset, Record


@dataclass(frozen=True, eq=False)
class Annotation:
    """The annotation of one image.

    Attributes:
        objects: of the classes that have objects, crowds among them.
        labels: uint8 (H, W), the class of each pixel: that of its object, or what the masks say.
        ids: int32 (H, W), 0 where no object is. Where objects overlap, the smaller one counts: it may lie within the
            larger one.
        indices: class indices of the ids 1, 2, ...
    """

    objects: Instances
    labels: NDArray[np.uint8]
    ids: NDArray[np.int32]
    indices: list[int]

    @cached_property
    def crowds(self) -> Instances:
        """The crowds alone."""
        return Instances(self.objects.size, tuple(entry for entry in self.objects.objects if entry.crowd))

    @cached_property
    def unknown(self) -> NDArray[np.bool_]:
        """Pixels (H, W) whose object nobody knows: those without a label, and those of crowds, outside of objects."""
        return ((self.labels == IGNORE) | (to_map(self.crowds) > 0)) & (self.ids == 0)


def read_annotation(dataset: Dataset, record: Record, size: tuple[int, int]) -> Annotation:
    """Read the annotation of a record whose image has `size` (height, width).

    Raises:
        MaskwrightError: it cannot be read.
    """
    things = dataset.classes.objects
    found = tuple(entry for entry in read_objects(dataset, record, size) if entry.index in things)
    learnt = sorted((entry for entry in found if not entry.crowd), key=lambda entry: entry.area)
    ids, indices = to_map(Instances(size, tuple(learnt))), [entry.index for entry in learnt]
    labels = np.where(ids > 0, np.array([IGNORE, *indices], np.uint8)[ids], read_label(dataset, record, size))
    return Annotation(Instances(size, found), labels, ids, indices)
