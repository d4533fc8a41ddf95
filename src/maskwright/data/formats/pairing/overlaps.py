"""What the mask files of one image show together: pixels of several classes, inverted classes, repeated objects.

Knows no layout.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.records import Fault, MaskLayers
from maskwright.core.text import percent, plural, such_as
from maskwright.data.labels import layer_reader
from maskwright.data.layers import by_class, layer_objects
from maskwright.data.readers import DecodeError, image_size
from maskwright.ops.instance_parts import part_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from maskwright.core.instances import Instance
    from maskwright.core.records import Dataset, Record

_MOST_LOOKED_AT = 24
_MOST = 0.5
_NEARLY_ALL = 0.9


@dataclass
class _Seen:
    """What was found in a sample of the images.

    Attributes:
        images: number of images looked at.
        overlapping: number of those in which classes overlap.
        twice: pixels that several classes claim.
        claimed: pixels that any class claims.
        beside: class index -> images that show it and another class.
        around: class index -> those of them in which it fills most of the image and of its rim, and covers the others.
    """

    images: int = 0
    overlapping: int = 0
    twice: int = 0
    claimed: int = 0
    beside: Counter[int] = field(default_factory=Counter)
    around: Counter[int] = field(default_factory=Counter)

    def add(self, shown: Mapping[int, NDArray[np.bool_]]) -> None:
        """Count the pixels (H, W) of the classes of one image."""
        classes = {index: mask for index, mask in shown.items() if index != IGNORE and mask.any()}
        claims = sum((mask.astype(np.uint16) for mask in classes.values()), start=np.uint16(0))
        both = int(np.count_nonzero(claims > 1))
        self.images, self.overlapping = self.images + 1, self.overlapping + (both > 0)
        self.twice, self.claimed = self.twice + both, self.claimed + int(np.count_nonzero(claims))
        if len(classes) > 1:
            self.beside.update(classes.keys())
            self.around.update(index for index, mask in classes.items() if _lies_around(mask, claims > mask))


def with_overlaps(dataset: Dataset) -> Dataset:
    """Look at a sample of the images with several mask files, and tell of classes that overlap or are inverted."""
    layered = [record for record in dataset.records if isinstance(record.annotation, MaskLayers)]
    places = np.unique(np.linspace(0, len(layered) - 1, min(len(layered), _MOST_LOOKED_AT)).round().astype(int))
    seen, repeating = _Seen(), []
    for record in (layered[place] for place in places):
        assert isinstance(record.annotation, MaskLayers)
        read = layer_reader(dataset, record, image_size(record.image))
        try:
            if not record.annotation.objects:
                seen.add(by_class(record.annotation, read))
            elif _repeat(list(layer_objects(record.annotation, read))):
                repeating.append(record)
        except DecodeError:  # reported when the pixels are asked for
            continue
    if repeating:
        return replace(dataset, faults=(*dataset.faults, _repeated_fault(dataset, repeating, len(places))))
    if not seen.twice:
        return dataset
    return replace(dataset, faults=(*dataset.faults, _overlap_fault(dataset, seen), *_inverted_faults(dataset, seen)))


def _repeat(objects: Sequence[Instance]) -> bool:
    """Tell whether an object is one of the others again, or all those inside it together."""
    boxes = np.array([(one.top, one.left, one.rows.stop, one.columns.stop) for one in objects]).reshape(-1, 4)
    for place, one in enumerate(objects):
        near = (boxes[:, :2] < boxes[place, 2:]).all(axis=1) & (boxes[:, 2:] > boxes[place, :2]).all(axis=1)
        inside = np.zeros(one.mask.shape, np.bool_)
        for other in (objects[number] for number in np.flatnonzero(near).tolist() if number != place):
            part = part_in(one, other) & one.mask
            if np.count_nonzero(part) >= _NEARLY_ALL * other.area:
                inside |= part
        if np.count_nonzero(inside) >= _NEARLY_ALL * one.area:
            return True
    return False


def _repeated_fault(dataset: Dataset, repeating: Sequence[Record], images: int) -> Fault:
    where = such_as(len(repeating), repeating[0].image.name)
    message = (
        f"in {len(repeating)} of {plural(images, 'image')} looked at, {where}, a file shows what others show as well: "
        "the same object again, or all of them together; each file counts as one object"
    )
    cure = "remove the files that repeat others"
    return Fault("overlap", "warning", dataset.root, message, cure)


def _lies_around(mask: NDArray[np.bool_], others: NDArray[np.bool_]) -> bool:
    """Tell whether a class fills most of its image (H, W), of the rim, and of what other classes claim as well."""
    rim = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    shares = (mask.mean(), rim.mean(), mask[others].mean() if others.any() else 0)
    return min(shares) > _MOST


def _overlap_fault(dataset: Dataset, seen: _Seen) -> Fault:
    share = seen.twice / seen.claimed
    message = (
        f"classes overlap in {seen.overlapping} of {plural(seen.images, 'image')} looked at, in {percent(share)} of "
        "the pixels of any class; there, the class with fewer pixels in the image wins"
    )
    cure = "if another class should win, remove these pixels from the mask of the smaller one"
    if share > _MOST:
        cure = "if the folders hold several annotations of the same objects, and not classes, keep one of them"
    return Fault("overlap", "warning", dataset.root, message, cure)


def _inverted_faults(dataset: Dataset, seen: _Seen) -> list[Fault]:
    """Warn of classes that lie around all others in most images, as the background does."""
    faults = []
    for index, images in seen.around.items():
        if images > 1 and 2 * images > seen.beside[index]:
            name = dataset.classes.names[index]
            message = (
                f"in {images} of {plural(seen.beside[index], 'image')} looked at, {name!r} fills most of the image "
                "and of its rim, and lies over most of the other classes, so its masks may be inverted"
            )
            cure = f"if they are, save 255 where {name} is, and 0 elsewhere; if it does enclose the others, all is well"
            faults.append(Fault("inverted-masks", "warning", dataset.root, message, cure))
    return faults
