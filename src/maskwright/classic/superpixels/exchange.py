"""Superpixels by exchange of their boundaries: exactly as many as asked for, each connected. Knows no file.

Van den Bergh et al. 2012, "SEEDS", and Yao et al. 2015, "Real-Time Coarse-to-Fine Topologically Preserving
Segmentation" (ETPS): starting from a grid, blocks of pixels on a boundary move to a neighbouring superpixel if
that lowers an energy, then smaller blocks, and at last pixels. A move that would split a superpixel is not made.

The energy is E = sum |c_p - C_s|^2 + (w / S)^2 sum |x_p - X_s|^2: the squared distances of the colour c and the place x
of each pixel p from the means of its superpixel s, S the side of a grid cell.

Where we differ: the energy counts no boundaries; colours are RGB with stronger hues; the cells of the grid are smaller
where colours vary, and there are `MORE` times as many as asked for, of which those that are most alike merge before
single pixels move; and many blocks move at once, all those in every second row and column. None of them is among the
eight neighbours of another one, so none changes what another's move depends on, except the means, which follow after
each of the four quarters of a sweep. Whether a move splits a superpixel is read from a table of all 256 neighbourhoods.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.classic.planes import planes_of
from maskwright.classic.superpixels.grid import check, uneven_grid
from maskwright.classic.superpixels.joining import joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITION_WEIGHT = 0.02
HUE = 1.5
"""Times the distance of a colour from grey in RGB, where hues differ less than people see them differ."""
MORE = 3
"""Times as many superpixels until single pixels move."""
BLOCKS_A_CELL = 4
"""The coarsest level has at least this many blocks a superpixel; each finer one halves the sides of its blocks."""
BLOCK_SWEEPS, PIXEL_SWEEPS = 2, 5
"""Sweeps at most a level; those after the first visit only blocks near one that has moved since."""
AROUND = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
"""Steps to the eight neighbours, in reading order."""
QUARTERS = [(1, 1), (1, 0), (0, 1), (0, 0)]
"""Whether the rows and columns of a quarter are odd, counted from the frame."""
SIDES = np.array([1, 3, 4, 6])
"""The four neighbours that share a side, among the eight."""
FAR = 1e15
"""Colour and place of what is outside the image."""


def _may_leave() -> NDArray[np.bool_]:
    """Return for each neighbourhood (256,) whether its centre may move to another superpixel.

    Bit 7 says that the first of the eight neighbours, in reading order, belongs to the centre's superpixel, bit 0 the
    last. The centre may leave if those of them that share a side with it hang together without it, and there is one.
    If all four are of its superpixel, it has nowhere to go.
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
        table[code] = 0 < len(sides) < len(SIDES) and sides <= reached
    return table


MAY_LEAVE = _may_leave()


def exchange(image: NDArray[Any], count: int = 400, compactness: float = 1.0) -> NDArray[np.int32]:
    """Divide an image into exactly `count` connected superpixels.

    Args:
        image: (H, W) or (H, W, C), any real dtype; see `planes`.
        count: number of superpixels, from 1 to the number of pixels.
        compactness: 0 follows colour alone; above 1, superpixels are rounder and their boundaries smoother.

    Returns:
        int32 (H, W), labels 0..count-1.

    Raises:
        MaskwrightError: an argument outside its rule.
    """
    check(image, count, compactness)
    levels = [_described(_vivid(image), count, compactness)]
    while _blocks(levels[-1]) >= BLOCKS_A_CELL * count:
        levels.append(_halved(levels[-1]))
    labels = uneven_grid(levels[-1][:-3], levels[-1][-1], min(MORE * count, levels[-1][0].size))
    sums = np.stack([np.bincount(labels.ravel(), plane.ravel()) for plane in levels[-1]]).astype(np.float64)
    for level, planes in reversed(list(enumerate(levels))):
        if level == 0:
            labels, sums = joined(labels, sums, count)
        if level < len(levels) - 1:
            labels = labels.repeat(2, axis=0).repeat(2, axis=1)[: planes.shape[1], : planes.shape[2]]
        labels = _Level(planes, labels, sums).settle(BLOCK_SWEEPS if level else PIXEL_SWEEPS)
    return labels


def _vivid(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return the colours (C, H, W), 4 from black to white; those of three channels with stronger hues."""
    values = np.clip(planes_of(image).values, 0, 1)
    if len(values) == 3:
        values += np.float32(HUE - 1) * (values - values.mean(axis=0))
    return values * np.float32(4 / len(values) ** 0.5)


def _described(colour: NDArray[np.float32], count: int, compactness: float) -> NDArray[np.float32]:
    """Return what is summed over pixels (C + 3, H, W): colour, weighted place, and 1."""
    channels, height, width = colour.shape
    weight = POSITION_WEIGHT * compactness / math.sqrt(height * width / count)
    planes = np.ones((channels + 3, height, width), np.float32)
    planes[:channels] = colour
    planes[channels] = weight * np.arange(height)[:, None]
    planes[channels + 1] = weight * np.arange(width)
    return planes


def _blocks(planes: NDArray[np.float32]) -> int:
    """Count the blocks of the next level."""
    return -(-planes.shape[1] // 2) * -(-planes.shape[2] // 2)


def _halved(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over blocks of 2x2; those at the lower and right border may be smaller."""
    height, width = planes.shape[1:]
    halves = np.empty((len(planes), -(-height // 2), -(-width // 2)), np.float32)
    for plane, half in zip(planes, halves, strict=True):
        even = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT)
        cv2.resize(even, half.shape[::-1], dst=half, interpolation=cv2.INTER_AREA)
    halves *= 4
    return halves


class _Level:
    """The blocks of one size, with a frame one block wide of the label K, that nothing joins.

    Maps are flat, first the blocks of the even rows and even columns, then those of the odd columns, and so on: a
    quarter of a sweep, and each of its eight neighbours, are then slices.

    Args:
        planes: of each block (D, h, w); the last is the number of its pixels.
        labels: of each block (h, w), 0..K-1.
        sums: of the planes over each superpixel (D, K), kept up to date here.
    """

    def __init__(self, planes: NDArray[np.float32], labels: NDArray[np.int32], sums: NDArray[np.float64]) -> None:
        self.sums, self.count, self.shape = sums, sums.shape[1], labels.shape
        self.half = (labels.shape[0] + 3) // 2, (labels.shape[1] + 3) // 2
        self.margin = self.half[1] + 1  # before the first and behind the last block: neighbours of the frame
        self.labels = self._quartered(labels[None], self.count)[0]
        self.planes = self._quartered(planes, 0)
        self.inside = self.labels < self.count
        self.open = self.inside.copy()

    def _quartered(self, planes: NDArray[Any], frame: float) -> NDArray[Any]:
        """Return planes (D, h, w) as flat ones (D, P)."""
        height, width = self.half
        flat = np.full((len(planes), 4 * height * width + 2 * self.margin), frame, planes.dtype)
        quarters = flat[:, self.margin : -self.margin].reshape(len(planes), 2, 2, height, width)
        for row, column in QUARTERS:
            part = planes[:, 1 - row :: 2, 1 - column :: 2]
            inside = quarters[:, row, column, 1 - row :, 1 - column :]
            inside[:, : part.shape[1], : part.shape[2]] = part
        return flat

    def _start(self, row: int, column: int) -> int:
        """Return where the quarter starts whose first block is at `row` and `column` (-1 or more) of the frame."""
        height, width = self.half
        quarter = 2 * (row % 2) + column % 2
        return self.margin + quarter * height * width + row // 2 * width + column // 2

    def settle(self, sweeps: int) -> NDArray[np.int32]:
        """Sweep until nothing moves, at most so many times, and return the labels."""
        for _ in range(sweeps):
            if not sum([self._move(row, column) for row, column in QUARTERS]):
                break
        quarters = self.labels[self.margin : -self.margin].reshape(2, 2, *self.half)
        labels = np.empty(self.shape, np.int32)
        for row, column in QUARTERS:
            part = labels[1 - row :: 2, 1 - column :: 2]
            part[...] = quarters[row, column, 1 - row :, 1 - column :][: part.shape[0], : part.shape[1]]
        return labels

    def _may_leave(self, own: slice, steps: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the places of the marked blocks of a quarter that may leave their superpixel; remove all marks."""
        labels = self.labels[own]
        codes = np.zeros(labels.shape, np.uint8)
        for step in steps.tolist():
            codes += codes
            codes |= self.labels[own.start + step : own.stop + step] == labels
        found = np.flatnonzero(MAY_LEAVE.take(codes) & self.open[own] & self.inside[own])
        self.open[own] = False
        return found + own.start

    def _move(self, row: int, column: int) -> int:
        """Move each block of a quarter to the superpixel of least energy, and return how many moved."""
        start = self._start(row, column)
        steps = np.array([self._start(row + down, column + across) - start for down, across in AROUND])
        places = self._may_leave(slice(start, start + self.half[0] * self.half[1]), steps)
        choices = self.labels.take(places + np.append(0, steps[SIDES])[:, None])
        described = self.planes.take(places, axis=1)
        energies = self._energies(described, choices)
        least, chosen = energies[0], choices[0].copy()
        for energy, choice in zip(energies[1:], choices[1:], strict=True):
            better = energy < least
            np.copyto(least, energy, where=better)
            np.copyto(chosen, choice, where=better)
        moving = np.flatnonzero(chosen != choices[0])
        if moving.size:
            self.labels[places[moving]] = chosen[moving]
            self._account(described[:, moving], choices[0, moving], chosen[moving])
            self.open[places[moving] + steps[:, None]] = True
        return moving.size

    def _energies(self, described: NDArray[np.float32], choices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the energies (5, M) of blocks (D, M) in their own and four other superpixels, but for a constant.

        They are those of a pixel of the block, and squares of differences: the squares of places in large images would
        leave no digits for colours.
        """
        means = np.full((len(self.sums) - 1, self.count + 1), FAR, np.float32)
        means[:, :-1] = self.sums[:-1] / self.sums[-1]
        energies = np.zeros(choices.shape, np.float32)
        places = choices.astype(np.intp)  # once, and not at each `take`
        for values, centres in zip(described[:-1] / described[-1], means, strict=True):
            away = centres.take(places)
            away -= values
            energies += np.square(away, out=away)
        return energies

    def _account(self, described: NDArray[np.float32], left: NDArray[np.int32], joined: NDArray[np.int32]) -> None:
        """Bring the sums up to date with blocks (D, M) that left superpixels (M,) and joined others (M,)."""
        labels = np.concatenate((joined, left))
        for total, plane in zip(self.sums, described, strict=True):
            np.add(total, np.bincount(labels, np.concatenate((plane, -plane)), self.count), out=total)
