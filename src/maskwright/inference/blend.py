"""Turn tiles into finished blocks of the image, and keep only the pixels that later tiles change. Knows no network.

Tiles come row by row, left to right. Everything to the left of the next tile and above the next row of tiles is
finished and returned at once; only the overlaps are kept. `Blend` adds tiles up; `Enlarge` resizes blocks from the
working resolution to that of the image.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from maskwright.tasks.block import Block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from maskwright.ops.tiles import TileAxis

CHUNK = 1 << 24  # most values in one block that is returned (64 MiB)


class Blend:
    """The weighted sum of overlapping tiles, returned block by block as it is finished."""

    def __init__(self, rows: TileAxis, columns: TileAxis) -> None:
        self.rows, self.columns = rows, columns
        self._weights = torch.from_numpy(rows.weights()), torch.from_numpy(columns.weights())
        self._below: Tensor | None = None
        self._right: Tensor | None = None

    def add(self, row: int, column: int, tile: Tensor) -> tuple[int, int, Tensor]:
        """Add the next tile.

        Args:
            row: index of the tile on the vertical axis.
            column: index on the horizontal axis.
            tile: (K, tile height, tile width) float32; it is overwritten.

        Returns:
            (top, left, block): the part (K, h, w) that this tile finishes, and its position.
        """
        top, left = self.rows.starts[row], self.columns.starts[column]
        if len(self.rows) == 1 and len(self.columns) == 1:
            return top, left, tile
        down, across = (weights.to(tile.device) for weights in self._weights)
        tile *= down[row][:, None] * across[column]
        if column and self._right is not None:
            tile[:, :, : self._right.shape[2]] += self._right
        width = self.columns.finished(column) - left
        self._right = tile[:, :, width:]
        return top, left, self._carried(row, slice(left, left + width), tile[:, :, :width])

    def _carried(self, row: int, columns: slice, strip: Tensor) -> Tensor:
        """Add the remainder of the row of tiles above, keep what the row below needs, and return the rest."""
        if len(self.rows) == 1:
            return strip
        if self._below is None:
            deepest = max(self.rows.starts[i] + self.rows.tile - self.rows.finished(i) for i in range(len(self.rows)))
            self._below = strip.new_zeros((strip.shape[0], deepest, self.columns.size))
        below = self._below[:, :, columns]
        if row:
            carried = self.rows.starts[row - 1] + self.rows.tile - self.rows.starts[row]
            strip[:, :carried] += below[:, :carried]
        height = self.rows.finished(row) - self.rows.starts[row]
        below[:, : self.rows.tile - height] = strip[:, height:]
        return strip[:, :height]


class Scaling:
    """Linear interpolation along one axis, from `source` points to `target` points, pixel centres aligned."""

    def __init__(self, source: int, target: int) -> None:
        place = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
        self._low = np.minimum(np.floor(place), source - 1).astype(np.int64)
        self._high = np.minimum(self._low + 1, source - 1)
        self._share = (place - self._low).astype(np.float32)

    def ready(self, finished: int) -> int:
        """Return how many target points depend only on the first `finished` source points."""
        return int(np.searchsorted(self._high, finished))

    def part(self, offset: int, target: range) -> Scaling:
        """Return the interpolation of some target points from the source points from `offset` on."""
        found = copy.copy(self)
        chosen = slice(target.start, target.stop)
        found._low, found._high = self._low[chosen] - offset, self._high[chosen] - offset
        found._share = self._share[chosen]
        return found

    def apply(self, values: Tensor, dim: int, offset: int, target: slice) -> Tensor:
        """Interpolate.

        Args:
            values: a piece of the source that starts at its point `offset` along `dim`.
            dim: dimension to interpolate along.
            offset: see above.
            target: which target points.

        Returns:
            The values at those points.
        """
        low, high = (
            values.index_select(dim, torch.from_numpy(index[target] - offset).to(values.device))
            for index in (self._low, self._high)
        )
        shape = [1] * values.ndim
        shape[dim] = -1
        return torch.lerp(low, high, torch.from_numpy(self._share[target]).to(values.device).reshape(shape))


class Enlarge:
    """Resizes blocks from the working resolution to that of the image, without seams between them.

    Args:
        working: (height, width) of the blocks, all together.
        size: (height, width) of the image.
        columns: part of the working resolution whose columns are wanted; None for all.

    Attributes:
        needed: columns of the working resolution that blocks must cover for them; places of blocks are counted there.
        covered: columns of the image that they become.
    """

    def __init__(self, working: tuple[int, int], size: tuple[int, int], columns: range | None = None) -> None:
        self._same = working == size
        wanted = range(working[1]) if columns is None else columns
        self._down, across = (Scaling(*sides) for sides in zip(working, size, strict=True))
        self.needed, self.covered = wanted, wanted
        if not self._same:
            self.needed = range(max(wanted.start - 1, 0), wanted.stop)
            self.covered = range(across.ready(wanted.start), across.ready(wanted.stop))
        self._across = across.part(self.needed.start, self.covered)
        self._width = len(self.needed)
        self._above: Tensor | None = None
        self._foot: Tensor | None = None
        self._left: Tensor | None = None

    def ready(self, finished: int) -> int:
        """Return how many rows of the image depend only on the first `finished` rows of the working resolution."""
        return finished if self._same else self._down.ready(finished)

    def push(self, top: int, left: int, block: Tensor) -> Iterator[Block]:
        """Take the next finished block (K, h, w) at working resolution; yield the parts of the image that it completes.

        Interpolation needs neighbouring points, so the last row and column of earlier blocks are kept.
        """
        bottom, right = top + block.shape[1], left + block.shape[2]
        if self._same:
            yield Block(slice(top, bottom), slice(left + self.covered.start, right + self.covered.start), block)
            return
        block = self._joined(top, left, block)
        columns = slice(self._across.ready(left), self._across.ready(right))
        first, last = self._down.ready(top), self._down.ready(bottom)
        step = max(1, CHUNK // max(1, block.shape[0] * (columns.stop - columns.start)))
        for start in range(first, last if columns.stop > columns.start else first, step):
            rows = slice(start, min(start + step, last))
            tall = self._down.apply(block, 1, max(top - 1, 0), rows)
            place = slice(columns.start + self.covered.start, columns.stop + self.covered.start)
            yield Block(rows, place, self._across.apply(tall, 2, max(left - 1, 0), columns))

    def _joined(self, top: int, left: int, block: Tensor) -> Tensor:
        """Join the row above and the column to the left, if there are any, to the block."""
        right = left + block.shape[2]
        if left == 0:
            foot = block.new_zeros((block.shape[0], 1, self._width))
            # The first block of all may start below the top: the row above it, which nobody has, is then not used.
            self._above, self._foot = (foot if self._foot is None else self._foot), foot.clone()
        assert self._foot is not None
        self._foot[:, :, left:right] = block[:, -1:]
        edge = block[:, :, -1:]
        if left:
            assert self._left is not None
            block = torch.cat([self._left, block], dim=2)
        self._left = edge.clone()
        if top:
            assert self._above is not None
            block = torch.cat([self._above[:, :, max(left - 1, 0) : right], block], dim=1)
        return block
