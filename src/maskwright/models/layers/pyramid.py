"""Context by pooling over grids: PSPNet's pyramid pooling and SwiftNet's lighter variant. Knows no backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.models.layers.blocks import ConvNormAct, height_width, resize

if TYPE_CHECKING:
    from collections.abc import Sequence


class PyramidPooling(nn.Module):
    """Average over grids of several sizes, reduce, upsample, concatenate with the input (Zhao et al. 2017, figure 3c).

    Args:
        inputs: channels of the input.
        each: channels of each grid's branch.
        grids: cells along the shorter side of the map.
        follow_shape: give the longer side more cells, in proportion (as in the code of Orsic et al. 2019); otherwise
            the grids are square, as in PSPNet.
        align_corners: see `resize`.

    Attributes:
        channels: of the output, `inputs + each * len(grids)`.
    """

    def __init__(
        self,
        inputs: int,
        each: int,
        grids: Sequence[int],
        *,
        follow_shape: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.grids = tuple(grids)
        self.follow_shape = follow_shape
        self.branches = nn.ModuleList(ConvNormAct(inputs, each, 1) for _ in self.grids)
        self.channels = inputs + each * len(self.grids)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W) for `x` (N, inputs, H, W)."""
        size = height_width(x)
        parts = [x]
        for grid, branch in zip(self.grids, self.branches, strict=True):
            pooled = F.adaptive_avg_pool2d(x, self._cells(grid, size))
            parts.append(resize(cast("Tensor", branch(pooled)), size, align_corners=self.align_corners))
        return torch.cat(parts, dim=1)

    def _cells(self, grid: int, size: tuple[int, int]) -> tuple[int, int]:
        """Return the number of cells along height and width; with `follow_shape` at most one per pixel."""
        if not self.follow_shape:
            return grid, grid
        short = min(size)
        height, width = (min((2 * grid * side + short) // (2 * short), side) for side in size)  # rounded
        return height, width
