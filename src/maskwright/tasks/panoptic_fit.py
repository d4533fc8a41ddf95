"""Fit the least area of stuff on validation images, from the classes alone. Knows no network and no object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.tasks.base import Adjustments
from maskwright.tasks.label_map import decide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.tasks.base import Decoding, Seen
    from maskwright.tasks.block import Block

LEAST = "stuff"
"""Name of the threshold: fewer pixels of a class in the whole image become nothing."""
TRIED = (0.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0)


class StuffFit:
    """Watches predictions, and keeps four numbers of each class of stuff in each image.

    Args:
        classes: which of them are stuff.
    """

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        self._rows: list[tuple[int, float, float, bool, bool]] = []

    def watched(self, seen: Iterator[Seen]) -> Iterator[Seen]:
        """Pass predictions on, and look at their maps."""
        for entry in seen:
            yield entry._replace(blocks=self._watched(entry))

    def _watched(self, entry: Seen) -> Iterator[Block]:
        labels = np.full(entry.target.size, IGNORE, np.uint8)
        for block in entry.blocks:
            labels[block.rows, block.columns] = decide(block.maps[: len(self._classes)])[0]
            yield block
        self.add(labels, entry.target.labels)

    def add(self, found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        """Keep (class, area, IoU, there, excused) of the stuff of an image; labels are (H, W)."""
        known = truth != IGNORE
        for index in self._classes.stuff:
            guess, true = found == index, truth == index
            area, seen = int(guess.sum()), int((guess & known).sum())
            shared, there = int((guess & true).sum()), bool(true.any())
            if area or there:
                iou = shared / max(seen + int(true.sum()) - shared, 1)
                self._rows.append((index, area, iou, there, 2 * (area - seen) > area))

    def fitted(self) -> Adjustments:
        """Choose the area with the best panoptic quality of stuff, the smallest of equals."""
        if not self._rows:
            return Adjustments()
        qualities = [self._quality(least) for least in TRIED]
        best = int(np.argmax(np.round(qualities, 9)))
        if not TRIED[best]:
            return Adjustments({LEAST: 0.0})
        note = (
            f"minimum area of stuff fitted on validation images: {TRIED[best]:g} px (PQ of stuff: {qualities[0]:.3f} "
            f"without a limit, {qualities[best]:.3f} with it)"
        )
        return Adjustments({LEAST: TRIED[best]}, (note,))

    def _quality(self, least: float) -> float:
        index, area, iou, there, excused = (np.array(column) for column in zip(*self._rows, strict=True))
        kept = (area >= least) & (area > 0)
        hit = kept & there & (iou > 0.5)
        extra = kept & ~hit & ~excused
        missed = there & ~hit
        by_class = [np.bincount(index, part) for part in (iou * hit, hit + 0.5 * extra + 0.5 * missed)]
        some = by_class[1] > 0
        return float((by_class[0][some] / by_class[1][some]).mean()) if some.any() else 0.0


def least_stuff(decoding: Decoding) -> float:
    """Return the least pixels of stuff in an image."""
    least = decoding.get(LEAST, 0.0)
    assert isinstance(least, float)
    return least
