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
from maskwright.tasks.instance_rows import BAND_PIXELS, Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from maskwright.ops.separation import Separation
    from maskwright.tasks.block import Block


def decode(
    blocks: Iterable[Block], size: tuple[int, int], nothing: Sequence[int], how: Separation, band: int = BAND_PIXELS
) -> Instances:
    """Find the objects of an image.

    Args:
        blocks: maps (K + 2, h, w): probabilities of K classes, depth, border. They come from the top to the bottom.
        size: (height, width) of the image.
        nothing: indices of the classes that are no objects.
        how: thresholds.
        band: pixels that are decoded at once; more where the waiting ones are more, which else would wait too often.

    Returns:
        Objects that do not overlap, from the highest score to the lowest; the score is the mean probability that its
        pixels are of its class.
    """
    bands = _Bands(size, nothing, how)
    for block in blocks:
        bands.rows.put(block)
        while bands.fresh >= (rows := max(band // size[1], 1, bands.waiting // 2)):
            bands.decode(rows)
            give_back_freed_memory()
    bands.decode(bands.fresh)
    return Instances(
        size, tuple(sorted(bands.found, key=lambda entry: (-round(entry.score, 6), entry.top, entry.left)))
    )


class _Bands:
    """The rows that are not decoded yet."""

    def __init__(self, size: tuple[int, int], nothing: Sequence[int], how: Separation) -> None:
        self.rows = Rows(size)
        self._nothing, self._how = list(nothing), how
        self.seen = 0
        self.found: list[Instance] = []

    @property
    def fresh(self) -> int:
        """Number of complete rows in which objects were not searched yet."""
        return self.rows.end - self.seen

    @property
    def waiting(self) -> int:
        """Number of rows that are searched again with the next ones."""
        return self.seen - self.rows.start

    def decode(self, fresh: int) -> None:
        """Find the objects of all regions that end within the next `fresh` rows."""
        start, rows = self.rows.start, self.waiting + fresh
        if not rows:
            return
        maps = self.rows.maps[:, :rows]
        classes, (depth, border) = maps[:-2], maps[-2:]
        whole = classes.sum(axis=0)
        foreground = np.where(whole == 0, 0, 1 - classes[self._nothing].sum(axis=0))
        self.seen += fresh
        kept = self._waiting(foreground)
        if kept[0].any() and np.array_equal(kept, foreground >= self._how.foreground):
            return  # everything waits, from the first row on
        foreground[kept] = 0
        ids = separated(foreground, depth, border, self._how)
        self.found += [self._instance(top, left, mask, classes) for _, top, left, mask in pieces(ids)]
        waiting = np.flatnonzero(kept.any(axis=1))
        margin = math.ceil(4 * self._how.smooth) + 1
        first = max(0, (int(waiting[0]) if len(waiting) else rows) - margin)
        # Decoded regions become background; their depth stays, since it is smoothed into that of their neighbours.
        done = ~kept[first:] & (foreground[first:] > 0)
        classes[:, first:][:, done] = 0
        self.rows.drop(start + first)

    def _waiting(self, foreground: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which pixels (h, W) belong to regions that may go on, or whose smoothed depth lacks rows below."""
        inside = foreground >= self._how.foreground
        if self.seen == self.rows.height:
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
        shares[self._nothing] = -1
        index = int(shares.argmax())
        return Instance(index, self.rows.start + top, left, mask, float(shares[index]))
