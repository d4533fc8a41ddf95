"""Layers that change the size of a map by a whole factor, by rows; see `layers`. Knows no network and no image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.nn import functional as F

from maskwright.inference.streaming.layers import Window

if TYPE_CHECKING:
    from torch import Tensor

    from maskwright.inference.streaming.layers import Span


@dataclass(frozen=True)
class Subsample(Window):
    """Every row and column at the distance of a stride, from the first one on.

    Attributes:
        columns: kernel, which is 1, and stride along them.
    """

    columns: tuple[int, int] = (1, 1)

    def run(self, inputs: list[Tensor], _span: Span) -> Tensor:
        """Take them."""
        return inputs[0][:, :, :: self.stride, :: self.columns[1]]


@dataclass(frozen=True)
class Upsample:
    """Upsampling by a whole factor, bilinear or by the nearest neighbour.

    Attributes:
        factors: of rows and columns.
        mode: see `F.interpolate`.
    """

    factors: tuple[int, int]
    mode: str

    def height(self, rows: int) -> int:
        """Return the height of the result."""
        return rows * self.factors[0]

    def first(self, row: int) -> int:
        """Return the row above the place of this one."""
        return self._above(row)

    def stop(self, row: int) -> int:
        """Return the end of the two rows around the place of the row above."""
        return self._above(row - 1) + 2

    def _above(self, row: int) -> int:
        factor = self.factors[0]
        return (2 * row + 1 - factor) // (2 * factor)

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Enlarge the rows that are there: at an edge of the map, `F.interpolate` handles the edges itself."""
        x = F.interpolate(inputs[0], scale_factor=self.factors, mode=self.mode)
        top = span.first * self.factors[0]
        return x[:, :, span.start - top : span.stop - top]
