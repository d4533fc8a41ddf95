"""Context by pooling over grids: PSPNet's pyramid pooling and SwiftNet's lighter variant. Knows no backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.models.layers.blocks import ConvNormAct, height_width, resize
from maskwright.models.layers.windows import Averaging, moving_average

if TYPE_CHECKING:
    from collections.abc import Sequence


class PyramidPooling(Averaging):
    """Average over grids of several sizes, reduce, upsample, concatenate with the input (Zhao et al. 2017, figure 3c).

    Args:
        inputs: channels of the input.
        each: channels of each grid's branch.
        grids: cells along the shorter side of the map.
        follow_shape: give the longer side more cells, in proportion (as in the code of Orsic et al. 2019); otherwise
            the grids are square, as in PSPNet.
        align_corners: see `resize`.

    With a `window` each pixel has grids of its own, over the window around it: the average over the cell in the middle.

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
            pooled = self._pooled(x, grid, size)
            parts.append(resize(cast("Tensor", branch(pooled)), size, align_corners=self.align_corners))
        return torch.cat(parts, dim=1)

    def _pooled(self, x: Tensor, grid: int, size: tuple[int, int]) -> Tensor:
        if self.window is None:
            return average_cells(x, self._cells(grid, size))
        height, width = self.window
        return moving_average(x, (height / grid, width / grid))

    def _cells(self, grid: int, size: tuple[int, int]) -> tuple[int, int]:
        """Return the number of cells along height and width; with `follow_shape` at most one per pixel."""
        if not self.follow_shape:
            return grid, grid
        short = torch.sym_min(*size)  # of sizes that may be symbols, in an export
        height, width = (torch.sym_min((2 * grid * side + short) // (2 * short), side) for side in size)  # rounded
        return cast("tuple[int, int]", (height, width))


def average_cells(x: Tensor, cells: tuple[int, int]) -> Tensor:
    """Average `x` (N, C, H, W) over a grid of cells, as `adaptive_avg_pool2d`: (N, C, *cells).

    A cell begins at the pixel where its share of the side begins and ends with the pixel where it ends, so cells may
    overlap by a pixel. In an export this is a matrix product along each axis, since ONNX has no pooling whose cells
    depend on the size of the map.
    """
    if not torch.compiler.is_compiling():
        return F.adaptive_avg_pool2d(x, cells)
    rows, columns = (_cell_weights(side, count, x) for side, count in zip(height_width(x), cells, strict=True))
    return rows @ x @ columns.transpose(0, 1)


def _cell_weights(side: int, count: int, like: Tensor) -> Tensor:
    """Return the weight (count, side) of each pixel in the average of each cell."""
    cell, pixel = torch.arange(count, device=like.device)[:, None], torch.arange(side, device=like.device)[None]
    total, cells = torch.full((), side, device=like.device), torch.full((), count, device=like.device)
    inside = (pixel * cells < (cell + 1) * total) & ((pixel + 1) * cells > cell * total)
    weights = inside.to(like.dtype)
    return weights / weights.sum(dim=1, keepdim=True)
