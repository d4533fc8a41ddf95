"""Resizing an image whose rows come one band after another. Knows no file and no network.

Every output row is a weighted mean of a few input rows, so a band of the result needs a band of the image only. The
weights are those of `ops.images.resize_image`; that function rounds its sums in another order, so that values may
differ by one of 255 levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from maskwright.core.plan_data import Resizing


class ResizedRows:
    """The rows of a resized image.

    Args:
        rows: (start, stop) -> rows of the image, uint8 (stop - start, W, C).
        size: (height, width) of the image.
        working: (height, width) of the result.
        how: see `ops.images.resize_image`.
    """

    def __init__(
        self,
        rows: Callable[[int, int], NDArray[np.uint8]],
        size: tuple[int, int],
        working: tuple[int, int],
        how: Resizing,
    ) -> None:
        self._rows = rows
        area = how == "area" and working[0] * working[1] < size[0] * size[1]
        weigh = _areas if area else _neighbours
        self._down, self._across = (weigh(*sides) for sides in zip(size, working, strict=True))

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return rows start..stop of the result, uint8 (stop - start, width, C)."""
        places, weights = (part[start:stop] for part in self._down)
        first, last = int(places.min()), int(places.max()) + 1
        image = self._rows(first, last)
        tall = np.zeros((stop - start, *image.shape[1:]), np.float32)
        for place, weight in zip((places - first).T, weights.T, strict=True):
            tall += image[place] * weight[:, None, None]
        wide = np.zeros((stop - start, len(self._across[0]), image.shape[2]), np.float32)
        for place, weight in zip(self._across[0].T, self._across[1].T, strict=True):
            wide += tall[:, place] * weight[:, None]
        return np.asarray(np.floor(wide + np.float32(0.5)), np.uint8)


def _areas(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return for each target point the source points that it covers, (target, n), and their shares of it."""
    factor = source / target
    edges = np.arange(target + 1) * factor
    first = np.floor(edges[:-1]).astype(np.intp)
    points = first[:, None] + np.arange(int(np.ceil(factor)) + 1)
    covered = np.minimum(points + 1, edges[1:, None]) - np.maximum(points, edges[:-1, None])
    weights = np.clip(covered, 0, None).astype(np.float32)
    return np.minimum(points, source - 1), weights / weights.sum(axis=1, keepdims=True)


def _neighbours(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the two source points nearest to each target point, (target, 2), and their weights."""
    at = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    first = at.astype(np.intp)
    share = (at - first).astype(np.float32)
    return np.stack([first, np.minimum(first + 1, source - 1)], axis=1), np.stack([1 - share, share], axis=1)
