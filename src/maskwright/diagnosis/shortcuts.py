"""Whether a swapped part of the image tells a model which classes there are: shortcuts. Knows no model and no image.

Geirhos et al. 2020, "Shortcut Learning in Deep Neural Networks": a rule that holds in the data and not beyond, such as
a hospital's marker in the corner that goes with the disease (Zech et al. 2018).

Each held-out image gets the same part (its corners, say) of two training images: one that shows a class, and one that
does not. Both swaps destroy the same pixels, so either is the null of the other: if the part says nothing about the
class, the model finds as much of it elsewhere in both. What is tested is the difference, by turning the signs of images
(or of groups, where there are enough) at random; the chance is that of the largest of all looks (Westfall and Young
1993, "Resampling-Based Multiple Testing", the single-step maximum).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.intervals import by_group, intervals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CHANCE = 0.05
MATERIAL = 0.05
"""Least share of a class's area that comes and goes with the swapped part to be called a shortcut."""
TURNS = 4999
FEWEST = 5
"""Fewest images, or groups, that were compared for a class: with fewer, chance cannot be excluded."""
FEWEST_GROUPS = 8
"""Fewest groups from which on groups are turned, and not images."""
OFTEN, SELDOM = 0.9, 0.1
"""A class that more or fewer of the images show is compared by how much of it they show."""


@dataclass(frozen=True)
class Effect:
    """What swapping one part of the image does to one class.

    Attributes:
        swap: name of the part.
        index: of the class.
        images: number of them that were compared.
        share: of the area of the class that comes and goes with the part; -1..1, 0 where it has no influence.
        low, high: 95 % interval; None if there are too few images.
        chance: probability of such an effect in any of the looks if no part has an influence.
    """

    swap: str
    index: int
    images: int
    share: float
    low: float | None
    high: float | None
    chance: float

    @property
    def certain(self) -> bool:
        """Whether it is large, and chance an unlikely explanation."""
        return self.chance <= CHANCE and self.share >= MATERIAL and self.images >= FEWEST


def told(shares: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return what each image (n, K) says of each class: 1 that it is there, -1 that it is not, 0 neither.

    Args:
        shares: (n, K) of the pixels. A class that nearly all or nearly no images show is there in the third of them
            that shows most of it, and not in the third that shows least.
    """
    there = shares > 0
    number = there.sum(0)
    often = np.minimum(number, len(shares) - number) < max(SELDOM * len(shares), 2)
    low, high = np.quantile(shares, (1 / 3, 2 / 3), axis=0)
    by_amount = (shares >= high).astype(np.int8) - (shares <= low).astype(np.int8)
    return np.where(often, by_amount, 2 * there.astype(np.int8) - 1).astype(np.int8)


def areas(
    one: NDArray[np.uint8], other: NDArray[np.uint8], seen: NDArray[np.bool_], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare the label maps (H, W) of an image with two swaps.

    Args:
        one: class indices with the one swap.
        other: with the other.
        seen: the pixels that neither swap has altered.
        classes: number of them, K.

    Returns:
        How much more of each class `one` has, and how much there is in either, (K,), as shares of the image.
    """
    first, second = one[seen], other[seen]
    counts = [np.bincount(labels, minlength=256)[:classes] for labels in (first, second)]
    both = np.bincount(first[first == second], minlength=256)[:classes]
    return (counts[0] - counts[1]) / seen.size, (counts[0] + counts[1] - both) / seen.size


def effects(
    more: NDArray[np.float64],
    either: NDArray[np.float64],
    swaps: Sequence[str],
    groups: Sequence[str | None],
    seed: int = 0,
) -> list[Effect]:
    """Test what swaps do to classes.

    Args:
        more: (n, S, K), how much more of a class there is with the part of an image that shows it than with that of an
            image that does not; 0 where the pair says nothing about the class.
        either: (n, S, K), the area of the class in either; 0 likewise.
        swaps: the S names.
        groups: of the n images.
        seed: of the random signs.

    Returns:
        Effects of all swaps and classes that were compared, the most certain first.
    """
    count, classes = len(more), more.shape[2]
    keys: list[str | None] = list(groups)
    if len({*keys} - {None}) + keys.count(None) < FEWEST_GROUPS:
        keys = [None] * count
    sums, sizes = by_group(more.reshape(count, -1), keys)
    total = either.reshape(count, -1).sum(0)
    statistic = _studentised(sums)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (TURNS, len(sums)))
    largest = _turned(sums, signs).max(1)
    chances = (1 + (largest[:, None] >= statistic - 1e-9).sum(0)) / (1 + TURNS)
    both, _ = by_group(np.concatenate([more, either], 2).reshape(count, -1), keys)
    low, high = intervals(both, sizes, lambda totals: _shares(totals, classes), np.full(more[0].size, np.nan))
    found = [
        Effect(
            swaps[place // classes],
            place % classes,
            int((either.reshape(count, -1)[:, place] > 0).sum()),
            float(sums[:, place].sum() / total[place]),
            None if np.isnan(low[place]) else float(low[place]),
            None if np.isnan(high[place]) else float(high[place]),
            float(chances[place]),
        )
        for place in np.flatnonzero(total > 0)
    ]
    return sorted(found, key=lambda effect: (not effect.certain, effect.chance, -effect.share))


def _studentised(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = np.sqrt(np.square(sums).sum(0))
    return np.asarray(np.divide(sums.sum(0), spread, out=np.zeros_like(spread), where=spread > 0))


def _turned(sums: NDArray[np.float64], signs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the statistics (T, M) of sums (G, M) with signs (T, G)."""
    spread = np.sqrt(np.square(sums).sum(0))
    return np.asarray(np.divide(signs @ sums, spread, out=np.zeros((len(signs), len(spread))), where=spread > 0))


def _shares(totals: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Return the effects (R, S * K) of totals (R, S * 2K), `more` before `either`."""
    parts = totals.reshape(len(totals), -1, 2, classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((parts[:, :, 0] / parts[:, :, 1]).reshape(len(totals), -1))
