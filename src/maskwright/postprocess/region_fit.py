"""The least area that a connected region of each class should have, chosen by IoU. Knows label maps, and no network.

A region that is too small takes the class of most of its border. The pixels of a region by their true class tell what
that changes in the confusion matrix, so every area is tried without another label map.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.metrics.confusion import iou, mean_defined, per_class
from maskwright.ops.small_regions import CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.ops.small_regions import Regions

AREAS = tuple(2**power for power in range(2, 13))
"""Least areas that are tried, in pixels."""
ROUNDS = 2
"""Passes over the classes: what one loses, another gains."""


@dataclass(frozen=True, eq=False)
class RegionTable:
    """What is kept of the predicted regions of an image, or of several.

    Attributes:
        labels, surrounding: uint8 (R,), class of each region, and the class that it takes if it goes.
        areas: int64 (R,), in pixels.
        truth: int64 (R, K), its pixels by their true class.
    """

    labels: NDArray[np.uint8]
    surrounding: NDArray[np.uint8]
    areas: NDArray[np.int64]
    truth: NDArray[np.int64]

    @classmethod
    def of(cls, regions: Regions, truth: NDArray[np.uint8]) -> Self:
        """Tabulate the regions of an image with its truth (H, W), class indices or `IGNORE`."""
        count, classes = regions.borders.shape
        known = truth != IGNORE
        codes = regions.ids[known].astype(np.int64) * classes + truth[known]
        shown = np.bincount(codes, minlength=count * classes).reshape(count, classes)
        return cls(regions.labels, regions.surrounding, regions.areas, shown)

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """Return the regions of several images as one table."""
        return cls(*(np.concatenate([getattr(table, entry.name) for table in tables]) for entry in fields(cls)))

    def smaller_than(self, least: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which regions (R,) are smaller than the least area (K,) of their class."""
        return np.asarray(self.areas < np.pad(least, (0, CODES - len(least)))[self.labels])

    def confusion(self, gone: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the confusion matrix (K, K), row truth, column prediction, if some regions (R,) go."""
        return self._matrix(np.where(gone, self.surrounding, self.labels), np.ones(len(gone), np.bool_))

    def moved(self, gone: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return what changes in the confusion matrix (K, K) if some regions (R,) go."""
        return self._matrix(self.surrounding, gone) - self._matrix(self.labels, gone)

    def _matrix(self, predicted: NDArray[np.uint8], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        matrix = np.zeros((self.truth.shape[1],) * 2, np.int64)
        chosen = chosen & (predicted != IGNORE)
        np.add.at(matrix, predicted[chosen], self.truth[chosen])
        return matrix.T


def fit_areas(table: RegionTable) -> NDArray[np.int64]:
    """Return the least area (K,) of each class that gives the highest mean IoU; 0 where none raises it.

    It is 0 for a class that the truth does not show, too. If all regions of such a class go, it leaves the mean, which
    then rises by far; but nothing is known of the size of its objects.
    """
    classes = table.truth.shape[1]
    least = np.zeros(classes, np.int64)
    best = table.confusion(np.zeros(len(table.labels), np.bool_))
    shown = np.flatnonzero(best.sum(axis=1))
    for _ in range(ROUNDS):
        for index in shown.tolist():
            own = table.labels == index
            without = best - table.moved(own & (table.areas < least[index]))
            tried = {0: without} | {area: without + table.moved(own & (table.areas < area)) for area in AREAS}
            least[index] = max(tried, key=lambda area: (_mean_iou(tried[area]), -area))
            best = tried[int(least[index])]
    return least


def _mean_iou(matrix: NDArray[np.int64]) -> float:
    return float(np.nan_to_num(mean_defined(iou(per_class(matrix)))))
