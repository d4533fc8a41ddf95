"""Class offsets: constants added to the logits so that the likeliest class gives the best mean IoU on validation data.

A network trained with weighted classes ranks pixels well between pole and sky, but its decision threshold follows the
weights and is not the best one for IoU (Lipton et al. 2014 show for F1 that the best threshold is not 1/2). One
constant per class, fitted after training, moves the thresholds.

The constants are fitted on two halves of the images, or of the pixels where there is one image. Their mean is kept only
if the constants of each half help the other.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.confusion import confusion_matrix, iou, mean_defined, per_class

if TYPE_CHECKING:
    from numpy.typing import NDArray

CANDIDATES = np.linspace(-2.0, 2.0, 33)
ROUNDS = 3
LEAST_GAIN = 0.002
STRENGTH = np.float32(0.5)
"""The share of the fitted constants that is applied, because validation images are few and similar. On the held-out
half of CamVid, two networks gained 2.2 and 1.9 points of mean IoU from half of them, and 2.9 and 1.2 from all."""


def fit_offsets(
    scores: NDArray[np.float32],
    truth: NDArray[np.uint8],
    images: NDArray[np.int64],
    deadline: float | None = None,
) -> NDArray[np.float32]:
    """Return one constant per class (K,); all are 0 if no constants help.

    Args:
        scores: logits or log-probabilities (n, K) of sampled pixels.
        truth: class indices (n,), all below K.
        images: number of the image that each pixel is from (n,).
        deadline: in seconds of `time.monotonic()`: the search stops at it and keeps what it has found.
    """
    none = np.zeros(scores.shape[1], np.float32)
    sides = images if (images != images[:1]).any() else np.arange(len(images))
    halves = [sides % 2 == side for side in (0, 1)]
    if scores.shape[1] < 2 or not all(half.any() for half in halves):
        return none
    found = [ascend(scores[half], truth[half], deadline) for half in halves]
    for offsets, other in zip(found, reversed(halves), strict=True):
        gain = mean_iou(scores[other] + offsets, truth[other]) - mean_iou(scores[other], truth[other])
        if gain < LEAST_GAIN:
            return none
    return np.asarray(STRENGTH * np.mean(found, axis=0), np.float32)


def ascend(scores: NDArray[np.float32], truth: NDArray[np.uint8], deadline: float | None = None) -> NDArray[np.float32]:
    """Climb the mean IoU, one class's constant at a time; `scores` (n, K), `truth` (n,); return (K,)."""
    offsets = np.zeros(scores.shape[1], np.float32)
    present, places = np.unique(truth, return_inverse=True)
    if len(present) < len(offsets):
        # An absent class could only lower the score: a constant against it would also suppress it elsewhere.
        offsets[present] = ascend(scores[:, present], places.astype(np.uint8), deadline)
        return offsets
    top = Top(scores)
    for _ in range(ROUNDS):
        before = offsets.copy()
        for index in range(len(offsets)):
            if deadline is not None and time.monotonic() > deadline:
                break
            values = mean_iou_by_offset(top, truth, index)
            best = np.flatnonzero(values >= values.max() - 1e-9)
            step = CANDIDATES[best[np.argmin(np.abs(CANDIDATES[best]))]]
            offsets[index] += step
            top.add(index, step)
        if np.array_equal(before, offsets):
            break
    return offsets - offsets.mean()


class Top:
    """The two likeliest classes of each pixel, updated whenever a constant is added to a class.

    Attributes:
        scores: (n, K), a copy of the given scores plus the added constants.
        first, second: class indices (n,).
    """

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores = scores.copy()
        self.first = np.empty(len(scores), np.intp)
        self.second = np.empty(len(scores), np.intp)
        self._rank(np.arange(len(scores)))

    def add(self, index: int, offset: float) -> None:
        """Add a constant to one class, and rank the affected pixels again."""
        if offset == 0:
            return
        self.scores[:, index] += np.float32(offset)
        bar = np.take_along_axis(self.scores, self.second[:, None], axis=1)[:, 0]
        among = (self.first == index) | (self.second == index) | (self.scores[:, index] >= bar)
        self._rank(np.flatnonzero(among))

    def rivals(self, index: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the likeliest class other than `index` (n,), and how far `index` is above it (n,)."""
        rival = np.where(self.first == index, self.second, self.first)
        return rival, self.scores[:, index] - np.take_along_axis(self.scores, rival[:, None], axis=1)[:, 0]

    def _rank(self, places: NDArray[np.intp]) -> None:
        scores = self.scores[places]
        rows = np.arange(len(places))
        first = scores.argmax(axis=1)
        scores[rows, first] = -np.inf
        self.first[places], self.second[places] = first, scores.argmax(axis=1)


def mean_iou_by_offset(top: Top, truth: NDArray[np.uint8], index: int) -> NDArray[np.float64]:
    """Return the mean IoU for each of `CANDIDATES` added to class `index`, all in one pass.

    A pixel changes to the class at the first candidate above its margin to the best other class. Cumulative sums over
    these turning points therefore give the counts for every candidate.
    """
    classes, steps = top.scores.shape[1], len(CANDIDATES)
    rival, margin = top.rivals(index)
    turning = np.searchsorted(CANDIDATES, -margin, side="right")

    def turned(places: NDArray[np.intp]) -> NDArray[np.int64]:
        """Count the pixels that have changed, by candidate and rival; the last row counts all."""
        counts = np.bincount(places, minlength=(steps + 1) * classes)
        return counts.reshape(steps + 1, classes).cumsum(axis=0)

    cells = turning * classes + rival
    gone, gone_right = turned(cells), turned(cells[rival == truth])
    counts = np.empty((steps, classes, 3), np.int64)
    counts[..., 0] = gone_right[-1] - gone_right[:-1]
    counts[..., 1] = gone[-1] - gone[:-1]
    counts[..., 2] = np.bincount(truth, minlength=classes)
    won = np.bincount(turning[truth == index], minlength=steps + 1)[:steps]
    counts[:, index, 0], counts[:, index, 1] = won.cumsum(), gone[:-1].sum(axis=1)
    return mean_defined(iou(counts))


def mean_iou(scores: NDArray[np.float32], truth: NDArray[np.uint8]) -> float:
    """Return the mean IoU of the likeliest classes over the pixels given."""
    chosen = scores.argmax(axis=1).astype(np.uint8)
    return float(mean_defined(iou(per_class(confusion_matrix(chosen, truth, scores.shape[1])))))
