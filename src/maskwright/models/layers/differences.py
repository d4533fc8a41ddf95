"""Convolutions of differences between pixels, which see edges in spite of shading. Know no network.

Su et al. 2021, "Pixel Difference Networks for Efficient Edge Detection", section 3.1: a weight multiplies not a pixel,
but the difference of two. As that is linear, it is a plain convolution, whose kernel has each weight at one pixel and
its negative at the other. We always convolve with this kernel, in training too, so nothing is left to fold for the
prediction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from maskwright.models.layers.depthwise import depthwise

if TYPE_CHECKING:
    from collections.abc import Sequence

    Pixel = tuple[int, int]

Kind = Literal["central", "angular", "radial", "plain"]

_RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""The neighbours (down, right) of a pixel, clockwise."""
_PAIRS: dict[Kind, Sequence[tuple[Pixel, Pixel | None]]] = {
    "central": [(pixel, (0, 0)) for pixel in _RING],
    "angular": list(zip(_RING, _RING[1:] + _RING[:1], strict=True)),
    "radial": [((2 * down, 2 * right), (down, right)) for down, right in _RING],
    "plain": [((0, 0), None), *((pixel, None) for pixel in _RING)],
}
"""A pixel, and the one subtracted from it: a neighbour and the centre; a neighbour and the next one; the pixel twice as
far away, in a window of 5x5, and the neighbour; a pixel and nothing, for a plain convolution."""


class DifferenceConv(nn.Module):
    """A convolution of differences, without bias; padding keeps the size.

    Args:
        inputs, outputs: channels.
        kind: of the differences.
        each: one filter a channel; then `inputs` and `outputs` are equal.
    """

    def __init__(self, inputs: int, outputs: int, kind: Kind, *, each: bool = False) -> None:
        super().__init__()
        self.groups = inputs if each else 1
        self.padding = 2 if kind == "radial" else 1
        pairs = _PAIRS[kind]
        self.weight = nn.Parameter(torch.empty(outputs, inputs // self.groups, len(pairs)))
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")
        side = 2 * self.padding + 1
        patterns = torch.zeros(len(pairs), side, side)
        for pattern, (added, subtracted) in zip(patterns, pairs, strict=True):
            pattern[added[0] + self.padding, added[1] + self.padding] = 1
            if subtracted is not None:
                pattern[subtracted[0] + self.padding, subtracted[1] + self.padding] = -1
        self.register_buffer("patterns", patterns, persistent=False)

    def kernel(self) -> Tensor:
        """Return the kernel (outputs, inputs or 1, side, side) of the plain convolution that this is."""
        return torch.einsum("oip,pyx->oiyx", self.weight, cast("Tensor", self.patterns))

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (N, outputs, H, W) of `x` (N, inputs, H, W)."""
        if self.groups > 1:
            return depthwise(x, self.kernel(), (1, 1), (self.padding, self.padding))
        return nn.functional.conv2d(x, self.kernel(), padding=self.padding)
