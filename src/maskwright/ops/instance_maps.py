"""Objects to instance maps and back. An instance map holds 0 for background and one id for each object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from maskwright.core.instances import Instance, Instances

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


def to_map(objects: Instances) -> NDArray[np.int32]:
    """Paint objects into an instance map int32 (H, W): object i gets the id i + 1.

    A pixel of several objects goes to the first of them: the one with the highest score in a prediction.
    """
    ids = np.zeros(objects.size, np.int32)
    for number in range(len(objects), 0, -1):
        entry = objects.objects[number - 1]
        ids[entry.rows, entry.columns][entry.mask] = number
    return ids


def from_map(ids: NDArray[Any], indices: Sequence[int], scores: Sequence[float] | None = None) -> Instances:
    """Cut the objects out of an instance map.

    Args:
        ids: integers (H, W), 0 for background; an id without a pixel gives no object.
        indices: class index of the ids 1, 2, ...
        scores: of the same objects; None for 1.
    """
    found = []
    for number, top, left, mask in pieces(ids):
        score = 1.0 if scores is None else float(scores[number - 1])
        found.append(Instance(int(indices[number - 1]), top, left, mask, score))
    return Instances((ids.shape[0], ids.shape[1]), tuple(found))


def pieces(ids: NDArray[Any]) -> Iterator[tuple[int, int, int, NDArray[np.bool_]]]:
    """Yield (id, top, left, mask (h, w)) of every id above 0 in an instance map (H, W), in the order of the ids."""
    for number, box in enumerate(ndimage.find_objects(ids), start=1):
        if box is not None:
            yield number, box[0].start, box[1].start, ids[box] == number


def cropped(mask: NDArray[np.bool_]) -> tuple[int, int, NDArray[np.bool_]] | None:
    """Cut a mask (H, W) to the bounding box of its pixels: (top, left, mask (h, w)), or None without a pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return top, left, mask[top : rows[-1] + 1, left : columns[-1] + 1]


def resized(objects: Instances, size: tuple[int, int]) -> Instances:
    """Bring objects to an image of another `size` (height, width): every pixel takes its nearest one.

    An object that no pixel takes is gone.
    """
    if objects.size == size:
        return objects
    sources = [((np.arange(new) + 0.5) * (old / new)).astype(int) for new, old in zip(size, objects.size, strict=True)]
    found = []
    for entry in objects.objects:
        taken = [
            np.flatnonzero((source >= start) & (source < start + length))
            for source, start, length in zip(sources, (entry.top, entry.left), entry.mask.shape, strict=True)
        ]
        rows, columns = taken
        part = cropped(entry.mask[np.ix_(sources[0][rows] - entry.top, sources[1][columns] - entry.left)])
        if part is not None:
            top, left, mask = part
            found.append(replace(entry, top=int(rows[0]) + top, left=int(columns[0]) + left, mask=mask))
    return Instances(size, tuple(found))


def without(objects: Instances, gone: NDArray[np.bool_]) -> Instances:
    """Cut pixels (H, W) out of all objects; an object that loses all of its own is gone."""
    found = []
    for entry in objects.objects:
        part = cropped(entry.mask & ~gone[entry.rows, entry.columns])
        if part is not None:
            top, left, mask = part
            found.append(replace(entry, top=entry.top + top, left=entry.left + left, mask=mask))
    return Instances(objects.size, tuple(found))


def union(first: Instance, second: Instance) -> Instance:
    """Return `first` with the pixels of `second` too."""
    top, left = min(first.top, second.top), min(first.left, second.left)
    bottom, right = max(first.rows.stop, second.rows.stop), max(first.columns.stop, second.columns.stop)
    mask = np.zeros((bottom - top, right - left), bool)
    for entry in (first, second):
        height, width = entry.mask.shape
        mask[entry.top - top :, entry.left - left :][:height, :width] |= entry.mask
    return replace(first, top=top, left=left, mask=mask)


def overlap(first: Instance, second: Instance, rows: slice, columns: slice) -> float:
    """Return the IoU of two objects inside a window; 0 where neither has a pixel in it."""
    top, bottom = max(min(first.top, second.top), rows.start), min(max(first.rows.stop, second.rows.stop), rows.stop)
    left = max(min(first.left, second.left), columns.start)
    right = min(max(first.columns.stop, second.columns.stop), columns.stop)
    if top >= bottom or left >= right:
        return 0.0
    masks = np.zeros((2, bottom - top, right - left), bool)
    for place, entry in zip(masks, (first, second), strict=True):
        high, low = max(entry.top, top), min(entry.rows.stop, bottom)
        start, stop = max(entry.left, left), min(entry.columns.stop, right)
        if high < low and start < stop:
            part = entry.mask[high - entry.top : low - entry.top, start - entry.left : stop - entry.left]
            place[high - top : low - top, start - left : stop - left] = part
    either = int(masks.any(axis=0).sum())
    return int(masks.all(axis=0).sum()) / either if either else 0.0
