"""Slices of the images on which a model is worse than on the others, with a correction for the number of looks.

A slice is one end of a measured fact (the darkest quarter), a group, or the images that show a class. What is compared
is the error of an image beyond that expected of the classes in it: an image full of a hard class is no surprise. How
likely such a difference is by chance comes from permutations of the images, or of the groups if images of one group are
alike, and is multiplied by the number of looks in the manner of Holm 1979, "A simple sequentially rejective multiple
test procedure".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.intervals import row_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

PERMUTATIONS = 4999
_BLOCK = 200
"""Permutations that are in memory at a time."""
SAME = 1e-12
"""Differences up to here are rounding."""
MOST = 10
"""Slices that are named, at most."""
FEWEST = 3
"""Images, or groups, that a slice and the rest of the images must have."""
CHANCE = 0.05


@dataclass(frozen=True)
class Slice:
    """Images that have something in common.

    Attributes:
        name: of them, in words.
        images: number of them.
        error: their mean error.
        rest: mean error of the other images.
        excess: how much more error they have than the rest, beyond what their classes and the slices before explain.
        chance: probability of such an excess in any of the slices if nothing but chance is at work; None where too few
            groups are in the slice, or outside of it, to tell.
    """

    name: str
    images: int
    error: float
    rest: float
    excess: float
    chance: float | None

    @property
    def certain(self) -> bool:
        """Whether chance is an unlikely explanation."""
        return self.chance is not None and self.chance <= CHANCE


def expected_errors(pixels: NDArray[np.float64], wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of wrong pixels (n,) that the classes of each image lead one to expect.

    Args:
        pixels: (n, K) of each image and true class.
        wrong: (n, K), those of them that are wrong.
    """
    rates = wrong.sum(0) / np.maximum(pixels.sum(0), 1)
    return np.asarray(pixels @ rates / np.maximum(pixels.sum(1), 1))


def ends(
    facts: Mapping[str, NDArray[np.float64]], names: Mapping[str, tuple[str, str]]
) -> dict[str, NDArray[np.bool_]]:
    """Return the lowest and the highest quarter of the images by each fact: name -> members (n,)."""
    found: dict[str, NDArray[np.bool_]] = {}
    for fact, values in facts.items():
        low, high = np.quantile(values, (0.25, 0.75))
        if low == high:
            continue
        for word, members in zip(names[fact], (values <= low, values >= high), strict=True):
            found[f"{word} images"] = members
    return found


def worst_slices(
    members: Mapping[str, NDArray[np.bool_]],
    errors: NDArray[np.float64],
    expected: NDArray[np.float64],
    groups: Sequence[str | None],
    seed: int = 0,
) -> list[Slice]:
    """Compare slices with the rest of the images.

    Args:
        members: name -> images (n,) of the slice.
        errors: (n,) share of wrong pixels, or another error of each image.
        expected: (n,) of them, as the classes of each image explain.
        groups: of the images; those of one group are permuted together.
        seed: of the permutations.

    Returns:
        Slices that are worse than the rest, the most certain first, each beyond those before it; then those with too
        few groups, in the order of the chance that independent images would give.
    """
    places = {key: place for place, key in enumerate(dict.fromkeys(row_keys(groups)))}
    group, single = np.array([places[key] for key in row_keys(groups)]), np.arange(len(errors))
    kept = {name: chosen for name, chosen in members.items() if _enough(chosen, group)}
    others = {name: chosen for name, chosen in members.items() if name not in kept and _enough(chosen, single)}
    found = _compared(kept, errors, expected, group, seed)
    return found + [replace(entry, chance=None) for entry in _compared(others, errors, expected, single, seed)]


def _compared(
    kept: Mapping[str, NDArray[np.bool_]],
    errors: NDArray[np.float64],
    expected: NDArray[np.float64],
    group: NDArray[np.intp],
    seed: int,
) -> list[Slice]:
    """Name the worst slice, take what it explains away, and go on: so each one tells of other images.

    By permutations of the groups, given as the number of each image's group.
    """
    beyond, left, found, least = errors - expected, dict(kept), list[Slice](), 0.0
    explained = [np.ones(len(errors))]
    while left and len(found) < MOST:
        excess, chances = _tested(np.stack(list(left.values())), beyond, group, seed)
        adjusted = _holm(chances)
        sizes = [chosen.mean() * (1 - chosen.mean()) for chosen in left.values()]
        ranks = [(adjusted[place], chances[place], -more * sizes[place] ** 0.5) for place, more in enumerate(excess)]
        place = ranks.index(min(ranks))
        if excess[place] <= SAME:
            break
        name = list(left)[place]
        chosen = left.pop(name)
        least = max(least, adjusted[place])  # what comes after an uncertain one is not certain
        means = float(errors[chosen].mean()), float(errors[~chosen].mean())
        found.append(Slice(name, int(chosen.sum()), *means, float(excess[place]), least))
        explained.append(chosen.astype(np.float64))
        columns = np.stack(explained, 1)
        # All named slices at once: the excess of one depends on which images of another it holds.
        beyond = errors - expected - columns @ np.linalg.lstsq(columns, errors - expected)[0]
    return found


def _tested(
    masks: NDArray[np.bool_], beyond: NDArray[np.float64], group: NDArray[np.intp], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the excess (S,) of each slice (S, n) over the rest, and how often groups in random order give as much."""
    sums = _by_group(np.vstack([masks, np.ones_like(beyond), beyond - beyond.mean()]).astype(np.float64), group)
    within, images, totals = sums[:-2], sums[-2], sums[-1]
    without = images - within
    weights = within / within.sum(1, keepdims=True) - without / without.sum(1, keepdims=True)  # mean inside - outside
    excess = weights @ (totals / images)
    rng = np.random.default_rng(seed)
    as_much = np.zeros(len(excess), np.int64)
    for first in range(0, PERMUTATIONS, _BLOCK):
        shuffled = rng.permuted(np.tile(totals / images, (min(_BLOCK, PERMUTATIONS - first), 1)), axis=1)
        as_much += (shuffled @ weights.T >= excess - SAME).sum(0)
    return excess, (1 + as_much) / (1 + PERMUTATIONS)


def _enough(chosen: NDArray[np.bool_], group: NDArray[np.intp]) -> bool:
    """Whether a slice and the rest both have enough groups to compare."""
    return min(len(set(group[chosen])), len(set(group[~chosen]))) >= FEWEST


def _by_group(values: NDArray[np.float64], group: NDArray[np.intp]) -> NDArray[np.float64]:
    totals = np.zeros((len(values), int(group.max()) + 1))
    for row, total in zip(values, totals, strict=True):
        np.add.at(total, group, row)
    return totals


def _holm(chances: NDArray[np.float64]) -> list[float]:
    """Return the probabilities of n looks, each adjusted for all of them."""
    order = np.argsort(chances)
    adjusted = np.maximum.accumulate(chances[order] * np.arange(len(chances), 0, -1))
    result = np.empty(len(chances))
    result[order] = np.minimum(adjusted, 1)
    return [float(value) for value in result]
