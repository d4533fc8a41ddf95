"""Superpixels by exchange of their boundaries: exactly as many as asked for, each connected. Knows no file.

Van den Bergh et al. 2012, "SEEDS", and Yao et al. 2015, "Real-Time Coarse-to-Fine Topologically Preserving
Segmentation" (ETPS): starting from a grid, blocks of pixels on a boundary move to a neighbouring superpixel if
that lowers an energy, then smaller blocks, and at last pixels. A move that would split a superpixel is not made.

The energy is E = sum |c_p - C_s|^2 + (w / S)^2 sum |x_p - X_s|^2 + b * boundary: the squared distances of the colour
c and the place x of each pixel p from the means of its superpixel s, S the side of a grid cell, and the number of pairs
of neighbouring pixels in different superpixels.

Where we differ: the cells of the grid are smaller where colours vary; and many blocks move at once, all those in every
second row and column. None of them is among the eight neighbours of another one, so none changes what another's move
depends on, except the means, which follow after each of the four quarters of a sweep. Whether a move splits a
superpixel is read from a table of all 256 neighbourhoods.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.classic.planes import colours
from maskwright.classic.superpixels.grid import check, uneven_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITION_WEIGHT = 0.04
BOUNDARY_WEIGHT = 0.0005
BLOCKS_A_CELL = 4
"""The coarsest level has at least this many blocks a superpixel; each finer one halves the sides of its blocks."""
SWEEPS, WHOLE_SWEEPS = 8, 4
"""Sweeps a level; those after the first `WHOLE_SWEEPS` visit only blocks near one that has moved since."""
SIDES = np.array([1, 3, 4, 6])
"""The four neighbours that share a side, among the eight in reading order."""


def _keeps_whole() -> NDArray[np.bool_]:
    """Return for each neighbourhood (256,) whether its centre may leave its superpixel.

    Bit 7 says that the first of the eight neighbours, in reading order, belongs to the centre's superpixel, bit 0 the
    last. The centre may leave if those of them that share a side with it hang together without it, and there is one.
    """
    touching = {0: (1, 3), 1: (0, 2), 2: (1, 4), 3: (0, 5), 4: (2, 7), 5: (3, 6), 6: (5, 7), 7: (4, 6)}
    table = np.zeros(256, np.bool_)
    for code in range(256):
        ours = {place for place in range(8) if code >> (7 - place) & 1}
        sides = ours.intersection(SIDES.tolist())
        reached, border = set(), set(list(sides)[:1])
        while border:
            reached |= border
            border = {near for place in border for near in touching[place]} & ours - reached
        table[code] = bool(sides) and sides <= reached
    return table


KEEPS_WHOLE = _keeps_whole()


def exchange(image: NDArray[Any], count: int = 400, compactness: float = 1.0) -> NDArray[np.int32]:
    """Divide an image into exactly `count` connected superpixels.

    Args:
        image: (H, W) or (H, W, C), any real dtype; see `planes.colours`.
        count: number of superpixels, from 1 to the number of pixels.
        compactness: 0 follows colour alone; above 1, superpixels are rounder and their boundaries smoother.

    Returns:
        int32 (H, W), labels 0..count-1.

    Raises:
        MaskwrightError: an argument outside its rule.
    """
    check(image, count, compactness)
    levels = [_described(colours(image), count, compactness)]
    while _blocks(levels[-1]) >= BLOCKS_A_CELL * count:
        levels.append(_halved(levels[-1]))
    labels = uneven_grid(levels[-1][..., :-3], levels[-1][..., -1], count)
    for level, planes in reversed(list(enumerate(levels))):
        height, width = planes.shape[:2]
        if level < len(levels) - 1:
            labels = labels.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        labels = _Level(planes, labels, count, BOUNDARY_WEIGHT * compactness * 2**level).settle()
    return labels


def _described(colour: NDArray[np.float32], count: int, compactness: float) -> NDArray[np.float32]:
    """Return what is summed over pixels (H, W, C + 3): colour, weighted place, and 1."""
    height, width, channels = colour.shape
    weight = POSITION_WEIGHT * compactness / math.sqrt(height * width / count)
    planes = np.ones((height, width, channels + 3), np.float32)
    planes[..., :channels] = colour
    planes[..., channels] = weight * np.arange(height)[:, None]
    planes[..., channels + 1] = weight * np.arange(width)
    return planes


def _blocks(planes: NDArray[np.float32]) -> int:
    """Count the blocks of the next level."""
    return -(-planes.shape[0] // 2) * -(-planes.shape[1] // 2)


def _halved(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over blocks of 2x2; those at the lower and right border may be smaller."""
    height, width = planes.shape[:2]
    even = np.pad(planes, ((0, height % 2), (0, width % 2), (0, 0)))
    return even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]


class _Level:
    """The blocks of one size. All maps have a frame one block wide, with the label `count`, that nothing joins."""

    def __init__(self, planes: NDArray[np.float32], labels: NDArray[np.int32], count: int, boundary: float) -> None:
        height, width, depth = planes.shape
        self.count, self.boundary = count, np.float32(boundary)
        self.labels = np.full((height + 2, width + 2), count, np.int32)
        self.labels[1:-1, 1:-1] = labels
        self.sums = np.stack([np.bincount(labels.ravel(), planes[..., k].ravel(), count) for k in range(depth)], 1)
        self.planes = np.zeros((self.labels.size, depth), np.float32)
        self.planes.reshape(height + 2, width + 2, depth)[1:-1, 1:-1] = planes
        self.open: NDArray[np.bool_] = np.zeros(self.labels.shape, np.bool_)
        above, below = (np.array([-1, 0, 1]) + step * (width + 2) for step in (-1, 1))
        self.around = np.array([*above, -1, 1, *below])

    def settle(self) -> NDArray[np.int32]:
        """Sweep until nothing moves, at most `SWEEPS` times, and return the labels."""
        for sweep in range(SWEEPS):
            if sweep < WHOLE_SWEEPS:
                self._open_boundaries()
            if not sum([self._move(self._take(row, column)) for row in (1, 2) for column in (1, 2)]):
                break
        return self.labels[1:-1, 1:-1]

    def _open_boundaries(self) -> None:
        """Mark every block beside another superpixel for a visit."""
        down, across = self.labels[1:] != self.labels[:-1], self.labels[:, 1:] != self.labels[:, :-1]
        self.open[1:] |= down
        self.open[:-1] |= down
        self.open[:, 1:] |= across
        self.open[:, :-1] |= across

    def _take(self, row: int, column: int) -> NDArray[np.intp]:
        """Return the places of the marked blocks in every second row and column, and remove their marks."""
        quarter = self.open[row:-1:2, column:-1:2]
        rows, columns = np.divmod(np.flatnonzero(quarter), max(quarter.shape[1], 1))
        quarter[...] = False
        return (2 * rows + row) * self.open.shape[1] + 2 * columns + column

    def _move(self, places: NDArray[np.intp]) -> int:
        """Move each of the blocks to the superpixel of least energy, and return how many moved."""
        labels = self.labels.reshape(-1)
        near = labels.take(places[:, None] + self.around)
        own = labels.take(places)
        free = np.flatnonzero(KEEPS_WHOLE.take(np.packbits(near == own[:, None], axis=1)[:, 0]))
        places, near, own = places[free], near[free][:, SIDES], own[free]
        choices = np.column_stack((near, own))
        described = self.planes.take(places, axis=0)
        energies = self._energies(described, choices, near)
        best = energies.argmin(axis=1)
        moving = np.flatnonzero(energies[np.arange(len(best)), best] < energies[:, -1])
        if moving.size:
            joined = choices[moving, best[moving]]
            labels[places[moving]] = joined
            self._account(described[moving], own[moving], joined)
            self.open.reshape(-1)[places[moving, None] + self.around] = True
        return moving.size

    def _energies(
        self, described: NDArray[np.float32], choices: NDArray[np.int32], near: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Return the energy (M, 5) of each block in each superpixel, but for what all choices share."""
        means = self.sums[:, :-1] / self.sums[:, -1:]
        table = np.zeros((self.count + 1, self.sums.shape[1]), np.float32)
        table[:-1, :-1] = -2 * means
        table[:-1, -1] = np.einsum("ij,ij->i", means, means)
        energies = np.einsum("ij,ikj->ik", described, table.take(choices, axis=0))
        energies -= self.boundary * (near[:, None, :] == choices[:, :, None]).sum(axis=2, dtype=np.int8)
        energies[choices == self.count] = np.inf
        return energies

    def _account(self, described: NDArray[np.float32], left: NDArray[np.int32], joined: NDArray[np.int32]) -> None:
        for k in range(self.sums.shape[1]):
            gained, lost = (np.bincount(label, described[:, k], self.count) for label in (joined, left))
            self.sums[:, k] += gained - lost
