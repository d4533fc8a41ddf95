"""The additive attention gate: a coarse map weights the pixels of a fine one. Knows no architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from maskwright.models.layers.blocks import height_width, resize

if TYPE_CHECKING:
    from collections.abc import Sequence


class AttentionGate(nn.Module):
    """Additive attention over a grid (Oktay et al. 2018, "Attention U-Net", figure 2).

        q = psi^T ReLU(W_x x + W_g g + b_g) + b_psi        (equation 1)
        a = sigmoid(q)                                      (equation 2)
        result = a x, a resized bilinearly to the grid of x

    The gate is computed on the grid of the gating signal g: W_x has a stride of the ratio of the two.

    Args:
        inputs: channels of the fine map x.
        gating: channels of the coarse map g.
        factor: stride of g divided by that of x.
    """

    def __init__(self, inputs: int, gating: int, factor: int) -> None:
        super().__init__()
        inner = max(inputs // 2, 1)
        self.of_input = nn.Conv2d(inputs, inner, factor, stride=factor, bias=False)
        self.of_gating = nn.Conv2d(gating, inner, 1)
        self.psi = nn.Conv2d(inner, 1, 1)

    def forward(self, x: Tensor, gating: Tensor) -> Tensor:
        """Return `x` (N, inputs, H, W) times the gate computed from `gating` (N, gating, H / factor, W / factor)."""
        seen = torch.relu(self.of_input(x) + self.of_gating(gating))
        return x * resize(torch.sigmoid(self.psi(seen)), height_width(x))


def gates(inputs: Sequence[int | None], gating: Sequence[int], factors: Sequence[int]) -> nn.ModuleList:
    """Build a gate for each skip of a U-Net decoder, coarsest first, except the finest.

    The finest skip has no gate, since its features are too simple to select from.

    Args:
        inputs: channels of each skip, None if there is none.
        gating: channels of the coarser map of each.
        factors: ratio of their strides.
    """
    present = [index for index, width in enumerate(inputs) if width is not None]
    built: list[nn.Module] = [nn.Identity() for _ in inputs]
    for index in present[:-1]:
        width = inputs[index]
        assert width is not None
        built[index] = AttentionGate(width, gating[index], factors[index])
    return nn.ModuleList(built)
