"""Several mask files of one image to one label map, or to objects. Opens no file itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instance
from maskwright.ops.images import count_labels
from maskwright.ops.instance_maps import cropped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from maskwright.core.records import MaskFile, MaskLayers

    Read = Callable[[MaskFile], NDArray[np.uint8]]


def paint_layers(annotation: MaskLayers, read: Read) -> NDArray[np.uint8]:
    """Make the label map (H, W): a class with fewer pixels covers one with more, and any class covers `IGNORE`.

    Args:
        annotation: the files, and which class each shows.
        read: a mask file to its label map, before the class of the file is known.
    """
    shown = by_class(annotation, read)
    order = sorted(shown, key=lambda index: (index != IGNORE, -np.count_nonzero(shown[index]), index))
    labels = np.zeros(next(iter(shown.values())).shape, np.uint8)
    for index in order:
        labels[shown[index]] = index
    return labels


def layer_objects(annotation: MaskLayers, read: Read) -> Iterator[Instance]:
    """Yield the object of each file that shows one."""
    for layer in annotation.layers:
        labels = read(layer.mask)
        found = cropped((labels != 0) & (labels != IGNORE))
        index = 1 if layer.index is None else layer.index
        if found is not None and index != IGNORE:
            yield Instance(index, *found)


def by_class(annotation: MaskLayers, read: Read) -> dict[int, NDArray[np.bool_]]:
    """Join the pixels (H, W) of each class, or of `IGNORE`, over the files; background is what none of them shows.

    Args:
        annotation: the files, and which class each shows.
        read: a mask file to its label map, before the class of the file is known.
    """
    shown: dict[int, NDArray[np.bool_]] = {}
    for layer in annotation.layers:
        labels = read(layer.mask)
        shown.setdefault(IGNORE, np.zeros(labels.shape, np.bool_))
        for value in np.flatnonzero(count_labels(labels)).tolist():
            index = value if layer.index is None or value == IGNORE else layer.index
            if value != 0:
                shown[index] = shown[index] | (labels == value) if index in shown else labels == value
    return shown
