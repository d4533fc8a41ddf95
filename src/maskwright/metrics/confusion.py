"""The confusion matrix and the rates read from it. Knows label maps and counts, and nothing of images or intervals.

A class that is in neither truth nor prediction has no rate: NaN, to be left out of a mean. One that is in either has:
a class that is there and never predicted has precision 0; one that is predicted and never there has IoU, Dice and
precision 0, and no recall, since there is nothing of it to find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import MAX_CLASSES
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def confusion_matrix(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Count the pixels of every pair of classes.

    Args:
        prediction: class indices 0..K-1, any shape.
        truth: class indices or `IGNORE`, of the same shape.
        classes: K.

    Returns:
        (K, K), row truth, column prediction. Ignored pixels are not counted.

    Raises:
        MaskwrightError: other shapes or other labels.
    """
    if prediction.shape != truth.shape:
        raise MaskwrightError(
            f"the prediction has shape {prediction.shape} and the truth {truth.shape}: they must agree"
        )
    _check("prediction", prediction, classes)
    # 255 * 255 + 254 fits 16 bits, and rows up to 255 take the ignored pixels in without a mask.
    pairs = truth.astype(np.uint16)
    pairs *= np.uint16(classes)
    pairs += prediction
    counts = np.bincount(pairs.ravel(), minlength=256 * classes).reshape(256, classes)
    if counts[classes:MAX_CLASSES].any():
        _check("truth", truth[truth < MAX_CLASSES], classes)
    return counts[:classes].astype(np.int64)


def per_class(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reduce confusion matrices (..., K, K) to counts (..., K, 3): true positives, pixels predicted, pixels true."""
    hit = np.diagonal(matrix, axis1=-2, axis2=-1)
    return np.stack([hit, matrix.sum(-2), matrix.sum(-1)], -1)


def iou(counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return TP / (TP + FP + FN) by class (..., K) from `per_class` counts (..., K, 3)."""
    hit, predicted, true = _parts(counts)
    return ratio(hit, predicted + true - hit)


def dice(counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 2 TP / (2 TP + FP + FN) by class (..., K) from `per_class` counts (..., K, 3)."""
    hit, predicted, true = _parts(counts)
    return ratio(2 * hit, predicted + true)


def precision(counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return TP / (TP + FP) by class (..., K) from `per_class` counts (..., K, 3)."""
    hit, predicted, true = _parts(counts)
    return np.where(true > 0, np.nan_to_num(ratio(hit, predicted)), ratio(hit, predicted))


def recall(counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return TP / (TP + FN) by class (..., K) from `per_class` counts (..., K, 3); NaN where it is never true."""
    hit, _, true = _parts(counts)
    return ratio(hit, true)


def accuracy(counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (TP + TN) / all by class (..., K) from `per_class` counts (..., K, 3)."""
    hit, predicted, true = _parts(counts)
    total = true.sum(-1, keepdims=True)
    right = ratio(total - predicted - true + 2 * hit, np.broadcast_to(total, hit.shape))
    return np.where(predicted + true > 0, right, np.nan)


def pixel_accuracy(counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of all pixels that are right (...) from `per_class` counts (..., K, 3)."""
    hit, _, true = _parts(counts)
    return ratio(hit.sum(-1), true.sum(-1))


RATES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "iou": iou,
    "dice": dice,
    "precision": precision,
    "recall": recall,
    "accuracy": accuracy,
}


def ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide, with NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def mean_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over the last axis what is not NaN; NaN where nothing is defined."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1).astype(np.float64))


def _parts(counts: NDArray[np.float64] | NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    return tuple(counts[..., part].astype(np.float64) for part in range(3))


def _check(what: str, labels: NDArray[np.uint8], classes: int) -> None:
    if labels.size and int(labels.max()) >= classes:
        raise MaskwrightError(
            f"the {what} holds label {int(labels.max())}, but there are {classes} classes, 0..{classes - 1}"
        )
