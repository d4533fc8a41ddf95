"""Objects to instance maps and back. An instance map holds 0 for background and one id for each object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.instances import Instance, Instances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


def to_map(objects: Instances, dtype: type[np.integer[Any]] = np.int32) -> NDArray[Any]:
    """Paint objects into an instance map (H, W): object i gets the id i + 1.

    A pixel of several objects goes to the first of them: the one with the highest score in a prediction.
    """
    ids = np.zeros(objects.size, dtype)
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
    from scipy import ndimage  # takes longer to import than looking at a small data set

    for number, box in enumerate(ndimage.find_objects(ids), start=1):
        if box is not None:
            yield number, box[0].start, box[1].start, ids[box] == number


def cropped(mask: NDArray[np.bool_]) -> tuple[int, int, NDArray[np.bool_]] | None:
    """Cut a mask (H, W) to the bounding box of its pixels: (top, left, mask (h, w)), or None without a pixel.

    What is returned is a copy: a view would keep the whole mask in memory for as long as the object lives.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return top, left, mask[top : rows[-1] + 1, left : columns[-1] + 1].copy()


def resized(objects: Instances, size: tuple[int, int]) -> Instances:
    """Bring objects to an image of another `size` (height, width): every pixel takes its nearest one.

    An object that no pixel takes is gone.
    """
    if objects.size == size:
        return objects
    sources = [_nearest(old, new) for old, new in zip(objects.size, size, strict=True)]
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


def above(objects: Instances, rows: int) -> Instances:
    """Return the parts of objects in the first rows of the image."""
    return Instances(
        (rows, objects.size[1]), tuple(_kept_parts(objects, lambda entry: entry.mask[: max(rows - entry.top, 0)]))
    )


def outside(objects: Instances, gone: NDArray[np.bool_]) -> Instances:
    """Return the parts of objects outside the pixels `gone` (H, W)."""
    return kept(objects, lambda entry: entry.mask & ~gone[entry.rows, entry.columns])


def kept(objects: Instances, part: Callable[[Instance], NDArray[np.bool_]]) -> Instances:
    """Return the part of each object that a function chooses of its mask; an object without any is gone."""
    return Instances(objects.size, tuple(_kept_parts(objects, part)))


def _kept_parts(objects: Instances, part: Callable[[Instance], NDArray[np.bool_]]) -> Iterator[Instance]:
    """Yield each object with a part of its mask, cut to its pixels; an object without any is gone."""
    for entry in objects.objects:
        found = cropped(part(entry))
        if found is not None:
            yield replace(entry, top=entry.top + found[0], left=entry.left + found[1], mask=found[2])


def _nearest(old: int, new: int) -> NDArray[np.int64]:
    """Return the place that each of `new` pixels takes of `old` ones, as OpenCV rounds it for label maps."""
    places = np.arange(old, dtype=np.float32)[:, None]
    return cv2.resize(places, (1, new), interpolation=cv2.INTER_NEAREST_EXACT).ravel().astype(np.int64)


def common_pixels(ours: Instance, theirs: Instance) -> int:
    """Count the pixels that two objects have in common, whose boxes overlap."""
    top, left = max(ours.top, theirs.top), max(ours.left, theirs.left)
    height = min(ours.top + ours.mask.shape[0], theirs.top + theirs.mask.shape[0]) - top
    width = min(ours.left + ours.mask.shape[1], theirs.left + theirs.mask.shape[1]) - left
    down, across = top - ours.top, left - ours.left
    first = ours.mask[down : down + height, across : across + width]
    down, across = top - theirs.top, left - theirs.left
    return int(np.count_nonzero(first & theirs.mask[down : down + height, across : across + width]))
