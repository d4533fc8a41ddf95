"""Two sets of objects compared: which of them overlap, and by how many pixels. Keeps numbers, and no mask.

All scores of objects follow from a `Comparison`, so an image's masks can go as soon as it is compared.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.object_boundary import boundary_ious
from maskwright.ops.boxes import overlapping
from maskwright.ops.instance_maps import common_pixels
from maskwright.ops.instance_parts import part_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.instances import Instances

MOSTLY = 0.5
"""Share of its pixels above which an object lies in what is ignored (Kirillov et al. 2019, section 4.2)."""
CLOSE = 0.5
"""IoU above which the outlines of two objects are compared: above it, no object has two partners."""


@dataclass(frozen=True, eq=False)
class Objects:
    """Numbers of n objects, of one image or of several.

    Attributes:
        image: int32 (n,), number of the image.
        index: int32 (n,), class index.
        area: int64 (n,), pixels; of a predicted object, without the ignored ones.
        box: int32 (n, 4), top, left, bottom, right.
        score: float64 (n,).
        exempt: bool (n,), an annotated crowd, or a predicted object of which more than half lies in ignored pixels: it
            counts neither way unless it is matched.
    """

    image: NDArray[np.int32]
    index: NDArray[np.int32]
    area: NDArray[np.int64]
    box: NDArray[np.int32]
    score: NDArray[np.float64]
    exempt: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Annotated and predicted objects, and the pairs of one class whose boxes overlap.

    Attributes:
        truth, found: the objects.
        pairs: int32 (p, 2), place in `truth`, place in `found`.
        shared: int64 (p,), pixels that both masks hold.
        boundary: float64 (p,), boundary IoU of the pairs with an IoU above 1/2; 0 for the others.
        excused: bool (m,), predicted objects of which more than half lies in ignored pixels or in a crowd of their
            class. Without a match they are no false positives, except to COCO, which has its own rule for crowds.
    """

    truth: Objects
    found: Objects
    pairs: NDArray[np.int32]
    shared: NDArray[np.int64]
    boundary: NDArray[np.float64]
    excused: NDArray[np.bool_]

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union (p,) of the masks."""
        true, predicted = self.pairs.T
        return self.shared / (self.truth.area[true] + self.found.area[predicted] - self.shared)

    def above(self, least: float) -> Comparison:
        """Return the same without the predicted objects of a score below `least`."""
        kept = self.found.score >= least
        places = np.cumsum(kept, dtype=np.int32) - 1
        paired = kept[self.pairs[:, 1]]
        pairs = np.stack([self.pairs[paired, 0], places[self.pairs[paired, 1]]], axis=1)
        found = Objects(*(getattr(self.found, field.name)[kept] for field in fields(Objects)))
        return Comparison(self.truth, found, pairs, self.shared[paired], self.boundary[paired], self.excused[kept])


def compare(
    truth: Instances,
    found: Instances,
    ignored: NDArray[np.bool_] | None = None,
    *,
    by_class: bool = True,
    outlines: bool = False,
) -> Comparison:
    """Compare the objects of one image.

    Args:
        truth: annotated objects.
        found: predicted objects.
        ignored: bool (H, W), pixels that no score sees. Those of annotated objects are seen in any case.
        by_class: only objects of one class make a pair; if not, the classes do not matter.
        outlines: compute the boundary IoU, which takes longer than all the rest.
    """
    true, predicted = (_numbers(objects, by_class) for objects in (truth, found))
    near = overlapping(true.box, predicted.box)
    pairs = near[true.index[near[:, 0]] == predicted.index[near[:, 1]]]
    shared = np.array([common_pixels(truth.objects[i], found.objects[j]) for i, j in pairs.tolist()], np.int64)
    outside = _outside(truth, ignored)
    unseen = _unseen(found, outside)
    crowded = _crowded(truth, found, pairs[true.exempt[pairs[:, 0]]])
    half = MOSTLY * predicted.area
    seen = replace(predicted, area=predicted.area - unseen, exempt=unseen > half)
    boundary = np.zeros(len(pairs))
    compared = Comparison(true, seen, pairs, shared, boundary, excused=unseen + crowded > half)
    if outlines:
        close = compared.iou > CLOSE
        boundary[close] = boundary_ious(truth, found, pairs[close], outside)
    return compared


def joined(parts: Sequence[Comparison]) -> Comparison:
    """Join the comparisons of single images, which are numbered from 0."""
    starts = np.cumsum([(0, 0), *((len(part.truth), len(part.found)) for part in parts)], axis=0, dtype=np.int32)
    return Comparison(
        _joined([part.truth for part in parts]),
        _joined([part.found for part in parts]),
        np.concatenate([part.pairs + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.shared for part in parts]),
        np.concatenate([part.boundary for part in parts]),
        np.concatenate([part.excused for part in parts]),
    )


def _joined(parts: Sequence[Objects]) -> Objects:
    image = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    rest = ("index", "area", "box", "score", "exempt")
    return Objects(image, *(np.concatenate([getattr(part, name) for part in parts]) for name in rest))


def _numbers(objects: Instances, by_class: bool) -> Objects:
    """Measure objects of one image; crowds are exempt."""
    rows = [
        (entry.top, entry.left, *entry.mask.shape, entry.index, np.count_nonzero(entry.mask), entry.crowd)
        for entry in objects.objects
    ]
    numbers = np.array(rows, np.int64).reshape(-1, 7)  # one array, because small ones take longer to make than to fill
    numbers[:, 2:4] += numbers[:, :2]
    image = np.zeros(len(rows), np.int32)
    return Objects(
        image=image,
        index=numbers[:, 4].astype(np.int32) if by_class else image,
        area=numbers[:, 5].copy(),
        box=numbers[:, :4].astype(np.int32),
        score=np.array([entry.score for entry in objects.objects], np.float64),
        exempt=numbers[:, 6] != 0,
    )


def _outside(truth: Instances, ignored: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Return the ignored pixels (H, W) that no annotated object holds; None where there is nothing ignored."""
    if ignored is None:
        return None
    outside = ignored.copy()
    for entry in truth.objects:
        outside[entry.rows, entry.columns][entry.mask] = False
    return outside


def _unseen(found: Instances, outside: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Count the ignored pixels of each predicted object (m,)."""
    if outside is None:
        return np.zeros(len(found), np.int64)
    cut = (outside[entry.rows, entry.columns] & entry.mask for entry in found.objects)
    return np.array([np.count_nonzero(part) for part in cut], np.int64)


def _crowded(truth: Instances, found: Instances, pairs: NDArray[np.int32]) -> NDArray[np.int64]:
    """Count the pixels of each predicted object (m,) in the crowds of its pairs (p, 2), which may overlap."""
    inside: dict[int, NDArray[np.bool_]] = {}
    for crowd, number in pairs.tolist():
        entry = found.objects[number]
        part = part_in(entry, truth.objects[crowd]) & entry.mask
        inside[number] = inside[number] | part if number in inside else part
    counts = np.zeros(len(found), np.int64)
    for number, part in inside.items():
        counts[number] = np.count_nonzero(part)
    return counts
