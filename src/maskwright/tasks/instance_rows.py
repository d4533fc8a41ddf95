"""The rows of an image's maps that are complete and still needed, put together from blocks. Knows no object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.tasks.block import Block

BAND_PIXELS = 1 << 20
"""Pixels that are decoded at once with those that wait: few, so that nothing but the result takes memory."""


class Rows:
    """Rows of maps from `start` on.

    Attributes:
        start: first row of the image that is held.
        maps: (C, rows, W), some of the last rows incomplete; 0 where the image has no data, so that no object is there.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.height, self.width = size
        self.start = 0
        self.maps: NDArray[np.float32] = np.zeros((0, 0, self.width), np.float32)
        self._covered = np.zeros(self.height, np.int64)

    @property
    def end(self) -> int:
        """The first row of the image that is not complete yet."""
        missing = np.flatnonzero(self._covered[self.start :] < self.width)
        return self.start + (int(missing[0]) if len(missing) else self.height - self.start)

    def put(self, block: Block) -> None:
        """Add a block."""
        maps = np.nan_to_num(block.maps.cpu().numpy())
        first, last = block.rows.start - self.start, block.rows.stop - self.start
        if last > self.maps.shape[1]:
            more = np.zeros((len(maps), last - self.maps.shape[1], self.width), np.float32)
            self.maps = np.concatenate([self.maps, more], axis=1) if len(self.maps) else more
        self.maps[:, first:last, block.columns] = maps
        self._covered[block.rows] += block.columns.stop - block.columns.start

    def drop(self, start: int) -> None:
        """Forget the rows above `start`."""
        self.maps = np.ascontiguousarray(self.maps[:, start - self.start :])
        self.start = start
