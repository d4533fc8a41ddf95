"""Objects made of rectangles, and random scenes of them."""

from __future__ import annotations

import numpy as np

from maskwright.core.instances import Instance, Instances

SIDE = 130
SIDES = (1, 2, 3, 4, 6, 9, 13, 31, 32, 33, 50, 110, 125)


def box(
    top: int, left: int, height: int, width: int, index: int = 1, score: float = 1.0, crowd: bool = False
) -> Instance:
    """A filled rectangle."""
    return Instance(index, top, left, np.ones((height, width), np.bool_), score, crowd)


def image(*objects: Instance, size: tuple[int, int] = (SIDE, SIDE)) -> Instances:
    return Instances(size, objects)


def full(entry: Instance, size: tuple[int, int]) -> np.ndarray:
    """The mask of the whole image (H, W)."""
    mask = np.zeros(size, np.bool_)
    mask[entry.rows, entry.columns] = entry.mask
    return mask


def scene(seed: int, classes: int = 2, crowds: bool = True) -> tuple[Instances, Instances]:
    """Annotated and predicted objects that overlap in every way, with equal scores, equal IoUs and exact copies."""
    rng = np.random.default_rng(seed)
    truth = [_random(rng, classes) for _ in range(rng.integers(0, 7))]
    truth = [_changed(entry, crowd=bool(crowds and rng.random() < 0.2)) for entry in truth]
    found = [_random(rng, classes) for _ in range(rng.integers(0, 4))]
    for entry in truth:
        for _ in range(rng.integers(0, 3)):
            top = int(np.clip(entry.top + rng.integers(-3, 4), 0, SIDE - entry.mask.shape[0]))
            found.append(_changed(entry, top=top, crowd=False))
    found = [_changed(entry, score=float(rng.choice((0.2, 0.5, 0.5, 0.7, 0.9)))) for entry in found]
    return image(*truth), image(*found)


def flat_scene(seed: int, classes: int = 2) -> tuple[Instances, Instances]:
    """Two tilings of a part of the image: no object overlaps another of its own set."""
    rng = np.random.default_rng(seed)
    return tuple(image(*_tiles(rng, classes)) for _ in range(2))  # type: ignore[return-value]


def _tiles(rng: np.random.Generator, classes: int) -> list[Instance]:
    rows = np.cumsum(rng.integers(3, 9, 5))
    columns = np.cumsum(rng.integers(3, 9, 5))
    cells = [(top, left) for top in range(4) for left in range(4) if rng.random() < 0.7]
    found = []
    for down, across in cells:
        mask = rng.random((rows[down + 1] - rows[down], columns[across + 1] - columns[across])) < 0.9
        mask[0, 0] = mask[-1, -1] = True
        index, score = int(rng.integers(1, classes + 1)), float(rng.random())
        found.append(Instance(index, int(rows[down]), int(columns[across]), mask, score))
    return found


def _random(rng: np.random.Generator, classes: int) -> Instance:
    height, width = (int(side) for side in rng.choice(SIDES, 2))
    top, left = (int(rng.integers(0, SIDE - side + 1)) for side in (height, width))
    mask = rng.random((height, width)) < 0.8
    mask[0, 0] = mask[-1, -1] = True
    return Instance(int(rng.integers(1, classes + 1)), top, left, mask)


def _changed(entry: Instance, **changes: object) -> Instance:
    kept = {name: getattr(entry, name) for name in ("index", "top", "left", "mask", "score", "crowd")}
    return Instance(**{**kept, **changes})  # type: ignore[arg-type]
