"""Targets follow their image: read with it, to the working resolution, into a training crop. Knows no task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.targets import Target
from maskwright.data.geometry import warp_labels, warp_values
from maskwright.data.readers import read_image
from maskwright.ops import edge_truth
from maskwright.ops.images import resize_labels, shrink_labels
from maskwright.ops.instance_maps import outside, resized
from maskwright.ops.no_data import no_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from maskwright.core.records import Dataset, Record
    from maskwright.data.geometry import CropView

    ReadTarget = Callable[[Dataset, Record, tuple[int, int]], Target]
    """What reads the annotation of a record whose image has a size (height, width): `Task.target` or `Task.lesson`."""


def shrunk(target: Target, size: tuple[int, int]) -> Target:
    """Bring a target to `size` (height, width).

    Labels alone keep thin structures (`shrink_labels`), and so do edges. With values or objects, every pixel takes its
    nearest one, so that all of them still agree, and objects that nearly touch stay apart.
    """
    if target.size == size:
        return target
    values, vectors, objects = target.values, target.vectors, target.instances
    edges = None if target.edges is None else edge_truth.resized(target.edges, size)
    if values is None and objects is None:
        return Target(shrink_labels(target.labels, size), edges=edges)
    factors = np.array([new / old for new, old in zip(size[::-1], target.size[::-1], strict=True)], np.float32)
    return Target(
        resize_labels(target.labels, size),
        None if values is None else _resized(values, size),
        None if objects is None else resized(objects, size),
        None if vectors is None else _resized(vectors, size) * factors[:, None, None],
        edges,
    )


def _resized(planes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    found = [cv2.resize(plane, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT) for plane in planes]
    return np.stack(found).astype(np.float32)


def without(target: Target, gone: NDArray[np.bool_] | None) -> Target:
    """Leave out what is known of pixels (H, W) that have no data in the image; None for none."""
    if gone is None:
        return target
    labels = np.where(gone, np.uint8(IGNORE), target.labels)
    values, vectors = (
        None if planes is None else np.where(gone, np.float32(np.nan), planes)
        for planes in (target.values, target.vectors)
    )
    objects = None if target.instances is None else outside(target.instances, gone)
    edges = None if target.edges is None else edge_truth.outside(target.edges, gone)
    return Target(labels, values, objects, vectors, edges)


def read_sample(dataset: Dataset, record: Record, read: ReadTarget) -> tuple[NDArray[Any], Target]:
    """Decode the image (H, W, C) and the target of one record; where the image has no data, nothing is known.

    Raises:
        MaskwrightError: either cannot be read, or they do not fit together.
    """
    image = read_image(record.image)
    target = read(dataset, record, (image.shape[0], image.shape[1]))
    return image, without(target, no_data(image))


def warped(target: Target, view: CropView) -> Target:
    """Cut the view of a crop out of a target: nearest pixel, and nothing known beyond the edge."""
    values, vectors = (
        None if planes is None else np.stack([warp_values(plane, view) for plane in planes])
        for planes in (target.values, target.vectors)
    )
    if vectors is not None:
        vectors = np.tensordot(np.linalg.inv(view.linear).astype(np.float32), vectors, 1)
    return Target(warp_labels(target.labels, view), values, vectors=vectors)


def unknown(like: Target, size: tuple[int, int]) -> Target:
    """Return a target of `size` (height, width) in which nothing is known, with the arrays that `like` has."""
    values, vectors = (
        None if planes is None else np.full((len(planes), *size), np.nan, np.float32)
        for planes in (like.values, like.vectors)
    )
    return Target(np.full(size, IGNORE, np.uint8), values, vectors=vectors)


def frozen(target: Target) -> Target:
    """Make all arrays read-only, and return the target."""
    for array in (target.labels, target.values, target.vectors):
        if array is not None:
            array.flags.writeable = False
    return target
