"""The result of the task `panoptic`: the class of every pixel, and the objects of the classes that have objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instance, Instances
from maskwright.ops.images import count_labels
from maskwright.ops.instance_maps import cropped, from_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes

KEPT = 0.8
"""A segment that keeps no more than this share of its mask is dropped."""


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


def shared_out(segments: Instances, classes: Classes, least: float) -> tuple[NDArray[np.uint8], Instances]:
    """Give each pixel to one of the segments that hold it: that with the highest score times the pixel's share.

    Cheng et al. 2022, "Masked-attention Mask Transformer", and Cheng, Schwing, Kirillov 2021, "Per-Pixel Classification
    is Not All You Need", section 3.4. All segments of a class of stuff are one.

    Args:
        segments: with shares, from the highest score to the lowest.
        classes: which of them are things.
        least: least score of a segment.

    Returns:
        Labels (H, W), `IGNORE` where nothing is, and the objects of things.
    """
    kept = [entry for entry in segments.objects if entry.score >= least and entry.index != classes.background]
    owners, best = np.zeros(segments.size, np.int32), np.zeros(segments.size, np.float32)
    for number, entry in enumerate(kept, start=1):
        assert entry.shares is not None
        weight, place = entry.score * entry.shares.astype(np.float32), (entry.rows, entry.columns)
        won = entry.mask & (weight > best[place])
        best[place][won], owners[place][won] = weight[won], number
    first: dict[int, int] = {}
    whole = np.zeros(len(kept) + 1, np.int32)
    for number, entry in enumerate(kept, start=1):
        whole[number] = number if entry.index in classes.objects else first.setdefault(entry.index, number)
    same = whole[owners]
    for number, entry in enumerate(kept, start=1):
        place = entry.rows, entry.columns
        if (entry.mask & (same[place] == whole[number])).sum() <= KEPT * entry.area:
            owners[place][owners[place] == number] = 0
    labels = np.array([IGNORE, *(entry.index for entry in kept)], np.uint8)[owners]
    ids = np.where(np.isin(labels, classes.objects), owners, 0)
    return labels, from_map(ids, [entry.index for entry in kept], [entry.score for entry in kept])


def segments_of(result: PanopticMap, classes: Classes, crowds: tuple[Instance, ...] = ()) -> Instances:
    """Return things, crowds, and one segment of each class of stuff; the background is none."""
    return Instances(result.objects.size, (*result.objects.objects, *crowds, *_stuff(result.labels, classes)))


def _stuff(labels: NDArray[np.uint8], classes: Classes) -> Iterator[Instance]:
    present = count_labels(labels)
    for index in classes.stuff:
        found = cropped(labels == index) if present[index] else None
        if found is not None:
            yield Instance(index, *found)
