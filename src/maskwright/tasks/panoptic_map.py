"""The result of the task `panoptic`: the class of every pixel, and the objects of the classes that have objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instance, Instances
from maskwright.ops.images import count_labels
from maskwright.ops.instance_maps import cropped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes


@dataclass(frozen=True, eq=False)
class PanopticMap:
    """Things and stuff of one image.

    Attributes:
        labels: uint8 (H, W), class indices; `IGNORE` where a pixel belongs to nothing. The classes of things are only
            where `objects` are.
        objects: things. They do not overlap.
    """

    labels: NDArray[np.uint8]
    objects: Instances


def composed(labels: NDArray[np.uint8], objects: Instances, classes: Classes, least: float) -> PanopticMap:
    """Put objects on a label map, and drop what belongs to nothing.

    Args:
        labels: (H, W), changed in place. Pixels of things that no object holds become `IGNORE`.
        objects: that do not overlap.
        classes: which of them are things.
        least: stuff with fewer pixels in the whole image becomes `IGNORE`.
    """
    gone = np.zeros(IGNORE + 1, bool)
    gone[list(classes.objects)] = True
    labels[gone[labels]] = IGNORE
    for entry in objects.objects:
        labels[entry.rows, entry.columns][entry.mask] = entry.index
    pixels = count_labels(labels)
    for index in classes.stuff:
        if 0 < pixels[index] < least:
            labels[labels == index] = IGNORE
    return PanopticMap(labels, objects)


def segments_of(result: PanopticMap, classes: Classes, crowds: tuple[Instance, ...] = ()) -> Instances:
    """Return things, crowds, and one segment of each class of stuff; the background is none."""
    return Instances(result.objects.size, (*result.objects.objects, *crowds, *_stuff(result.labels, classes)))


def _stuff(labels: NDArray[np.uint8], classes: Classes) -> Iterator[Instance]:
    present = count_labels(labels)
    for index in classes.stuff:
        found = cropped(labels == index) if present[index] else None
        if found is not None:
            yield Instance(index, *found)
