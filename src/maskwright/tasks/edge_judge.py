"""Scores edges by the protocol of the Berkeley benchmark. Keeps a few counts of each image, and no map."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.resources import cores
from maskwright.core.workers import workers
from maskwright.metrics.edge_counts import PARTS, THRESHOLDS, edge_counts
from maskwright.metrics.edge_summary import ImageEdges, edge_scores
from maskwright.tasks.edge_map import EdgeMap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from maskwright.core.targets import Target
    from maskwright.metrics.scores import Scores
    from maskwright.tasks.block import Block

QUICK_THRESHOLDS = 9
"""Thresholds during training: a tenth of the time, and ODS between them is interpolated."""
ROUGH = f"edges were matched at {QUICK_THRESHOLDS} thresholds instead of {THRESHOLDS}, without the shortest distances"


class EdgeJudge:
    """Scores one image after another; see `tasks.base.Judge`.

    Found edges where nothing is known do not count.

    Args:
        quick: try 9 thresholds instead of 99, and do not look for the shortest matching of pixels.
    """

    def __init__(self, *, quick: bool = False) -> None:
        self._quick = quick
        self._images: list[ImageEdges] = []

    def update(self, id: str, blocks: Iterable[Block], target: Target, group: str | None = None) -> None:  # noqa: A002
        """Match the edges of one image with those that each person drew."""
        assert target.edges is not None
        thresholds = QUICK_THRESHOLDS if self._quick else THRESHOLDS
        people = target.edges.maps()
        counts = edge_counts(known_ridges(blocks, target), people, thresholds, pool=workers(), quick=self._quick)
        self._images.append(ImageEdges(id, group, counts))

    def score(self) -> float | None:
        """Return ODS; None where no image has a true edge."""
        return self.compute().score.value if self._images else None

    def compute(self) -> Scores:
        """Return all scores.

        Raises:
            MaskwrightError: nothing was scored.
        """
        if not self._images:
            raise MaskwrightError("there is nothing to score: no image with a truth was judged")
        return edge_scores("edges", self._images)


def known_ridges(blocks: Iterable[Block], target: Target) -> NDArray[np.float32]:
    """Return the ridges (H, W) of a prediction within 0..1, and 0 where nothing is known."""
    ridges = EdgeMap.of(blocks, target.size).ridges
    return np.where(target.labels == IGNORE, np.float32(0), ridges).clip(0, 1)


def seconds_of(blocks: Iterable[Block], target: Target) -> float:
    """Estimate the seconds in which `EdgeJudge` scores one image, by matching at as many thresholds as there are cores.

    Matching the map of an untrained network at all of them takes minutes.
    """
    assert target.edges is not None
    some, pool = min(cores(), PARTS), workers()
    begun = time.monotonic()
    ridges = known_ridges(blocks, target)
    predicted = time.monotonic()
    edge_counts(ridges, target.edges.maps(), some, pool=pool)
    return predicted - begun + (time.monotonic() - predicted) * THRESHOLDS / some
