"""Class weights for the losses that take them: four methods, chosen by `loss.class_weighting`.

Each method returns weights of mean 1 over the classes that occur; an absent class gets 1. Knows no loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.planning.facts import Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from maskwright.core.plan import Plan, Weighting
    from maskwright.planning.facts import Facts

    Weights = NDArray[np.float64]

WEIGHT_RATIO = 10.0
"""Largest class weight over the smallest. On cracks (1.6% of the pixels) a ratio of 8 reached an IoU of 42.8, one of 2
40.7 and none 40.4, each with 300 steps and class offsets."""


def class_weights(facts: Facts, plan: Plan) -> list[Decision]:
    """Return class weights, computed by the method that `loss.class_weighting` names."""
    present = np.array([entry.share > 0 for entry in facts.fingerprint.class_stats])
    way = plan.loss.class_weighting
    if present.sum() < 2:
        return [Decision("loss.class_weights", None, "one class only")]
    if way == "none":
        return [Decision("loss.class_weights", None, "loss.class_weighting is none: all classes have equal weight")]
    weights, reason = WAYS[way](facts, plan, present)
    weights = np.where(present, weights / weights[present].mean(), 1.0)
    return [Decision("loss.class_weights", [round(float(weight), 4) for weight in weights], reason)]


def _inverse_sqrt(facts: Facts, _plan: Plan, present: NDArray[np.bool_]) -> tuple[Weights, str]:
    """Return the inverse square root of the frequency, limited to a ratio."""
    shares = np.array([entry.share for entry in facts.fingerprint.class_stats])
    weights = np.where(present, np.maximum(shares, 1e-7) ** -0.5, np.inf)
    weights = np.minimum(weights, WEIGHT_RATIO * weights.min())
    ratio = shares[present].max() / shares[present].min()
    digits = 1 if ratio < 10 else 0
    reason = (
        f"inverse square root of the frequency: the most frequent class has {ratio:.{digits}f} times the pixels of "
        f"the rarest; weights differ by a factor of {WEIGHT_RATIO:.0f} at most"
    )
    return weights, reason


def _median_frequency(facts: Facts, _plan: Plan, present: NDArray[np.bool_]) -> tuple[Weights, str]:
    """Return median frequency over frequency (Eigen and Fergus 2015, "Predicting Depth, Surface Normals and ...").

    A class's frequency is its pixels divided by the pixels of the images that contain it: a rare class that fills its
    images gets a small weight. Images are assumed to have equal size.
    """
    stats = facts.fingerprint.class_stats
    images = np.array([max(sum(entry.images.values()), 1) for entry in stats])
    frequency = np.array([entry.pixels for entry in stats]) / images
    frequency = np.where(present, np.maximum(frequency, 1e-7), 1.0)
    weights = np.median(frequency[present]) / frequency
    low, high = (stats[int(index)].name for index in (np.argmin(weights), np.argmax(weights)))
    spread = weights[present].max() / weights[present].min()
    reason = (
        f"median frequency / class frequency, in the images that contain the class: {high} gets {spread:.3g} times the "
        f"weight of {low}"
    )
    return weights, reason


def _class_balanced(facts: Facts, plan: Plan, present: NDArray[np.bool_]) -> tuple[Weights, str]:
    """Return the inverse of the effective number of samples, (1 - beta) / (1 - beta^n) (Cui et al. 2019, section 4).

    A sample is a connected region, not a pixel: neighbouring pixels carry nearly the same information, which the
    effective number should discount, and with millions of pixels every class would reach the limit that beta sets.
    """
    beta = plan.loss.class_balance
    objects = np.array([max(entry.objects, 1) for entry in facts.fingerprint.class_stats])
    effective = (1 - beta**objects) / (1 - beta)
    low, high = effective[present].min(), effective[present].max()
    reason = (
        f"inverse of the effective number of objects (beta {beta:g}): {low:.0f} to {high:.0f}, from "
        f"{objects[present].min()} to {objects[present].max()} objects"
    )
    return 1 / effective, reason


WAYS: dict[Weighting, Callable[[Facts, Plan, NDArray[np.bool_]], tuple[Weights, str]]] = {
    "inverse-sqrt": _inverse_sqrt,
    "median-frequency": _median_frequency,
    "class-balanced": _class_balanced,
}
