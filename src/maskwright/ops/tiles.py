"""Tiles that cover an area of any size, and the weights that blend them without seams. Knows no pixels.

The grid is a product of two axes, so the weight of a pixel is the product of a weight of its row and one of its column.
Both sum to one over the tiles that cover a pixel, hence so does their product, and no final division is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIGN = 32  # the coarsest stride of the usual backbones: aligned tiles have the same sampling grid as the whole image
SLACK = 1.25  # up to 1.25 tiles are processed in one pass, which takes less time than two overlapping tiles


class Cuts(NamedTuple):
    """Sides of a part of an image beyond which the image goes on; none by default."""

    top: bool = False
    bottom: bool = False
    left: bool = False
    right: bool = False

    @classmethod
    def of(cls, rows: slice, columns: slice, size: tuple[int, int]) -> Self:
        """Return those of some rows and columns of an image of `size` (height, width)."""
        return cls(rows.start > 0, rows.stop < size[0], columns.start > 0, columns.stop < size[1])


UNCUT = Cuts()


@dataclass(frozen=True)
class TileAxis:
    """The tiles along one axis.

    Attributes:
        size: length covered, in pixels.
        tile: length of every tile, at most `size`.
        starts: first pixel of each tile, strictly increasing; the first tile starts at 0, the last one ends at `size`.
    """

    size: int
    tile: int
    starts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.starts)

    def finished(self, index: int) -> int:
        """Return how many pixels from the start are complete after tile `index`: no later tile covers them."""
        return self.starts[index + 1] if index + 1 < len(self.starts) else self.size

    def weights(self) -> NDArray[np.float32]:
        """Return the blending weights (tiles, tile): they are positive and sum to one at every pixel."""
        window = np.sin(np.pi * (np.arange(self.tile) + 0.5) / self.tile) ** 2
        total = np.zeros(self.size)
        for start in self.starts:
            total[start : start + self.tile] += window
        return np.stack([window / total[start : start + self.tile] for start in self.starts]).astype(np.float32)


def cover(size: int, tile: int, overlap: float) -> TileAxis:
    """Place tiles evenly along one axis.

    Args:
        size: length to cover, in pixels, 1 or more.
        tile: length of a tile, in pixels; a slightly longer `size` (`SLACK`) gets one longer tile.
        overlap: minimum overlap of neighbours as a share of the tile, 0..0.5.

    Returns:
        As few tiles as the overlap allows. All but the last start at multiples of `ALIGN` if the tiles are large enough
        for that; the last one is shifted inward to end at `size`.
    """
    assert size >= 1, size
    assert tile >= 1, tile
    assert 0 <= overlap <= 0.5, overlap
    if size <= tile * SLACK:
        return TileAxis(size, size, (0,))
    stride = max(1, math.floor(tile * (1 - overlap)))
    align = ALIGN if stride >= ALIGN else 1
    stride -= stride % align
    last = size - tile
    steps = math.ceil(last / stride)
    # Rounding each start up keeps every step at most `stride`, because `stride` is itself a multiple of `align`.
    aligned = (align * math.ceil(index * last / (steps * align)) for index in range(steps))
    return TileAxis(size, tile, tuple(sorted({*(start for start in aligned if start < last), last})))
