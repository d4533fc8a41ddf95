"""The region filter: connected regions that are too small for their class take the class around them.

So specks vanish and holes are filled: a hole is a small region of the class behind, of the background for
example. How small is too small is a number for each class, fitted on validation images (`postprocess.region_fit`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.plan import RegionsPlan
from maskwright.metrics.judge import most_likely
from maskwright.ops.small_regions import regions_of
from maskwright.ops.tiles import UNCUT, Cuts
from maskwright.postprocess.of_classes import OfClasses
from maskwright.postprocess.region_fit import AREAS, RegionTable, fit_areas
from maskwright.postprocess.search import Fit, quality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import Section
    from maskwright.postprocess.base import Sample

VALUES = 1 << 26  # of all maps of a piece: 256 MB
WHOLE = 1 << 23  # pixels: ids and borders take about 40 bytes for each


class RegionFilter(OfClasses):
    """Small regions take the class around them; see `postprocess.base.Postprocessor`."""

    label = "region filter"
    section = RegionsPlan
    limits: Mapping[str, tuple[float, float]] = {}

    @property
    def reach(self) -> float:
        """Twice the side of a square as large as the smallest region that stays: few are longer."""
        return 2 * math.sqrt(max(self.settings.least))

    def most_pixels(self, maps: int, channels: int) -> int:  # noqa: ARG002
        """Return the pixels of a piece."""
        return min(WHOLE, VALUES // maps)

    def apply(self, maps: NDArray[np.float32], _image: NDArray[np.uint8], cuts: Cuts = UNCUT) -> NDArray[np.float32]:
        """Exchange the probabilities of two classes where a region goes; a region that is cut stays."""
        labels = most_likely(maps)
        regions = regions_of(labels, len(maps), cuts)
        last = len(self.settings.least) - 1
        changed = regions.without(regions.areas < np.array(self.settings.least)[np.minimum(regions.labels, last)])
        result = maps.copy()
        rows, columns = np.nonzero(changed != labels)
        before, after = labels[rows, columns], changed[rows, columns]
        result[after, rows, columns] = maps[before, rows, columns]
        result[before, rows, columns] = maps[after, rows, columns]
        return result

    def describe(self) -> str:
        """Write the settings in one line."""
        return f"least {', '.join(map(str, self.settings.least))} px"

    @classmethod
    def fit(cls, samples: Sequence[Sample], start: Section, deadline: float | None) -> Fit:  # noqa: ARG003
        """Choose the least area of each class by IoU; `start` is not needed, since all areas are tried."""
        labels = [most_likely(sample.maps[: sample.classes]) for sample in samples]
        tables = [
            RegionTable.of(regions_of(found, sample.classes, sample.cuts), sample.truth)
            for found, sample in zip(labels, samples, strict=True)
        ]
        settings = RegionsPlan(least=tuple(fit_areas(RegionTable.joined(tables)).tolist()))
        chosen = cls(settings)
        cleaned = [
            most_likely(chosen.apply(sample.maps.astype(np.float32), sample.image, sample.cuts)) for sample in samples
        ]
        return Fit(cls, settings, quality(labels, samples), quality(cleaned, samples), len(samples), len(AREAS) + 1)
