"""Small data sets in the layouts people have, written into a folder; helpers for the tests of the formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (6, 8)


def write(path: Path, array: np.ndarray, **options: object) -> Path:
    """Save an array as a picture, or as .npy, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path, **options)
    return path


def photo(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> Path:
    """Save a random RGB picture."""
    return write(path, np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def labels(values: list[int], size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a mask whose columns cycle through `values`."""
    return np.resize(np.array(values, np.uint8), (1, size[1])).repeat(size[0], axis=0)


def palette_mask(path: Path, array: np.ndarray, colors: list[tuple[int, int, int]]) -> Path:
    """Save a palette PNG."""
    picture = Image.new("P", array.shape[::-1])
    picture.putpalette([channel for color in colors for channel in color])
    picture.putdata(array.ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


def pairs(root: Path, values: list[int], count: int = 3) -> Path:
    """Write images/ and masks/ with index PNGs."""
    for number in range(count):
        photo(root / "images" / f"{number:02}.jpg", number)
        write(root / "masks" / f"{number:02}.png", labels(values))
    return root
