"""Found and missed objects by size. Knows no pixels and no way to match objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.scores import SizeBin

if TYPE_CHECKING:
    from collections.abc import Sequence


def size_bins(areas: Sequence[int], found: Sequence[bool]) -> tuple[SizeBin, ...]:
    """Sort true objects by the diameter of a circle of their area, into bins that grow by the square root of 2.

    Args:
        areas: (n,) pixels of each object, at least 1.
        found: (n,) whether a prediction matches it.
    """
    if not len(areas):
        return ()
    diameters = 2 * np.sqrt(np.asarray(areas, np.float64) / np.pi)
    steps = np.floor(2 * np.log2(diameters)).astype(np.int64)
    first, hits = int(steps.min()), np.asarray(found, bool)
    every, matched = np.bincount(steps - first), np.bincount(steps - first, hits).astype(np.int64)
    return tuple(
        SizeBin(2 ** ((first + place) / 2), 2 ** ((first + place + 1) / 2), hit, total - hit)
        for place, (total, hit) in enumerate(zip(every.tolist(), matched.tolist(), strict=True))
    )
