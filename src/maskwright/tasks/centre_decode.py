"""From blocks of centres and offsets to objects, band by band: what is held are a few rows, and the pixels that wait.

A pixel goes to the nearest centre as soon as no centre below the rows seen so far can be nearer. So the result does not
depend on bands or tiles. Memory grows with the longest offset, and with the objects that are found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.core.instances import Instance, Instances
from maskwright.ops.grouping import nearest, peaks
from maskwright.ops.instance_parts import united
from maskwright.tasks.instance_rows import BAND_PIXELS, Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from maskwright.ops.grouping import Grouping
    from maskwright.tasks.block import Block


def decode(
    blocks: Iterable[Block], size: tuple[int, int], nothing: Sequence[int], how: Grouping, band: int = BAND_PIXELS
) -> Instances:
    """Find the objects of an image.

    Args:
        blocks: maps (K + 3, h, w): probabilities of K classes, heat, x and y of the offset. They come from the top to
            the bottom.
        size: (height, width) of the image.
        nothing: indices of the classes that are no objects.
        how: thresholds.
        band: pixels that are decoded at once, at least.

    Returns:
        Objects that do not overlap, from the highest score to the lowest; the score is the mean probability that its
        pixels are of its class.
    """
    rows, search = Rows(size), _Search(nothing, how)
    for block in blocks:
        rows.put(block)
        if (rows.end - search.taken) * size[1] >= band:
            search.step(rows)
    search.step(rows)
    return Instances(size, search.found())


class _Pixels(NamedTuple):
    """Pixels of the foreground: place (n, 2), where the offset leads (n, 2), probabilities of the classes (n, K)."""

    places: NDArray[np.int64]
    targets: NDArray[np.float64]
    shares: NDArray[np.float32]

    def chosen(self, which: NDArray[np.bool_]) -> _Pixels:
        """Return some of the pixels."""
        return _Pixels(self.places[which], self.targets[which], self.shares[which])

    def after(self, first: _Pixels | None) -> _Pixels:
        """Return other pixels, followed by these."""
        if first is None:
            return self
        return _Pixels(
            np.concatenate([first.places, self.places]),
            np.concatenate([first.targets, self.targets]),
            np.concatenate([first.shares, self.shares]),
        )


class _Search:
    """The centres so far, the parts of their objects, and the pixels that wait."""

    def __init__(self, nothing: Sequence[int], how: Grouping) -> None:
        self._nothing, self._how = list(nothing), how
        self._centres = np.zeros((0, 2), np.int64)
        self._searched = 0
        self._waiting: _Pixels | None = None
        self._parts: dict[int, list[Instance]] = {}
        self._sums: dict[int, NDArray[np.float64]] = {}
        self.taken = 0

    def step(self, rows: Rows) -> None:
        """Look at the complete rows."""
        end, last = rows.end, rows.end == rows.height
        if end == self.taken:
            return
        until = end if last else max(end - self._how.margin, self._searched)
        self._search(rows, end, until)
        self._take(rows, end)
        self._assign(until, last=last)
        rows.drop(max(until - self._how.margin, rows.start))

    def _search(self, rows: Rows, end: int, until: int) -> None:
        """Add the centres in the rows from the last search to `until`."""
        places = peaks(np.ascontiguousarray(rows.maps[-3, : end - rows.start]), self._how)
        places[:, 0] += rows.start
        inside = (places[:, 0] >= self._searched) & (places[:, 0] < until)
        self._centres = np.concatenate([self._centres, places[inside]])
        self._searched = until

    def _take(self, rows: Rows, end: int) -> None:
        """Let the foreground of the new rows wait."""
        maps = rows.maps[:, self.taken - rows.start : end - rows.start]
        classes = maps[:-3]
        whole = classes.sum(axis=0)
        places = np.argwhere((whole - classes[self._nothing].sum(axis=0) >= self._how.foreground) & (whole > 0))
        y, x = places.T
        shares, offsets = classes[:, y, x].T, maps[:-3:-1, y, x].T
        places[:, 0] += self.taken
        self._waiting = _Pixels(places, np.add(places, offsets, dtype=np.float64), shares).after(self._waiting)
        self.taken = end

    def _assign(self, until: int, *, last: bool) -> None:
        """Give the pixels whose nearest centre is certain to it, and drop those that reach none."""
        assert self._waiting is not None
        reach = self._how.reach
        distances, numbers = nearest(self._waiting.targets, self._centres)
        certain = last | (until - self._waiting.targets[:, 0] > np.minimum(distances, reach))
        given = certain & (distances <= reach)
        self._add(self._waiting.chosen(given), numbers[given])
        self._waiting = self._waiting.chosen(~certain)

    def _add(self, pixels: _Pixels, numbers: NDArray[np.int64]) -> None:
        """Make a part of each object from its new pixels."""
        order = np.argsort(numbers, kind="stable")
        starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        for chosen in np.split(order, starts[1:]) if len(order) else ():
            number, places = int(numbers[chosen[0]]), pixels.places[chosen]
            top, left = places.min(axis=0).tolist()
            mask = np.zeros(places.max(axis=0) - (top, left) + 1, bool)
            mask[tuple((places - (top, left)).T)] = True
            self._parts.setdefault(number, []).append(Instance(0, top, left, mask))
            sums = pixels.shares[chosen].sum(axis=0, dtype=np.float64)
            self._sums[number] = self._sums.get(number, 0) + sums

    def found(self) -> tuple[Instance, ...]:
        """Join the parts of each object, and give it its class, the likeliest over its pixels, and its score."""
        found = []
        for number, parts in self._parts.items():
            whole = united(parts)
            if whole.area < self._how.least:
                continue
            shares = self._sums[number] / whole.area
            shares[self._nothing] = -1
            index = int(shares.argmax())
            found.append(replace(whole, index=index, score=float(shares[index])))
        return tuple(sorted(found, key=lambda entry: (-round(entry.score, 6), entry.top, entry.left)))
