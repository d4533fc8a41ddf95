"""Likely errors of the annotation: regions where a model that is right when it is so sure says another class.

After Northcutt, Jiang, Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels": a pixel is
suspected if the probability of another class exceeds what the model usually gives to pixels that it reads as that class
and that are annotated so. Where we differ: pixels near a border of the annotation do not count, because annotators
differ by a few pixels there; neighbours with the same two readings are one region; and readings of a class that the
model gets wrong too often when it is sure do not count, nor do annotations of a class that it misses too often, because
these are errors of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.diagnosis.zones import border_distance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TOLERANCE = 4.0
"""Pixels from a border of the annotation within which annotators disagree."""
SURE = 0.8
"""Least confidence of a suspected pixel."""
RIGHT = 0.9
"""Share of the pixels read as a class with such confidence that must be annotated so."""
FOUND = 0.5
"""Recall that a class must have before its annotation is doubted."""
LEAST_PIXELS = 30


@dataclass(frozen=True)
class Suspect:
    """A region whose annotation is likely wrong.

    Attributes:
        top, left, bottom, right: its box, in pixels; the last two excluded.
        pixels: of the region.
        given: class index in the annotation.
        read: class index that the model says.
        confidence: mean probability that the model gives to it.
    """

    top: int
    left: int
    bottom: int
    right: int
    pixels: int
    given: int
    read: int
    confidence: float

    @property
    def weight(self) -> float:
        """To rank by: sure readings and large diameters first."""
        return float(self.confidence * np.sqrt(self.pixels))


def sureness(
    maps: Sequence[tuple[NDArray[np.uint8], NDArray[np.floating], NDArray[np.uint8]]], classes: int
) -> NDArray[np.float64]:
    """Return the confidence (K,) from which on a reading of each class is believed; infinite for one that is not.

    Args:
        maps: (labels, confidence, truth) of images, all (H, W), that the model was not trained on.
        classes: number of classes.
    """
    sums = np.zeros((classes, 2))  # of the confidence of right pixels, and their number
    for labels, confidence, truth in maps:
        right = (labels == truth) & (truth != IGNORE)
        sums[:, 0] += np.bincount(labels[right], confidence[right].astype(np.float64), classes)[:classes]
        sums[:, 1] += np.bincount(labels[right], minlength=classes)[:classes]
    least = np.maximum(SURE, np.divide(sums[:, 0], sums[:, 1], out=np.full(classes, np.inf), where=sums[:, 1] > 0))
    counts = np.zeros((classes, 2))
    for labels, confidence, truth in maps:
        known = (truth != IGNORE) & (labels < classes)
        sure = known & (confidence >= least[np.minimum(labels, classes - 1)])
        counts[:, 1] += np.bincount(labels[sure], minlength=classes)[:classes]
        counts[:, 0] += np.bincount(labels[sure & (labels == truth)], minlength=classes)[:classes]
    return np.where(counts[:, 0] >= RIGHT * np.maximum(counts[:, 1], 1), least, np.inf)


def recognised(
    maps: Sequence[tuple[NDArray[np.uint8], NDArray[np.floating], NDArray[np.uint8]]], classes: int
) -> NDArray[np.bool_]:
    """Return which classes (K,) the model finds often enough that their annotation can be doubted."""
    counts = np.zeros((classes, 2))
    for labels, _, truth in maps:
        known = truth != IGNORE
        counts[:, 0] += np.bincount(truth[known & (labels == truth)], minlength=classes)[:classes]
        counts[:, 1] += np.bincount(truth[known], minlength=classes)[:classes]
    return np.asarray((counts[:, 1] > 0) & (counts[:, 0] >= FOUND * counts[:, 1]))


def suspects(
    labels: NDArray[np.uint8],
    confidence: NDArray[np.floating],
    truth: NDArray[np.uint8],
    least: NDArray[np.float64],
    doubted: NDArray[np.bool_],
) -> list[Suspect]:
    """Return the regions of one image whose annotation is likely wrong, the largest weight first.

    Args:
        labels: (H, W) class indices of the model.
        confidence: (H, W) probability of these.
        truth: (H, W) class indices, or `IGNORE`.
        least: (K,) of `sureness`.
        doubted: (K,) of `recognised`.
    """
    classes = len(least)
    known = (truth < classes) & (labels < classes) & (labels != truth)
    known &= doubted[np.minimum(truth, classes - 1)]
    if not known.any():
        return []
    sure = known & (confidence >= least[np.minimum(labels, classes - 1)]) & (border_distance(truth) >= TOLERANCE)
    pairs = np.where(sure, labels.astype(np.int32) * classes + truth, -1)
    found = []
    for code in np.unique(pairs[sure]):
        number, places, stats, _ = cv2.connectedComponentsWithStats((pairs == code).view(np.uint8), connectivity=8)
        sums = np.bincount(places.ravel(), confidence.ravel().astype(np.float64), number)
        for index in range(1, number):
            left, top, width, height, pixels = (int(value) for value in stats[index])
            if pixels >= LEAST_PIXELS:
                mean = float(sums[index] / pixels)
                given, read = int(code) % classes, int(code) // classes
                found.append(Suspect(top, left, top + height, left + width, pixels, given, read, mean))
    return sorted(found, key=lambda entry: -entry.weight)
