"""Rules of semantic segmentation: classes that crops are centred on, loss, class weights, label stride.

Each rule takes the facts and the plan so far and returns decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.text import plural
from maskwright.planning.facts import Decision
from maskwright.planning.rules_classes import class_weights
from maskwright.planning.rules_data import MIRRORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

MANY_CLASSES = 50
FEW_CLASSES = 4
MOST_ODDS = 5.0
"""Largest odds of a class, as a multiple of equal odds."""
RARE = 0.05
"""Largest share of the pixels of a class that is called rare; only the wording depends on it."""
FLIP_SCALE = 0.75
FEW_IMAGES = 3
"""A class in fewer training images than this is not favoured: the network would memorise it."""


def rare_classes(facts: Facts, _plan: Plan) -> list[Decision]:
    """Centre half of the crops on a class; rare classes are drawn more often (odds: frequency to the power -1/2)."""
    stats = facts.fingerprint.class_stats
    shares = np.array([entry.share for entry in stats])
    present = shares > 0
    if present.sum() < 2:
        return [Decision("sampling.rare_share", 0.0, "one class only: no class to favour")]
    uniform = 1.0 / present.sum()
    images = [entry.images.get("train", sum(entry.images.values())) for entry in stats]
    most = np.where(np.array(images) < FEW_IMAGES, uniform, MOST_ODDS * uniform)
    odds = _capped(np.where(present, np.maximum(shares, 1e-7) ** -0.5, 0.0), np.where(present, most, 0.0))
    rarest = int(np.argmin(np.where(present, shares, np.inf)))
    name = stats[rarest].name
    why = "random crops show little of it" if shares[rarest] <= RARE else "no class is rare, so this changes little"
    reason = f"{name}, the rarest class, fills {shares[rarest]:.2%} of the pixels: {why}"
    limits = f"inverse square root of the frequency, at most {MOST_ODDS:.0f} times the mean"
    return [
        Decision("sampling.rare_share", 0.5, reason),
        Decision("sampling.class_odds", [round(float(odd), 5) for odd in odds], limits),
    ]


def _capped(odds: NDArray[np.float64], most: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale odds to sum 1 with none above its limit: the others share what is cut off."""
    fixed = np.zeros(len(odds), bool)
    for _ in odds:
        free = ~fixed & (odds > 0)
        left = 1.0 - most[fixed].sum()
        scaled = np.where(fixed, most, odds * (left / odds[free].sum() if free.any() else 0.0))
        over = free & (scaled > most)
        if not over.any():
            return scaled / scaled.sum()
        fixed |= over
    return most / most.sum()


def loss(facts: Facts, _plan: Plan) -> list[Decision]:
    """Add Dice, which is close to the metric, to cross-entropy; with half the weight if a batch lacks most classes."""
    present = [entry for entry in facts.fingerprint.class_stats if entry.share > 0]
    rarest = min(present, key=lambda entry: entry.share, default=None)
    many = len(present) > MANY_CLASSES
    if rarest is None or many:
        why = f"{len(present)} classes, most of them absent from any batch: Dice gets half the weight"
    else:
        fills = f"{rarest.name}, the rarest class, fills {rarest.share:.2%} of the pixels"
        why = f"{fills}; Dice weights all classes equally, cross-entropy all pixels"
    return [Decision("loss.terms", {"cross_entropy": 1.0, "dice": 0.5 if many else 1.0}, why)]


def label_stride(facts: Facts, plan: Plan) -> list[Decision]:
    """Compare every label where that costs little: a label stride loses structures that are thinner than it."""
    count = len(facts.fingerprint.class_stats)
    if plan.adversarial.weight:
        return [Decision("loss.full_size", value=False, reason="the discriminator sees maps at the decoder's stride")]
    if count <= FEW_CLASSES:
        why = "full-size logits cost little, and gained 3.8 points of IoU on cracks (docs/benchmarks.md)"
    else:
        why = "full-size logits take an eighth more time, and gained nothing on CamVid (docs/benchmarks.md)"
    return [
        Decision("loss.full_size", value=count <= FEW_CLASSES, reason=f"{plural(count, 'class', 'classes')}: {why}")
    ]


def flip_scale(facts: Facts, _plan: Plan) -> list[Decision]:
    """Predict the flipped image, where there is one, at a smaller size: as accurate, and faster."""
    if facts.fingerprint.flip_horizontal < MIRRORED:
        return []
    why = (
        "at three quarters of the size, predictions took 18% less time, and the mean IoU of 14 models changed by 0.1 "
        "points on average (docs/benchmarks.md)"
    )
    return [Decision("predict.flip_scale", FLIP_SCALE, why)]


FIRST = (rare_classes, loss, flip_scale)
CROPPED = (class_weights, label_stride)
