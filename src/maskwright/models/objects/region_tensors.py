"""What Mask R-CNN finds in a batch, as a few tensors: the steps of `region_heads.Heads` without a loop over images.

A graph that is written once for all sizes needs this: how many images, boxes and objects there are is known only when
it runs. Each step keeps the objects of all images in one list, with the image of each. Knows no runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from maskwright.models.objects.base import ObjectTensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.models.objects.region_heads import Heads

    Sizes = tuple[tuple[int, int], tuple[int, int]]
    Suppress = Callable[[Tensor, Tensor, Tensor, float], Tensor]
    """Non-maximum suppression in each group: boxes (P, 4), scores (P,), groups int64 (P,) and the overlap, to the
    indices of those that stay, in any order."""

LEAST_PROPOSAL, LEAST_OBJECT = 1e-3, 1e-2
"""Least side of a box in pixels, as in torchvision."""


def region_tensors(heads: Heads, levels: list[Tensor], sizes: Sizes, suppress: Suppress) -> ObjectTensors:
    """Return the objects of a batch.

    Args:
        heads: of the network.
        levels: of the pyramid.
        sizes: (height, width) that the levels stand for, and that of the images.
        suppress: drops boxes that overlap a better one of their group.
    """
    images, size = levels[0].shape[0], sizes[1]
    regions = _proposals(heads, levels, sizes, suppress)
    logits, corrections = heads.classified(levels, regions)
    boxes = heads.regions.box_coder.decode_single(corrections, regions[:, 1:]).unflatten(1, (-1, 4))
    boxes, scores = clip_boxes_to_image(boxes, size), logits.softmax(1)
    good = (scores > heads.regions.score_thresh) & _large(boxes, LEAST_OBJECT)
    region, classes = good[:, 1:].nonzero().unbind(1)
    classes = classes + 1
    owner, boxes, scores = regions[region, 0].long(), boxes[region, classes], scores[region, classes]
    groups = owner * logits.shape[1] + classes
    kept = suppress(boxes, scores, groups, heads.regions.nms_thresh)
    kept = kept[_best(scores[kept], owner[kept], images, heads.regions.detections_per_img)]
    owner, boxes, classes = owner[kept], boxes[kept], classes[kept]
    masks = heads.drawn(levels, _regions(owner, boxes)).sigmoid()
    masks = masks.gather(1, classes[:, None, None, None].expand(-1, -1, *masks.shape[2:]))[:, 0]
    return ObjectTensors(owner, boxes, classes, scores[kept], masks)


def _proposals(heads: Heads, levels: list[Tensor], sizes: Sizes, suppress: Suppress) -> Tensor:
    """Return the best boxes of all images: (R, 5), see `region_points.numbered`."""
    objectness, shifts, counts = heads.scored(levels)
    images, anchors = objectness.shape[0], heads.anchors(levels, sizes[0])
    best, level, before = [], [], 0
    for number, count in enumerate(counts):
        most = torch.sym_min(heads.rpn.pre_nms_top_n(), count)
        best.append(objectness[:, before : before + count].topk(most, dim=1).indices + before)
        level.append(torch.full_like(best[-1], number))
        before = before + count
    anchor = torch.cat(best, 1)
    owner = torch.arange(images, device=anchor.device)[:, None].expand_as(anchor).flatten()
    anchor, groups = anchor.flatten(), owner * len(counts) + torch.cat(level, 1).flatten()
    boxes = heads.rpn.box_coder.decode_single(shifts[owner, anchor], anchors[anchor])
    boxes, scores = clip_boxes_to_image(boxes, sizes[1]), objectness[owner, anchor]
    # Logits, and not probabilities: those of sure background are 0 in some runtimes, and their order is lost.
    good = _large(boxes, LEAST_PROPOSAL).nonzero()[:, 0]
    kept = good[suppress(boxes[good], scores[good], groups[good], heads.rpn.nms_thresh)]
    kept = kept[_best(scores[kept], owner[kept], images, heads.rpn.post_nms_top_n())]
    return _regions(owner[kept], boxes[kept])


def _best(scores: Tensor, owners: Tensor, images: int, most: int) -> Tensor:
    """Return the indices of the best scores (n,) of each image, by image and then from the highest to the lowest."""
    order = scores.argsort(descending=True)
    member = owners[order] == torch.arange(images, device=owners.device)[:, None]
    return order[(member & (member.long().cumsum(1) <= most)).nonzero()[:, 1]]


def _large(boxes: Tensor, least: float) -> Tensor:
    """Tell which boxes (..., 4) have sides of at least so many pixels."""
    return (boxes[..., 2:] - boxes[..., :2] >= least).all(-1)


def _regions(owner: Tensor, boxes: Tensor) -> Tensor:
    """Return the boxes (n, 4) with the image of each in front: (n, 5)."""
    return torch.cat([owner[:, None].to(boxes.dtype), boxes], 1)
