"""Which choices to try: the plan first, then a few changes at a time, then combinations of those that did well.

A proposal is a function of the seed, its number, the choices so far and their scores, so an interrupted search proposes
the same again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from maskwright.tuning.space import Choice, Space

FIRST = 4
"""Trials, that of the plan included, before good ones are combined."""
ANOTHER = 0.4
"""Probability that one more dimension is changed, again and again."""
PARENTS = 0.34
"""Share of the scored trials that are combined: the best ones."""
ATTEMPTS = 200


def proposal(
    space: Space, seed: int, earlier: Sequence[Choice], scores: Mapping[int, float], *, higher_is_better: bool = True
) -> Choice | None:
    """Return the next choice to try, one that was not proposed before; None if there is none left.

    Args:
        space: of the choices.
        seed: of the search.
        earlier: choices so far, that of the plan first.
        scores: number of an earlier trial -> its score, all comparable with each other.
        higher_is_better: whether larger scores are better.
    """
    number, seen = len(earlier), set(earlier)
    if not number:
        return space.plan
    if len(seen) >= space.size:
        return None
    rng = generator(seed, "tune", number)
    parents = _parents(earlier, scores, higher_is_better=higher_is_better)
    for attempt in range(ATTEMPTS):
        combine = len(parents) > 1 and number >= FIRST and number % 2 == 0 and attempt < ATTEMPTS // 2
        choice = _combined(space, rng, parents) if combine else _changed(space, rng, space.plan)
        if choice not in seen:
            return choice
    return _first_unseen(space, seen)


def _parents(earlier: Sequence[Choice], scores: Mapping[int, float], *, higher_is_better: bool) -> list[Choice]:
    ranked = sorted(scores, key=lambda trial: (scores[trial] * (-1 if higher_is_better else 1), trial))
    return [earlier[trial] for trial in ranked[: max(round(PARENTS * len(ranked)), 2)]]


def _combined(space: Space, rng: np.random.Generator, parents: Sequence[Choice]) -> Choice:
    """Take each dimension from one of two good trials, and now and then change one more."""
    first, second = rng.choice(len(parents), 2, replace=False)
    pairs = zip(parents[first], parents[second], strict=True)
    mixed = tuple(int(pair[rng.integers(2)]) for pair in pairs)
    return _changed(space, rng, mixed) if rng.random() < ANOTHER else mixed


def _changed(space: Space, rng: np.random.Generator, choice: Choice) -> Choice:
    """Change one dimension or more, by their weights."""
    found = list(choice)
    weights = [dimension.weight for dimension in space.dimensions]
    while True:
        place = _drawn(rng, weights)
        options = space.dimensions[place].options
        found[place] = 1 + _drawn(rng, [option.weight for option in options])
        if rng.random() >= ANOTHER:
            return tuple(found)


def _drawn(rng: np.random.Generator, weights: Sequence[float]) -> int:
    total = sum(weights)
    return int(rng.choice(len(weights), p=[weight / total for weight in weights]))


def _first_unseen(space: Space, seen: set[Choice]) -> Choice | None:
    """Count through all choices, the first dimension fastest."""
    choice = list(space.plan)
    for _ in range(len(seen) + 1):
        if tuple(choice) not in seen:
            return tuple(choice)
        for place, dimension in enumerate(space.dimensions):
            choice[place] = (choice[place] + 1) % (1 + len(dimension.options))
            if choice[place]:
                break
    return None
