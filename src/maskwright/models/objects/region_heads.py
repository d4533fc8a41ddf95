"""What Mask R-CNN puts on its pyramid: a network that proposes boxes, and heads that classify boxes and draw masks.

He, Gkioxari, Dollar, Girshick 2017, "Mask R-CNN", section 3. The layers are torchvision's. Knows no truth.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference
from torchvision.models.detection.rpn import RegionProposalNetwork, concat_box_prediction_layers

from maskwright.models.heads.pixel import Head
from maskwright.models.layers.blocks import height_width
from maskwright.models.objects.base import Found
from maskwright.models.objects.region_points import RegionPoints, numbered


class Heads(Head):
    """Everything behind the pyramid.

    Args:
        rpn: proposes boxes.
        regions: classifies boxes and draws masks.
    """

    def __init__(self, rpn: RegionProposalNetwork, regions: RoIHeads) -> None:
        super().__init__()
        self.rpn = rpn
        self.regions = regions

    @property
    def bias(self) -> Tensor:
        """The bias (K,) of the classes of boxes."""
        return cast("Tensor", self.regions.box_predictor.cls_score.bias)

    @property
    def aligned(self) -> bool:
        """How masks lie in boxes, see `Found`: as the points lie from which they are drawn."""
        return cast("RegionPoints", self.regions.mask_roi_pool).aligned

    def anchors(self, levels: list[Tensor], padded: tuple[int, int]) -> Tensor:
        """Return the anchors (A, 4) of all levels of an image of the size `padded`."""
        generator, device = self.rpn.anchor_generator, levels[0].device
        generator.set_cell_anchors(torch.float32, device)
        grids = [list(height_width(level)) for level in levels]
        strides = [[side // points for side, points in zip(padded, grid, strict=True)] for grid in grids]
        return torch.cat(generator.grid_anchors(grids, strides))

    def scored(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, list[int]]:
        """Return objectness (N, A) and shifts (N, A, 4) of all anchors, and the number of anchors by level."""
        objectness, shifts = self.rpn.head(levels)
        counts = [level[0].numel() for level in objectness]
        flat = concat_box_prediction_layers([x.float() for x in objectness], [x.float() for x in shifts])
        images = levels[0].shape[0]  # a symbol, where a graph is made
        return flat[0].view(images, -1), flat[1].view(images, -1, 4), counts

    def proposals(
        self, anchors: Tensor, objectness: Tensor, shifts: Tensor, counts: list[int], size: tuple[int, int]
    ) -> list[Tensor]:
        """Return the best boxes (n, 4) of each image of `size`; gradients end here."""
        images = len(objectness)
        boxes = self.rpn.box_coder.decode(shifts.detach().reshape(-1, 4), [anchors] * images).view(images, -1, 4)
        return cast("list[Tensor]", self.rpn.filter_proposals(boxes, objectness, [size] * images, counts)[0])

    def classified(self, levels: list[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (R, K) of regions (R, 5), see `numbered`, and their corrections (R, 4 K)."""
        points = self.regions.box_roi_pool(levels, regions)
        logits, corrections = self.regions.box_predictor(self.regions.box_head(points))
        return logits.float(), corrections.float()

    def drawn(self, levels: list[Tensor], regions: Tensor) -> Tensor:
        """Return the logits (P, K, M, M) of the masks in regions (P, 5)."""
        points = self.regions.mask_roi_pool(levels, regions)
        return cast("Tensor", self.regions.mask_predictor(self.regions.mask_head(points))).float()

    def found(self, levels: list[Tensor], proposals: list[Tensor], size: tuple[int, int]) -> list[Found]:
        """Return the objects of each image of `size`."""
        logits, corrections = self.classified(levels, numbered(proposals))
        kept = self.regions.postprocess_detections(logits, corrections, proposals, [size] * len(proposals))
        masks = maskrcnn_inference(self.drawn(levels, numbered(kept[0])), kept[2])
        rows = zip(*kept, masks, strict=True)
        return [Found(boxes, classes, scores, mask[:, 0], self.aligned) for boxes, scores, classes, mask in rows]
