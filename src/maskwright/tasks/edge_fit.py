"""Fits the thresholds of lines on validation images: that of ODS, then how much weaker ridges may continue a line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.text import plural
from maskwright.core.workers import workers
from maskwright.metrics.edge_counts import edge_counts
from maskwright.metrics.edge_summary import ImageEdges, edge_scores, rates
from maskwright.ops.edges import linked
from maskwright.tasks.base import Adjustments
from maskwright.tasks.edge_judge import known_ridges
from maskwright.tasks.edge_map import Linking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.core.edges import Edges
    from maskwright.tasks.base import Seen

    Images = list[tuple[NDArray[np.float32], Edges]]

THRESHOLDS = 33
"""Thresholds among which that of ODS is looked for."""
MOST_PIXELS = 20_000_000
"""Pixels of ridges that are kept in memory."""
SHARES = ((1.0, 0.75), (1.0, 0.5), (1.25, 0.75), (1.25, 0.5), (1.5, 0.75), (1.5, 0.5))
"""The tried thresholds (high, low), as shares of that of ODS."""


def fit_edges(seen: Iterator[Seen], deadline: float | None) -> Adjustments:
    """Choose the thresholds with the highest F1 over all images.

    Args:
        seen: predictions with their truth.
        deadline: in seconds of `time.monotonic()`; what was not tried by then is left out. None for no limit.
    """
    images: Images = []
    counted: list[ImageEdges] = []
    room = MOST_PIXELS
    for entry in seen:
        assert entry.target.edges is not None
        ridges = known_ridges(entry.blocks, entry.target)
        images.append((ridges, entry.target.edges))
        counts = edge_counts(ridges, entry.target.edges.maps(), THRESHOLDS, pool=workers(), quick=True)
        counted.append(ImageEdges(entry.id, None, counts))
        room -= ridges.size
        if room < 0 or (deadline is not None and time.monotonic() > deadline):
            break
    scores = edge_scores("edges", counted) if counted else None
    if scores is None or scores.edges is None or scores.score.value is None:
        return Adjustments()
    high = scores.edges.threshold
    best, score = Linking(high, high), _f1(images, Linking(high, high))
    for up, down in SHARES:
        if deadline is not None and time.monotonic() > deadline:
            break
        tried = Linking(min(up * high, 0.99), down * high)
        found = _f1(images, tried)
        if found > score:
            best, score = tried, found
    reach = f"start at a strength of {best.high:.2f} and go on down to {best.low:.2f}"
    if best.high == best.low:
        reach = f"have a strength of at least {best.high:.2f}"
    note = f"lines {reach}: F1 {score:.3f} on {plural(len(images), 'validation image')}"
    return Adjustments({"high": best.high, "low": best.low}, (note,))


def _f1(images: Images, linking: Linking) -> float:
    counts = np.zeros(4)
    for ridges, truth in images:
        lines = linked(ridges, linking.low, linking.high).astype(np.float32)
        counts += edge_counts(lines, truth.maps(), 1, quick=True)[0]
    return float(rates(counts)[2])
