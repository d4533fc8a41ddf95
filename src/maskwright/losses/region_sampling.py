"""Which boxes a network that finds objects is trained on, and what is wanted of each. Knows no network and no loss.

Ren, He, Girshick, Sun 2015, "Faster R-CNN", section 3.1.2, and He et al. 2017, "Mask R-CNN", section 3.1: a box is
matched to the object that it overlaps most, and a part of all boxes is drawn, so that the many without an object do not
drown the others. Where we differ: boxes mostly on pixels of which the annotation says nothing are never drawn as
background; and fewer proposals are drawn, as crops show fewer objects than whole photographs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

ANCHORS, BOXES = 256, 128
"""Anchors and proposals drawn of each image."""
ANCHORS_MATCHED, BOXES_MATCHED = 0.5, 0.25
"""Largest share of those that hold an object."""
NEAR, FAR, SAME = 0.7, 0.3, 0.5
"""An anchor holds an object from the IoU `NEAR` on and none below `FAR`; a proposal holds one from `SAME` on."""
SHIFT, CORRECTION = (1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)
"""Factors on (x, y, width, height) of the shift of an anchor, and of the correction of a proposal."""
NOTHING, UNSURE = -1, -2
MASK = 28


class Truth(NamedTuple):
    """The objects of one image.

    Attributes:
        boxes: (n, 4) float32, left, top, right, bottom; an object of one pixel is 1 wide.
        rows: (n,) rows of their classes, 1 or more.
        numbers: (n,) their ids.
        ids: (H, W) int64, 0 for none.
        unknown: (H, W) bool, pixels of which the annotation says nothing.
    """

    boxes: Tensor
    rows: Tensor
    numbers: Tensor
    ids: Tensor
    unknown: Tensor


def truth_of(ids: Tensor, rows: Tensor, unknown: Tensor) -> Truth:
    """Find the objects of a crop.

    Args:
        ids: (H, W) int64, 0 for none.
        rows: (H, W) int64, row of the class of each pixel, the same in all pixels of an object.
        unknown: (H, W) bool.
    """
    down, across = (ids > 0).nonzero(as_tuple=True)
    numbers, place = ids[down, across].unique(return_inverse=True)

    def most(values: Tensor) -> Tensor:
        empty = values.new_zeros(len(numbers))
        return empty.scatter_reduce(0, place, values, "amax", include_self=False)

    ends = [-most(-across), -most(-down), most(across) + 1, most(down) + 1]
    classes = most(rows[down, across])
    kept = classes > 0
    return Truth(torch.stack(ends, 1).float()[kept], classes[kept], numbers[kept], ids, unknown)


def matches(objects: Tensor, boxes: Tensor, near: float, far: float, *, best: bool) -> Tensor:
    """Return the object (m,) of each box: its number, `NOTHING` below `far`, `UNSURE` between `far` and `near`.

    Args:
        objects: (n, 4).
        boxes: (m, 4).
        near: least IoU of a match.
        far: IoU below which a box has no object.
        best: the boxes that overlap an object most have one too, however little that is.
    """
    from torchvision.ops import box_iou  # here, because it takes seconds, and every task imports this module

    if not len(objects):
        return torch.full((len(boxes),), NOTHING, device=boxes.device)
    shares = box_iou(objects, boxes)
    values, found = shares.max(dim=0)
    result = found.masked_fill(values < near, UNSURE).masked_fill(values < far, NOTHING)
    if best:
        highest = shares.max(dim=1, keepdim=True).values
        kept = ((shares == highest) & (highest > 0)).any(dim=0)
        result = torch.where(kept, found, result)
    return result


def drawn(found: Tensor, count: int, share: float, order: Tensor) -> tuple[Tensor, Tensor]:
    """Draw up to `count` boxes: places of those with an object, at most `share` of them, and of those without.

    Args:
        found: (m,), what `matches` returns.
        count: most boxes.
        share: see above.
        order: (m,), a permutation; the first boxes are taken.
    """
    matched = order[found[order] >= 0][: int(count * share)]
    return matched, order[found[order] == NOTHING][: count - len(matched)]


def shuffled(boxes: Tensor, size: tuple[int, int], seed: int) -> Tensor:
    """Return a random order (m,) of boxes (m, 4) in an image of `size` (height, width), by their places in it.

    Proposals differ in the last bits between one process and several. If their number or their order decided, one that
    is dropped or changes places with another would change the whole draw. Each edge, in whole pixels, has a random
    number; the fraction of the sum of four is as random, and so it is for any two boxes together.
    """
    numbers = torch.rand((4, max(size) + 1), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    edges = boxes.round().long().cpu()
    return numbers[torch.arange(4), edges].sum(dim=1).frac().argsort(stable=True).to(boxes.device)


def encoded(objects: Tensor, boxes: Tensor, factors: Sequence[float]) -> Tensor:
    """Return what leads from boxes (n, 4) to their objects (n, 4): shifts in widths, logarithms of ratios."""
    sizes, wanted = boxes[:, 2:] - boxes[:, :2], objects[:, 2:] - objects[:, :2]
    shift = (objects[:, :2] + 0.5 * wanted - boxes[:, :2] - 0.5 * sizes) / sizes
    return torch.cat([shift, (wanted / sizes).log()], dim=1) * boxes.new_tensor(factors)


def unlabelled(found: Tensor, boxes: Tensor, unknown: Tensor) -> Tensor:
    """Make boxes (m, 4) without an object `UNSURE` if more than half of their pixels are `unknown` (H, W)."""
    if not unknown.any():
        return found
    height, width = unknown.shape
    sums = torch.zeros((height + 1, width + 1), dtype=torch.float64, device=unknown.device)
    sums[1:, 1:] = unknown.double().cumsum(0).cumsum(1)
    left, top, right, bottom = boxes.round().long().unbind(1)
    left, right = left.clamp(0, width), right.clamp(0, width)
    top, bottom = top.clamp(0, height), bottom.clamp(0, height)
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    area = (bottom - top) * (right - left)
    return found.masked_fill((found == NOTHING) & (2 * inside > area), UNSURE)


def masks_in(truth: Truth, found: Tensor, boxes: Tensor, *, aligned: bool) -> Tensor:
    """Return what boxes (p, 4) show of their objects `found` (p,): (p, MASK, MASK), 0..1, by RoIAlign.

    `aligned` says how masks lie in boxes, see `models.objects.base.Found`. The objects are read one after another, each
    in its own bounding box: a stack of whole masks would fill the memory.
    """
    from torchvision.ops import roi_align

    masks = boxes.new_zeros((len(boxes), MASK, MASK))
    for number in found.unique().tolist():
        left, top, right, bottom = truth.boxes[number].long().tolist()
        left, top = max(left - 1, 0), max(top - 1, 0)
        part = truth.ids[top : bottom + 1, left : right + 1] == truth.numbers[number]
        places = (found == number).nonzero()[:, 0]
        moved = boxes[places] - boxes.new_tensor([left, top, left, top])
        masks[places] = roi_align(part[None, None].to(boxes.dtype), [moved], (MASK, MASK), aligned=aligned)[:, 0]
    return masks


@dataclass
class Sampling:
    """Draws boxes for a batch, and keeps what is wanted of them.

    Attributes:
        truths: of each image.
        seed: of this step.
        anchors: for each image: places of anchors with an object, of those without, and the wanted shifts (p, 4).
        rows: for each image: wanted rows (r,) of the boxes, those with an object first.
        corrections: for each image: wanted corrections (p, 4) of those with an object.
        inner: for each image: their objects (p,), and the boxes (p, 4) themselves.
    """

    truths: list[Truth]
    seed: int
    anchors: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)
    corrections: list[Tensor] = field(default_factory=list)
    inner: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @torch.no_grad()
    def choose(self, anchors: Tensor, proposals: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Draw anchors and proposals.

        Args:
            anchors: (A, 4), the same in every image.
            proposals: (n, 4) of each image.

        Returns:
            the boxes to classify of each image, those with an object first, and those to draw masks in.
        """
        boxes, inner = [], []
        for truth, proposed in zip(self.truths, proposals, strict=True):
            self._draw_anchors(truth, anchors)
            chosen, count = self._draw_boxes(truth, torch.cat([proposed, truth.boxes]))
            boxes.append(chosen)
            inner.append(chosen[:count])
        return boxes, inner

    def masks(self, *, aligned: bool) -> Tensor:
        """Return the wanted masks (P, MASK, MASK) of the boxes of all images that hold an object; see `masks_in`."""
        pairs = zip(self.truths, self.inner, strict=True)
        return torch.cat([masks_in(truth, *inner, aligned=aligned) for truth, inner in pairs])

    def _draw_anchors(self, truth: Truth, anchors: Tensor) -> None:
        found = unlabelled(matches(truth.boxes, anchors, NEAR, FAR, best=True), anchors, truth.unknown)
        order = torch.randperm(len(anchors), generator=torch.Generator().manual_seed(self.seed))
        holding, empty = drawn(found, ANCHORS, ANCHORS_MATCHED, order.to(anchors.device))
        self.anchors.append((holding, empty, encoded(truth.boxes[found[holding]], anchors[holding], SHIFT)))

    def _draw_boxes(self, truth: Truth, boxes: Tensor) -> tuple[Tensor, int]:
        found = unlabelled(matches(truth.boxes, boxes, SAME, SAME, best=False), boxes, truth.unknown)
        height, width = truth.ids.shape
        holding, empty = drawn(found, BOXES, BOXES_MATCHED, shuffled(boxes, (height, width), self.seed))
        inner, objects = boxes[holding], found[holding]
        self.rows.append(torch.cat([truth.rows[objects], torch.zeros_like(empty)]))
        self.corrections.append(encoded(truth.boxes[objects], inner, CORRECTION))
        self.inner.append((objects, inner))
        return torch.cat([inner, boxes[empty]]), len(holding)
