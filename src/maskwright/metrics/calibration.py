"""Calibration of probabilities: reliability bins, the expected calibration error, and the fitted temperature.

After Guo et al. 2017, "On Calibration of Modern Neural Networks". Knows arrays of probabilities, and no images.
"""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.metrics.scores import Bin

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15
COLDEST, HOTTEST = 0.2, 10.0
"""A sample without one error would be fitted best at temperature 0: certain of everything. No sample proves that."""


def reliability_counts(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum pixels into bins of equal width by confidence: (15, 3) number, confidence, right ones.

    Args:
        confidence: (n,) probability of the predicted class; bin i holds (i / 15, (i + 1) / 15].
        right: (n,) whether the predicted class is the true one.
    """
    place = np.clip(np.ceil(confidence * BINS).astype(np.intp) - 1, 0, BINS - 1)
    sums = [np.bincount(place, weights=weights, minlength=BINS) for weights in (None, confidence, right)]
    return np.stack(sums, -1).astype(np.float64)


def calibration_error(counts: NDArray[np.float64]) -> float:
    """Return the mean |accuracy - confidence| over bins, weighted by their pixels; 0 where there are none."""
    return float(np.abs(counts[:, 1] - counts[:, 2]).sum() / max(counts[:, 0].sum(), 1.0))


def reliability_bins(counts: NDArray[np.float64]) -> tuple[Bin, ...]:
    """Return the bars of the reliability diagram; an empty bin stands at its centre with share 0."""
    total = max(counts[:, 0].sum(), 1.0)
    bins = []
    for index, (pixels, confidence, right) in enumerate(counts.tolist()):
        centre = (index + 0.5) / BINS
        mean, accuracy = (confidence / pixels, right / pixels) if pixels else (centre, centre)
        bins.append(Bin(mean, accuracy, pixels / total))
    return tuple(bins)


def scaled_confidence(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return the largest of p^(1/T), renormalised: what dividing the logits by T would have given.

    Args:
        probabilities: (K, ...), class first.
        temperature: T, above 0.
    """
    # Relative to the largest one, so that no power underflows it.
    largest = np.maximum(probabilities.max(0), np.finfo(np.float32).tiny)
    return np.asarray(1 / ((probabilities / largest) ** np.float32(1 / temperature)).sum(0), np.float32)


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.integer]) -> float:
    """Find the temperature T at which softmax(logits / T) has the least cross-entropy.

    The cross-entropy is convex in 1/T, so its slope is bisected, on a logarithmic scale and to a thousandth.

    Args:
        logits: (n, K) of sampled pixels, on data the network was not trained on.
        truth: (n,) class indices; rows that are `IGNORE` are left out.

    Returns:
        T between 0.2 and 10; 1 without a row.
    """
    keep = truth != IGNORE
    scores, labels = logits[keep].astype(np.float64), truth[keep].astype(np.intp)
    if len(labels) == 0:
        return 1.0
    scores -= scores.max(1, keepdims=True)
    wanted = float(scores[np.arange(len(labels)), labels].mean())
    low, high = log(COLDEST), log(HOTTEST)
    while high - low > 1e-3:
        middle = (low + high) / 2
        weights = np.exp(scores / exp(middle))
        expected = float(((scores * weights).sum(1) / weights.sum(1)).mean())
        # The slope by 1/T is the expected logit minus the true class's one: above 0 the truth wants it hotter.
        low, high = (middle, high) if expected > wanted else (low, middle)
    return exp((low + high) / 2)
