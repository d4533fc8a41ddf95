"""Data sets of one drawing, written with any values, and their pixels counted by class."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.data.layouts import photo, write

from maskwright.core.classes import IGNORE
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_label
from maskwright.data.readers import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 48


def drawn(number: int = 0) -> np.ndarray:
    """Return classes: ground 0, a square of 14x14 in 1, and a square of 10x20 in 2, apart from each other."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[3 + number % 5 : 17 + number % 5, 4:18] = 1
    mask[30:40, 20 + number % 4 : 40 + number % 4] = 2
    return mask


ONE, TWO = 14 * 14, 10 * 20
GROUND = SIDE * SIDE - ONE - TWO


def as_values(*values: int) -> np.ndarray:
    """Return a look-up table from the classes of `drawn` to values."""
    return np.array(values)


def save(root: Path, masks: list[np.ndarray], suffix: str = ".png") -> Path:
    """Write images/ and masks/, each mask in its own type."""
    for number, mask in enumerate(masks):
        photo(root / "images" / f"{number:02}.png", number, (SIDE, SIDE))
        path = root / "masks" / f"{number:02}{'.npy' if mask.dtype not in (np.uint8, np.bool_) else suffix}"
        write(path, mask)
    return root


def counts(root: Path, **options: Any) -> dict[str, int]:
    """Count the pixels by class name, `ignored` and `faults` (masks that cannot be used)."""
    dataset = read_dataset(root, ReadOptions(**options))
    found: Counter[str] = Counter()
    for record in dataset.records:
        try:
            label = read_label(dataset, record, (SIDE, SIDE))
        except DecodeError:
            found["faults"] += 1
            continue
        for index, pixels in zip(*np.unique(label, return_counts=True), strict=True):
            found["ignored" if index == IGNORE else dataset.classes.names[index]] += int(pixels)
    return dict(found)


def kinds(root: Path, **options: Any) -> list[str]:
    return [fault.kind for fault in read_dataset(root, ReadOptions(**options)).faults]
