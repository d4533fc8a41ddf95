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
        excess: how much more error they have than the rest, beyond what their classes explain.
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
        Slices that are worse than the rest, the most certain first; then those with too few groups, in the order of the
        chance that independent images would give.
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
    """Compare slices with the rest by permutations of the groups, given as the number of each image's group."""
    if not kept:
        return []
    beyond = errors - expected
    masks = np.stack(list(kept.values())).astype(np.float64)
    sums = _by_group(np.vstack([masks, np.ones_like(beyond)]), group)
    totals = _by_group((beyond - beyond.mean())[None], group)[0]
    inside, everyone = sums[:-1] / np.maximum(sums[-1], 1), sums[-1]
    observed = _excess(inside, everyone, totals / everyone)
    rng = np.random.default_rng(seed)
    draws = np.stack(
        [_excess(inside, everyone, (totals / everyone)[rng.permutation(len(totals))]) for _ in range(PERMUTATIONS)]
    )
    chances = (1 + (draws >= observed - 1e-12).sum(0)) / (1 + PERMUTATIONS)
    found = [
        Slice(name, int(chosen.sum()), float(errors[chosen].mean()), float(errors[~chosen].mean()), float(more), chance)
        for (name, chosen), more, chance in zip(kept.items(), observed, _holm(chances), strict=True)
        if more > 0
    ]
    return sorted(found, key=lambda entry: (entry.chance or 0.0, -entry.excess * entry.images))


def _enough(chosen: NDArray[np.bool_], group: NDArray[np.intp]) -> bool:
    """Whether a slice and the rest both have enough groups to compare."""
    return min(len(set(group[chosen])), len(set(group[~chosen]))) >= FEWEST


def _by_group(values: NDArray[np.float64], group: NDArray[np.intp]) -> NDArray[np.float64]:
    totals = np.zeros((len(values), int(group.max()) + 1))
    for row, total in zip(values, totals, strict=True):
        np.add.at(total, group, row)
    return totals


def _excess(
    inside: NDArray[np.float64], weight: NDArray[np.float64], beyond: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean inside each slice (S,) less the mean outside.

    Args:
        inside: (S, G), share of each group that is in the slice.
        weight: (G,) images of each group.
        beyond: (G,) mean excess of each group.
    """
    within, without = inside * weight, (1 - inside) * weight
    return np.asarray(within @ beyond / within.sum(1) - without @ beyond / without.sum(1))


def _holm(chances: NDArray[np.float64]) -> list[float]:
    """Return the probabilities of n looks, each adjusted for all of them."""
    order = np.argsort(chances)
    adjusted = np.maximum.accumulate(chances[order] * np.arange(len(chances), 0, -1))
    result = np.empty(len(chances))
    result[order] = np.minimum(adjusted, 1)
    return [float(value) for value in result]
