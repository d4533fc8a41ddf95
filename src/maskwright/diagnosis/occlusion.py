"""What a region depends on, found by removing parts of the image: occlusion, RISE, and the test of such maps.

Occlusion: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks". RISE: Petsiuk, Das, Saenko
2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models", whose deletion test is used for all maps.
Where we differ: the score is the mean probability of a class over a region, and what is removed is filled with the
median colour of the image, because black would be an object of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.diagnosis.region import plain, removed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.diagnosis.region import Region

SHARES = (0.05, 0.1, 0.2)
"""Shares of the image that the deletion test removes, one after the other."""
GRID = 7
"""Cells of a random mask along each side, as in RISE."""
RANDOM = 19
"""Random removals that a map must beat, all of them: by chance it does so in one of twenty cases."""
LEAST = 0.05
"""Least fall of the probability, beyond that at random places, for a map to be worth showing."""


@dataclass(frozen=True)
class Patch:
    """A part of an image that was removed.

    Attributes:
        rows, columns: of it.
        lost: by how much the mean probability of the region fell, -1..1.
        changed: share of the region that lost its class.
    """

    rows: slice
    columns: slice
    lost: float
    changed: float


def patches(
    region: Region, along: int, filling: NDArray[np.float32] | None = None, *, twice: bool = False
) -> list[Patch]:
    """Remove square patches of the image one at a time.

    Args:
        region: what is looked at.
        along: patches along the shorter side.
        filling: float32 like the image, put in their place; None for its median colour.
        twice: patches overlap by half, so that one of them covers most of what they are large enough for.
    """
    filling = plain(region.image) if filling is None else filling
    return [without(region, place, filling) for place in _grid(region.size, along, twice=twice)]


def without(region: Region, place: tuple[slice, slice], filling: NDArray[np.float32]) -> Patch:
    """Put a filling, float32 like the image, in the place of one patch, given by its rows and columns."""
    gone = np.zeros(region.size, np.float32)
    gone[place] = 1
    held = region.held(removed(region.image, gone, filling))
    return Patch(*place, region.base - held.probability, 1 - held.kept)


def occlusion_map(size: tuple[int, int], found: Sequence[Patch]) -> NDArray[np.float32]:
    """Return what patches were worth, at their centres and interpolated between them, summed over sizes, (H, W)."""
    total = np.zeros(size, np.float32)
    for rank in {_rank(size, patch) for patch in found}:
        alike = [patch for patch in found if _rank(size, patch) == rank]
        steps = [_step([getattr(patch, axis) for patch in alike]) for axis in ("rows", "columns")]
        for patch in alike:
            hats = [
                np.maximum(0, 1 - np.abs(np.arange(side) - (part.start + part.stop - 1) / 2) / step)
                for side, part, step in zip(size, (patch.rows, patch.columns), steps, strict=True)
            ]
            total += patch.lost * np.outer(*hats).astype(np.float32)
    return total


def _step(parts: list[slice]) -> float:
    """Return the distance between neighbouring patches along one axis; their length if there is only one."""
    starts = np.unique([part.start for part in parts])
    return float(np.diff(starts).max()) if len(starts) > 1 else float(parts[0].stop - parts[0].start)


def _rank(size: tuple[int, int], patch: Patch) -> int:
    """Return how many such patches fit along the shorter side."""
    return round(min(size) / max(1, min(patch.rows.stop - patch.rows.start, patch.columns.stop - patch.columns.start)))


def rise(region: Region, masks: int, rng: np.random.Generator, deadline: float) -> NDArray[np.float32] | None:
    """Return the map of RISE, float32 (H, W): how the score goes with each pixel's being kept.

    Args:
        region: what is looked at.
        masks: random masks, each of which keeps half of the image.
        rng: draws them.
        deadline: in seconds of `time.monotonic()`; no mask is begun later.

    Returns:
        The covariance of score and mask, in units of the score; None if fewer than half of the masks were in time.
    """
    filling = plain(region.image)
    total, weighted, scores = np.zeros(region.size), np.zeros(region.size), []
    for _ in range(masks):
        if time.monotonic() > deadline:
            break
        keep = _random_field((rng.random((GRID + 1, GRID + 1)) < 0.5).astype(np.float32), region.size, rng)
        score = region.held(removed(region.image, 1 - keep, filling)).probability
        total += keep
        weighted += score * keep
        scores.append(score)
    if 2 * len(scores) < masks:
        return None
    return ((weighted - np.mean(scores) * total) / (0.25 * len(scores))).astype(np.float32)


@dataclass(frozen=True)
class Deletion:
    """How much more is lost by removing what a map marks than by removing random places.

    Attributes:
        lost: fall of the mean probability, averaged over the shares that were removed.
        random: the same for random places, mean.
        excess: the difference.
        low, high: range of the difference over all random removals but the most extreme 5 %.
        chance: probability of a loss as large at a random place.
    """

    lost: float
    random: float
    excess: float
    low: float
    high: float
    chance: float

    @property
    def passed(self) -> bool:
        """Whether the map marks more than random places, and enough to matter."""
        return self.chance <= 0.05 and self.excess >= LEAST


def random_losses(
    region: Region, rng: np.random.Generator, shares: Sequence[float] = SHARES, number: int = RANDOM
) -> NDArray[np.float64]:
    """Return what removing blobs at random places loses, (number,)."""
    fields = [_random_field(rng.random((GRID + 1, GRID + 1), np.float32), region.size, rng) for _ in range(number)]
    return np.array([loss(region, field, shares) for field in fields])


def deletion(
    region: Region, values: NDArray[np.float32], random: NDArray[np.float64], shares: Sequence[float] = SHARES
) -> Deletion:
    """Compare a map (H, W) with removing random places, whose losses are given."""
    lost = loss(region, values, shares)
    low, high = np.quantile(lost - random, (0.025, 0.975))
    chance = (1 + np.count_nonzero(random >= lost)) / (1 + len(random))
    return Deletion(lost, float(random.mean()), lost - float(random.mean()), float(low), float(high), chance)


def loss(region: Region, values: NDArray[np.float32], shares: Sequence[float] = SHARES) -> float:
    """Remove the pixels with the largest values (H, W), and return how far the score falls, averaged over shares."""
    filling = plain(region.image)
    order = np.argsort(-values, axis=None, kind="stable")
    falls = []
    for share in shares:
        gone = np.zeros(values.size, np.float32)
        gone[order[: max(1, round(share * values.size))]] = 1
        falls.append(region.base - region.held(removed(region.image, gone.reshape(values.shape), filling)).probability)
    return float(np.mean(falls))


def _grid(size: tuple[int, int], along: int, *, twice: bool = False) -> list[tuple[slice, slice]]:
    """Return rows and columns of patches that cover an image of `size`, about square."""
    parts = []
    for side in size:
        count = max(1, round(along * side / min(size)))
        length = -(-side // count)
        starts = np.linspace(0, side - length, 2 * count - 1 if twice else count).round().astype(int)
        parts.append([slice(int(start), int(start) + length) for start in starts])
    return [(rows, columns) for rows in parts[0] for columns in parts[1]]


def _random_field(cells: NDArray[np.float32], size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Enlarge cells smoothly to a field (H, W), at a random offset of up to one cell."""
    steps = [-(-side // GRID) for side in size]
    large = cv2.resize(cells, ((GRID + 1) * steps[1], (GRID + 1) * steps[0]), interpolation=cv2.INTER_LINEAR)
    top, left = (int(rng.integers(step)) for step in steps)
    return np.ascontiguousarray(large[top : top + size[0], left : left + size[1]])
