"""Attention of every point of a pyramid to a few points of each level, and the position codes that it needs.

Zhu, Su, Lu, Li, Wang, Dai 2021, "Deformable DETR", section 4.1 and equation 3: a query looks at `POINTS` points of each
level and head, at offsets from its own place that it predicts itself, and weighs what it finds there. The cost grows
with the number of points and not with their square, as it does for other attention.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

POINTS = 4
"""Points of each level that a query looks at, in each head."""
TEMPERATURE = 10000.0
"""Ratio of the longest wave of a position code to the shortest one."""


class DeformableAttention(nn.Module):
    """Deformable attention of all points of a pyramid to all of its levels.

    Args:
        width: channels of a point.
        heads: that divide the channels.
        levels: of the pyramid.
    """

    def __init__(self, width: int, heads: int, levels: int) -> None:
        super().__init__()
        self.heads, self.levels = heads, levels
        self.offsets = nn.Linear(width, heads * levels * POINTS * 2)
        self.weights = nn.Linear(width, heads * levels * POINTS)
        self.values = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self._initialise()

    def forward(self, x: Tensor, codes: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Return what each point finds, (N, T, width).

        Args:
            x: (N, T, width), the points of all levels in turn, row by row.
            codes: (T, width), of their positions.
            sizes: (height, width) of each level.
        """
        batch, count, width = x.shape
        asking = x + codes
        shape = (batch, count, self.heads, self.levels, POINTS)
        extent = torch.tensor([size[::-1] for size in sizes], dtype=torch.float32, device=x.device)
        offsets = self.offsets(asking).float().view(*shape, 2) / extent[:, None]
        places = centres(sizes, x.device)[:, None, None, None] + offsets
        weights = self.weights(asking).float().view(*shape[:3], -1).softmax(dim=-1).view(shape)
        values = self.values(x).float().view(batch, count, self.heads, -1).permute(0, 2, 3, 1).flatten(0, 1)
        found = torch.zeros((), device=x.device)
        for level, part in enumerate(values.split([height * width for height, width in sizes], dim=2)):
            grid = 2 * places[:, :, :, level].transpose(1, 2).flatten(0, 1) - 1
            seen = F.grid_sample(part.unflatten(2, sizes[level]), grid, align_corners=False)
            own = weights[:, :, :, level].transpose(1, 2).flatten(0, 1)[:, None]
            found = found + (seen * own).sum(dim=-1)
        return cast("Tensor", self.output(found.view(batch, width, count).transpose(1, 2)))

    def _initialise(self) -> None:
        """Look into another direction with each head, one unit further with each point, at first at equal weights."""
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=1)
        directions = directions / directions.abs().amax(dim=1, keepdim=True)
        steps = torch.arange(1, POINTS + 1)[None, None, :, None] * directions[:, None, None]
        with torch.no_grad():
            self.offsets.bias.copy_(steps.expand(-1, self.levels, -1, -1).flatten())
        for layer in (self.values, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def centres(sizes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """Return the centres (T, 2) of the points of all levels, x and y as shares of width and height."""
    found = []
    for height, width in sizes:
        down = (torch.arange(height, device=device) + 0.5) / height
        across = (torch.arange(width, device=device) + 0.5) / width
        found.append(torch.stack([across.expand(height, width), down[:, None].expand(height, width)], -1).flatten(0, 1))
    return torch.cat(found)


def position_codes(size: tuple[int, int], width: int, device: torch.device) -> Tensor:
    """Return codes (height * width, width) of the points of a map of `size`, row by row.

    Half of the channels code the row, half the column, each as sines and cosines of growing wavelength (Vaswani et al.
    2017, section 3.5); positions are shares of the height and the width, times a full turn.

    Args:
        size: (height, width) of the map.
        width: channels, a multiple of 4.
        device: of the result.
    """
    half = width // 2
    waves = TEMPERATURE ** (2 * torch.arange(half // 2, dtype=torch.float32, device=device) / half)
    codes = []
    for length in size:
        turns = torch.arange(1, length + 1, dtype=torch.float32, device=device) / (length + 1e-6) * (2 * math.pi)
        angles = turns[:, None] / waves
        codes.append(torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1))
    down, across = codes
    whole = torch.cat([down[:, None].expand(-1, size[1], -1), across[None].expand(size[0], -1, -1)], dim=2)
    return whole.flatten(0, 1)
