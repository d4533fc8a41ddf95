"""The result of the task `panoptic`: the class of every pixel, and the objects of the classes that have objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instance, Instances
from maskwright.ops.images import count_labels
from maskwright.ops.instance_maps import cropped, from_map, to_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes

VISIBLE = 0.5
"""Least share of a found object that others leave of it (`from_segments`)."""


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


def from_segments(segments: Instances, classes: Classes, least: float = 0) -> PanopticMap:
    """Make a map of segments that overlap, as networks that emit objects find them.

    The highest score takes a pixel. Segments of one class of stuff become one, and so does the background; an object of
    which less than `VISIBLE` is left is dropped, and what lies below it is lost.

    Args:
        segments: from the highest score to the lowest, of any class.
        classes: which of them are things.
        least: see `composed`.
    """
    ids = to_map(segments)
    order = np.array([IGNORE, *(entry.index for entry in segments.objects)], np.uint8)
    shown = np.bincount(ids.ravel(), minlength=len(order))[1:]
    for number, entry in enumerate(segments.objects, start=1):
        if entry.index in classes.objects and shown[number - 1] < VISIBLE * entry.area:
            order[number] = IGNORE
    things = np.isin(order, classes.objects)
    scores = [entry.score for entry in segments.objects]
    objects = from_map(np.where(things[ids], ids, 0), order[1:].tolist(), scores)
    return composed(order[ids], objects, classes, least)


def segments_of(result: PanopticMap, classes: Classes, crowds: tuple[Instance, ...] = ()) -> Instances:
    """Return things, crowds, and one segment of each class of stuff; the background is none."""
    return Instances(result.objects.size, (*result.objects.objects, *crowds, *_stuff(result.labels, classes)))


def _stuff(labels: NDArray[np.uint8], classes: Classes) -> Iterator[Instance]:
    present = count_labels(labels)
    for index in classes.stuff:
        found = cropped(labels == index) if present[index] else None
        if found is not None:
            yield Instance(index, *found)
