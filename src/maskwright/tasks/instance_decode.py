"""From blocks of maps to objects, band by band: of a large image a band of rows is held, and what waits above it.

A region of the foreground that reaches the last row so far may go on below it. It waits, with its rows, for the next
band, and so an object that a tile or a band cuts comes out once, exactly as if the image had been decoded in one piece.
Memory grows with the largest region that is connected.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.allocator import give_back_freed_memory
from maskwright.core.instances import Instance, Instances
from maskwright.ops.instance_maps import pieces
from maskwright.ops.separation import separated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from maskwright.ops.separation import Separation
    from maskwright.tasks.base import Block

BAND_PIXELS = 1 << 20
"""Pixels that are decoded at once with those that wait: few, so that nothing but the result takes memory."""


def decode(
    blocks: Iterable[Block], size: tuple[int, int], background: int, how: Separation, band: int = BAND_PIXELS
) -> Instances:
    """Find the objects of an image.

    Args:
        blocks: maps (K + 2, h, w): probabilities of K classes, depth, border. They come from the top to the bottom.
        size: (height, width) of the image.
        background: index of the class that is no object.
        how: thresholds.
        band: pixels that are decoded at once; more where the waiting ones are more, which else would wait too often.

    Returns:
        Objects that do not overlap, from the highest score to the lowest; the score is the mean probability that its
        pixels are of its class.
    """
    bands = _Bands(size, background, how)
    for block in blocks:
        bands.put(block)
        while bands.fresh >= (rows := max(band // size[1], 1, bands.waiting // 2)):
            bands.decode(rows)
            give_back_freed_memory()
    bands.decode(bands.fresh)
    return Instances(
        size, tuple(sorted(bands.found, key=lambda entry: (-round(entry.score, 6), entry.top, entry.left)))
    )


class _Bands:
    """The rows that are not decoded yet."""

    def __init__(self, size: tuple[int, int], background: int, how: Separation) -> None:
        self._height, self._width = size
        self._background, self._how = background, how
        self._start, self._seen = 0, 0
        self._maps: NDArray[np.float32] | None = None
        self._covered = np.zeros(self._height, np.int64)
        self.found: list[Instance] = []

    @property
    def fresh(self) -> int:
        """Number of complete rows in which objects were not searched yet."""
        missing = np.flatnonzero(self._covered[self._seen :] < self._width)
        return int(missing[0]) if len(missing) else self._height - self._seen

    @property
    def waiting(self) -> int:
        """Number of rows that are searched again with the next ones."""
        return self._seen - self._start

    def put(self, block: Block) -> None:
        """Add a block."""
        maps = np.nan_to_num(block.maps.cpu().numpy())  # where the image has no data, there is no object
        first, last = block.rows.start - self._start, block.rows.stop - self._start
        held = 0 if self._maps is None else self._maps.shape[1]
        if last > held:
            more = np.zeros((len(maps), last - held, self._width), np.float32)
            self._maps = more if self._maps is None else np.concatenate([self._maps, more], axis=1)
        assert self._maps is not None
        self._maps[:, first:last, block.columns] = maps
        self._covered[block.rows] += block.columns.stop - block.columns.start

    def decode(self, fresh: int) -> None:
        """Find the objects of all regions that end within the next `fresh` rows."""
        rows = self.waiting + fresh
        if self._maps is None or not rows:
            return
        maps = self._maps[:, :rows]
        classes, (depth, border) = maps[:-2], maps[-2:]
        foreground = 1 - classes[self._background]
        foreground[maps[:-2].sum(axis=0) == 0] = 0
        self._seen = self._start + rows
        kept = self._waiting(foreground)
        if kept[0].any() and np.array_equal(kept, foreground >= self._how.foreground):
            return  # everything waits, from the first row on
        foreground[kept] = 0
        ids = separated(foreground, depth, border, self._how)
        self.found += [self._instance(top, left, mask, classes) for _, top, left, mask in pieces(ids)]
        waiting = np.flatnonzero(kept.any(axis=1))
        margin = math.ceil(4 * self._how.smooth) + 1
        start = max(0, (int(waiting[0]) if len(waiting) else rows) - margin)
        # Decoded regions become background; their depth stays, since it is smoothed into that of their neighbours.
        done = ~kept[start:] & (foreground[start:] > 0)
        self._maps[:-2, start:rows][:, done] = 0
        self._maps = np.ascontiguousarray(self._maps[:, start:])
        self._start += start

    def _waiting(self, foreground: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which pixels (h, W) belong to regions that may go on, or whose smoothed depth lacks rows below."""
        inside = foreground >= self._how.foreground
        if self._start + len(foreground) == self._height:
            return np.zeros_like(inside)
        count, place = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)
        margin = math.ceil(4 * self._how.smooth) + 1
        last = np.zeros(count, np.bool_)
        last[place[-margin:]] = True
        return inside & last[place]

    def _instance(self, top: int, left: int, mask: NDArray[np.bool_], classes: NDArray[np.float32]) -> Instance:
        """Give an object its class, the likeliest over its pixels, and its score."""
        place = classes[:, top : top + mask.shape[0], left : left + mask.shape[1]]
        shares = place[:, mask].mean(axis=1)
        shares[self._background] = -1
        index = int(shares.argmax())
        return Instance(index, self._start + top, left, mask, float(shares[index]))
