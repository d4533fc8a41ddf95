"""Rules about learning: network, starting weights, loss, class weights, optimiser, averaging.

Each rule takes the facts and the plan so far and returns decisions. Knows no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.planning.facts import Decision
from maskwright.planning.rules_data import thinnest

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

MAX_CLASS_WEIGHT = 10.0
RATES = {"adam": 2e-3, "adamw": 2e-3, "muon": 0.02, "rmsprop": 1e-3, "sgd": 0.05}
"""Highest learning rate of each optimiser, from scratch."""


def architecture(facts: Facts, _plan: Plan) -> list[Decision]:
    """Take a network that suits the machine; put it on published weights where they can be had."""
    machine, pretrained = facts.machine, facts.pretrained
    if machine.device == "cuda":
        name, why = "deeplabv3plus", f"{machine.name} has room for wide context at fine stride"
    else:
        name, why = "swiftnet", f"the most score a minute on {machine.cores} cores (docs/benchmarks.md)"
    decisions = [Decision("model.name", name, why)]
    if pretrained.available:
        decisions.append(Decision("model.backbone", pretrained.backbone, pretrained.reason))
    return decisions


def fineness(facts: Facts, plan: Plan) -> list[Decision]:
    """Predict at stride 2 instead of 4 where the thinnest class would be lost between two logits."""
    if plan.model.name != "swiftnet" or plan.model.backbone is not None:
        return []
    thin = thinnest(facts)
    if thin is None or thin.thickness is None:
        return [Decision("model.options", {"finest": 4}, "no objects to measure")]
    width = thin.thickness.median * plan.data.scale
    classes = [entry for entry in facts.fingerprint.class_stats if entry.thickness is not None]
    most = (
        sum(1 for entry in classes if entry.thickness and entry.thickness.median * plan.data.scale < 4)
        > len(classes) / 3
    )
    finest = 2 if most else 4
    reason = f"{thin.name}, the thinnest class, is {width:.1f} px thick at the working resolution"
    return [Decision("model.options", {"finest": finest}, reason)]


def starting_weights(facts: Facts, plan: Plan) -> list[Decision]:
    """Start from published weights where the backbone has them and they can be had."""
    if plan.model.weights:
        return [Decision(key="model.pretrained", value=False, reason=f"starts from {plan.model.weights}")]
    usable = facts.pretrained.available and plan.model.backbone == facts.pretrained.backbone
    return [Decision("model.pretrained", usable, facts.pretrained.reason)]


def loss(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Add Dice, which is close to the score, to cross-entropy, which is easy to descend."""
    return [
        Decision(
            "loss.terms",
            {"cross_entropy": 1.0, "dice": 1.0},
            "cross-entropy learns fast, Dice counts what the score counts",
        )
    ]


def class_weights(facts: Facts, _plan: Plan) -> list[Decision]:
    """Weigh a class by the inverse square root of its frequency; none above ten times the median."""
    shares = np.array([entry.share for entry in facts.fingerprint.class_stats])
    present = shares > 0
    if present.sum() < 2:
        return [Decision("loss.class_weights", None, "one class only")]
    weights = np.where(present, np.maximum(shares, 1e-7) ** -0.5, 0.0)
    weights = np.minimum(weights, MAX_CLASS_WEIGHT * np.median(weights[present]))
    weights = np.where(present, weights / weights[present].mean(), 1.0)
    ratio = shares[present].max() / shares[present].min()
    reason = f"inverse square root of the frequency: the commonest class has {ratio:.0f} times the pixels of the rarest"
    return [Decision("loss.class_weights", [round(float(weight), 4) for weight in weights], reason)]


def optimiser(_facts: Facts, plan: Plan) -> list[Decision]:
    """Take Muon from scratch, AdamW from published weights."""
    if plan.model.pretrained or plan.model.weights:
        name, why = "adamw", "published weights are moved gently"
    else:
        name, why = "muon", "from scratch it needs half the steps of AdamW (docs/benchmarks.md)"
    return [
        Decision("optim.name", name, why),
        Decision("optim.schedule", "cosine", "best final score for a fixed number of steps"),
    ]


def learning_rate(_facts: Facts, plan: Plan) -> list[Decision]:
    """Take the rate that suits the optimiser, a sixth of it from published weights."""
    name = plan.optim.name
    rate, start = RATES.get(name, 1e-3), "scratch"
    if plan.model.pretrained or plan.model.weights:
        rate, start = round(rate / 6, 6), "weights that know something"
    return [Decision("optim.lr", rate, f"what suits {name} from {start}, in batches of about 8")]
