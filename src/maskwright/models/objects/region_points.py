"""RoIAlign over a pyramid: points of each box, read from the level that suits its size. Knows no head and no truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align
from torchvision.ops.poolers import LevelMapper

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = 2
"""Samples along each side of a point, which is their mean."""


class RegionPoints(nn.Module):
    """RoIAlign (He et al. 2017, section 3) of the level that equation 1 of Lin et al. 2017 gives for each box.

    torchvision's `MultiScaleRoIAlign` knows only its own convention, that of `aligned` false.

    Args:
        strides: of the levels, finest first.
        count: of the points along each side of a box.
        aligned: see `maskrcnn.build`.
    """

    def __init__(self, strides: Sequence[int], count: int, *, aligned: bool) -> None:
        super().__init__()
        self.strides, self.count, self.aligned = tuple(strides), count, aligned
        self._place = LevelMapper(int(math.log2(strides[0])), int(math.log2(strides[-1])))

    def forward(self, levels: list[Tensor], regions: Tensor) -> Tensor:
        """Return the points (R, channels, count, count) of regions (R, 5), see `numbered`."""
        places = self._place([regions[:, 1:]])
        points = levels[0].new_zeros(regions.shape[0], levels[0].shape[1], self.count, self.count)
        for place, stride in enumerate(self.strides):
            chosen = (places == place).nonzero()[:, 0]
            found = roi_align(levels[place], regions[chosen], self.count, 1 / stride, SAMPLES, aligned=self.aligned)
            points[chosen] = found.to(points.dtype)
        return points


def numbered(boxes: Sequence[Tensor]) -> Tensor:
    """Return the boxes (n, 4) of all images in order, with the number of the image in front: (R, 5)."""
    return torch.cat([torch.cat([box.new_full((len(box), 1), image), box], 1) for image, box in enumerate(boxes)])
