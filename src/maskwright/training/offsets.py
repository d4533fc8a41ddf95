"""Class offsets: constants added to the logits so that the likeliest class gives the best mean IoU on validation data.

A network trained with weighted classes knows which pixels are rather pole than sky, but draws the line where the
weights put it, not where IoU is best (Lipton et al. 2014 show for F1 that the best threshold is not 1/2). One constant
a class, fitted after training, moves the lines; it is folded into the bias of the last layer, so that nothing else
need know.

Fitted on two halves of the images; kept, as their mean, only when each half's constants help the other half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.confusion import confusion_matrix, iou, mean_defined, per_class

if TYPE_CHECKING:
    from numpy.typing import NDArray

CANDIDATES = np.linspace(-2.0, 2.0, 33)
ROUNDS = 3
LEAST_GAIN = 0.002
STRENGTH = np.float32(0.5)
"""How far to go: the validation images are few and alike. On CamVid's held-out half two networks gained 2.2 and 1.9
points of mean IoU from going half-way, 2.9 and 1.2 from going all the way."""


def fit_offsets(
    scores: NDArray[np.float32], truth: NDArray[np.uint8], images: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return one constant a class (K,), all 0 where no constants help.

    Args:
        scores: logits or log-probabilities (n, K) of sampled pixels.
        truth: class indices (n,), all below K.
        images: number of the image that each pixel is from (n,).
    """
    none = np.zeros(scores.shape[1], np.float32)
    halves = [images % 2 == side for side in (0, 1)]
    if scores.shape[1] < 2 or not all(half.any() for half in halves):
        return none
    found = [ascend(scores[half], truth[half]) for half in halves]
    for offsets, other in zip(found, reversed(halves), strict=True):
        gain = mean_iou(scores[other] + offsets, truth[other]) - mean_iou(scores[other], truth[other])
        if gain < LEAST_GAIN:
            return none
    return STRENGTH * np.mean(found, axis=0, dtype=np.float32)


def ascend(scores: NDArray[np.float32], truth: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Climb the mean IoU, one class's constant at a time; `scores` (n, K), `truth` (n,); return (K,)."""
    classes = scores.shape[1]
    offsets = np.zeros(classes, np.float32)
    for _ in range(ROUNDS):
        before = offsets.copy()
        for index in range(classes):
            values = mean_iou_by_offset(scores + offsets, truth, index)
            best = np.flatnonzero(values >= values.max() - 1e-9)
            offsets[index] += CANDIDATES[best[np.argmin(np.abs(CANDIDATES[best]))]]
        if np.array_equal(before, offsets):
            break
    return offsets - offsets.mean()


def mean_iou_by_offset(scores: NDArray[np.float32], truth: NDArray[np.uint8], index: int) -> NDArray[np.float64]:
    """Return the mean IoU for each of `CANDIDATES` added to class `index`, all in one pass.

    A pixel turns to the class at the first candidate above its margin to the best other class, so sums over pixels by
    that turning point, accumulated, give the confusion matrix of every candidate.
    """
    classes, steps = scores.shape[1], len(CANDIDATES)
    others = scores.copy()
    others[:, index] = -np.inf
    rival = others.argmax(axis=1)
    margin = scores[:, index] - others[np.arange(len(others)), rival]
    turning = np.searchsorted(CANDIDATES, -margin, side="right")
    cells = (turning * classes + truth) * classes + rival
    by_turning = np.bincount(cells, minlength=(steps + 1) * classes**2).reshape(steps + 1, classes, classes)
    turned = by_turning.cumsum(axis=0)[:steps]
    matrices = by_turning.sum(axis=0) - turned
    matrices[:, :, index] += turned.sum(axis=2)
    return mean_defined(iou(per_class(matrices)))


def mean_iou(scores: NDArray[np.float32], truth: NDArray[np.uint8]) -> float:
    """Return the mean IoU of the likeliest classes over the pixels given."""
    chosen = scores.argmax(axis=1).astype(np.uint8)
    return float(mean_defined(iou(per_class(confusion_matrix(chosen, truth, scores.shape[1])))))
