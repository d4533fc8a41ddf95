"""How well a risk tells good results from bad ones: risk-coverage curve, its area, and the worst fifth. Pure arrays.

Sources: Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks" (risk and coverage); Geifman et
al. 2019, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers" (its area, AURC); Hanley and McNeil 1982
(the area under a ROC curve as a share of pairs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.summary import estimated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

WORST = 0.2
"""Share of the images that are called the worst."""
RIGHT = 0.5
"""IoU with a true object from which on an object is right."""
FEWEST = 10
"""Images without which nothing is said about a risk."""


def coverage_errors(
    risk: NDArray[np.float64], error: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the mean error (n,) of the least risky 1, 2, ..., n images.

    Of images with equal risk each counts as their mean: what a random order among them gives on average.

    Args:
        risk: (n,), higher for results that are less to be trusted.
        error: (n,) of the results.
        weight: (n,) number of times that each image counts; None for once.
    """
    weights = np.ones(len(risk)) if weight is None else weight
    level = np.unique(risk, return_inverse=True)[1]
    count = np.bincount(level, weights)
    mean = np.bincount(level, weights * error) / np.where(count > 0, count, 1)
    order = np.argsort(level, kind="stable")
    kept = order[weights[order] > 0]
    return np.asarray(np.cumsum((weights * mean[level])[kept]) / np.cumsum(weights[kept]))


def aurc(risk: NDArray[np.float64], error: NDArray[np.float64], weight: NDArray[np.float64] | None = None) -> float:
    """Return the area under the risk-coverage curve: the mean of `coverage_errors`; the lower, the better."""
    return float(coverage_errors(risk, error, weight).mean())


def recovered(
    risk: NDArray[np.float64], error: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> float:
    """Return how far a risk goes from a random order (0) to the order of the errors themselves (1), by AURC.

    Below 0 it is worse than a random order; NaN if all errors are the same.
    """
    weights = np.ones(len(risk)) if weight is None else weight
    at_random = float((weights * error).sum() / weights.sum())
    best = aurc(error, error, weights)
    return (at_random - aurc(risk, error, weights)) / (at_random - best) if at_random - best > 1e-12 else np.nan


def auroc(score: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None = None) -> float:
    """Return the share of (positive, negative) pairs that a score puts in order; an equal score counts half.

    NaN without a positive or without a negative.
    """
    weights = np.ones(len(score)) if weight is None else weight
    level = np.unique(score, return_inverse=True)[1]
    yes = np.bincount(level, weights * positive)
    no = np.bincount(level, weights * ~positive)
    below = np.cumsum(no) - no
    pairs = yes.sum() * no.sum()
    return float((yes * (below + no / 2)).sum() / pairs) if pairs > 0 else np.nan


def worst(error: NDArray[np.float64], share: float = WORST) -> NDArray[np.bool_]:
    """Return which images (n,) are the worst: the given share of them, at least one, and any that is as bad."""
    number = max(1, round(share * len(error)))
    return np.asarray(error >= np.sort(error)[-number])


Value = tuple[float | None, float | None, float | None]
"""A value and the ends of its 95 % interval; None where undefined."""


def judged(risk: NDArray[np.float64], error: NDArray[np.float64], groups: Sequence[str | None]) -> dict[str, Value]:
    """Judge a risk by the errors of the same images.

    Args:
        risk: (n,), higher for results that are less to be trusted.
        error: (n,) of the results.
        groups: of the images; those of one group depend on one another.

    Returns:
        `recovered`, and `auroc` of the worst fifth.
    """
    bad = worst(error)
    # Where a part of the images tells nothing, it is as with a random order.
    return {
        "recovered": _bounded(lambda weight: recovered(risk, error, weight), 0.0, np.nan, groups),
        "auroc": _bounded(lambda weight: auroc(risk, bad, weight), 0.5, 1.0, groups),
    }


def told_apart(risk: NDArray[np.float64], wrong: NDArray[np.bool_], groups: Sequence[str | None]) -> Value:
    """Return how well a risk tells wrong results from right ones (`auroc`), with its interval; see `judged`."""
    return _bounded(lambda weight: auroc(risk, wrong, weight), 0.5, 1.0, groups)


def _bounded(
    measure: Callable[[NDArray[np.float64]], float], otherwise: float, top: float, groups: Sequence[str | None]
) -> Value:
    """Return a value and its interval.

    Args:
        measure: weights (n,) of the images to the value, NaN where undefined.
        otherwise: value of a part of the images in which it is undefined.
        top: see `intervals`.
        groups: (n,) of the images.
    """

    def each(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.array([[measure(row) if row.any() else np.nan] for row in weights])
        return np.where(np.isnan(values), otherwise, values)

    found = estimated(np.eye(len(groups)), groups, each, np.array([top]))[0]
    value = measure(np.ones(len(groups)))
    return (None if np.isnan(value) else value), found.low, found.high
