"""Every loss by name, and the weighted sum that a plan describes. Knows each loss's options, and not how it works.

A new loss is a pure function of a `Prepared` batch and one line in `LOSSES`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.losses.boundary import boundary
from maskwright.losses.lovasz import lovasz
from maskwright.losses.overlap import dice, jaccard, tversky
from maskwright.losses.pixelwise import (
    balanced_cross_entropy,
    binary_cross_entropy,
    cross_entropy,
    focal,
    mean_squared_error,
    ohem,
)
from maskwright.losses.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.core.channels import Activation, Channels
    from maskwright.core.plan import LossPlan


@dataclass(frozen=True)
class LossEntry:
    """One loss.

    Attributes:
        builder: the pure function: a `Prepared` batch and options in, a scalar out. `create` binds the options.
        paper: authors and short title.
        year: of the paper.
        summary: when to use it, in one sentence.
    """

    builder: Callable[..., Tensor]
    paper: str
    year: int
    summary: str


LOSSES: dict[str, LossEntry] = {
    "cross_entropy": LossEntry(
        cross_entropy,
        "Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation",
        2015,
        "Log-likelihood of the labels: the robust default; gives calibrated probabilities.",
    ),
    "binary_cross_entropy": LossEntry(
        binary_cross_entropy,
        "Ronneberger, Fischer and Brox, U-Net",
        2015,
        "Log-likelihood of each class against the rest, by sigmoid.",
    ),
    "balanced_cross_entropy": LossEntry(
        balanced_cross_entropy,
        "Xie and Tu, Holistically-Nested Edge Detection",
        2015,
        "Log-likelihood that weighs the labels of each image about the same: for edges, which are a few pixels.",
    ),
    "focal": LossEntry(
        focal,
        "Lin et al., Focal Loss for Dense Object Detection",
        2017,
        "Cross-entropy that discounts easy pixels: for rare classes in front of much background.",
    ),
    "ohem": LossEntry(
        ohem,
        "Wu, Shen and van den Hengel, Very Deep Fully Convolutional Networks",
        2016,
        "Cross-entropy of the hard pixels only: when most of the image is easy.",
    ),
    "dice": LossEntry(
        dice,
        "Milletari, Navab and Ahmadi, V-Net",
        2016,
        "Overlap of each class: every class counts the same, however few its pixels.",
    ),
    "jaccard": LossEntry(
        jaccard,
        "Rahman and Wang, Optimizing Intersection-Over-Union in Deep Neural Networks",
        2016,
        "Soft IoU of each class: like dice, but penalises remaining errors more.",
    ),
    "tversky": LossEntry(
        tversky,
        "Salehi, Erdogmus and Gholipour, Tversky Loss Function",
        2017,
        "Dice with separate costs for false positives and false negatives: for objects that must not be missed.",
    ),
    "lovasz": LossEntry(
        lovasz,
        "Berman, Rannen Triki and Blaschko, The Lovasz-Softmax Loss",
        2018,
        "Convex surrogate of the IoU, image by image: for the last points of IoU; slow.",
    ),
    "boundary": LossEntry(
        boundary,
        "Kervadec et al., Boundary Loss for Highly Unbalanced Segmentation",
        2019,
        "Wrong probability times its distance to the true boundary: add it to a region loss, against distant errors.",
    ),
    "mean_squared_error": LossEntry(
        mean_squared_error,
        "Brier, Verification of Forecasts Expressed in Terms of Probability",
        1950,
        "Squared error of the probabilities: bounded, so wrong labels do less harm.",
    ),
}


class Criterion(nn.Module):
    """One loss with its options: `criterion(logits (N, K, H, W), target (N, H, W)) -> scalar`."""

    def __init__(self, function: Callable[..., Tensor], activation: Activation = "softmax", **options: Any) -> None:
        """Bind `options` to `function`, a pure function of a `Prepared` batch."""
        super().__init__()
        self.function = function
        self.activation = activation
        self.options = options

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss (a scalar) of logits (N, K, H, W) and a target (N, H, W) of class indices or `IGNORE`."""
        with torch.autocast(logits.device.type, enabled=False):
            return self.of(Prepared(logits, target, self.activation))

    def of(self, batch: Prepared) -> Tensor:
        """Return the loss of a batch (logits (N, K, H, W)) that other losses may share."""
        return self.function(batch, **self.options)


class WeightedSum(nn.Module):
    """A weighted sum of losses on one shared softmax: `weighted(logits, target) -> scalar`."""

    def __init__(self, terms: list[tuple[float, Criterion]], activation: Activation = "softmax") -> None:
        """Take (weight, criterion) pairs; at least one."""
        super().__init__()
        self.terms = terms
        self.activation = activation

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the sum (a scalar) for logits (N, K, H, W) and a target (N, H, W) of class indices or `IGNORE`."""
        with torch.autocast(logits.device.type, enabled=False):
            batch = Prepared(logits, target, self.activation)
            terms = [weight * criterion.of(batch) for weight, criterion in self.terms]
            return torch.stack(terms).sum()


def create(name: str, activation: Activation = "softmax", **options: Any) -> Criterion:
    """Build a loss by name.

    Args:
        name: in `LOSSES`.
        activation: `softmax` over K channels, or `sigmoid` of one channel: label 1 against label 0.
        options: the keyword arguments of that loss's function.

    Raises:
        MaskwrightError: an unknown loss, or an option it does not have.
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    builder = LOSSES[name].builder
    known = _options(builder)
    for option in options:
        if option not in known:
            raise (
                unknown_name(f"option of the loss {name}", option, known)
                if known
                else MaskwrightError(f"the loss {name} takes no options, but {option!r} was given: leave it out")
            )
    return Criterion(builder, activation, **options)


def weighted_sum(plan: LossPlan, group: Channels) -> WeightedSum:
    """Build the loss that a plan asks for; class weights and label smoothing go to the terms that take them.

    Args:
        plan: terms, their weights and options; a term of weight 0 is left out.
        group: channels that are compared. The weights of a sigmoid are those of label 0 and label 1.

    Raises:
        MaskwrightError: an unknown term or option, a negative weight, nothing to minimise, or a wrong number of class
            weights.
    """
    labels = max(group.count, 2)
    if plan.class_weights is not None and len(plan.class_weights) != labels:
        raise MaskwrightError(
            f"loss.class_weights has {len(plan.class_weights)} entries for {labels} labels: give one per label"
        )
    unused = sorted(set(plan.options) - set(plan.terms))
    if unused:
        raise MaskwrightError(
            f"loss.options.{unused[0]} is set, but loss.terms contains only {', '.join(plan.terms)}: add the loss to "
            "loss.terms, or remove its options"
        )
    given = {"class_weights": plan.class_weights, "label_smoothing": plan.label_smoothing}
    terms = []
    for name, weight in plan.terms.items():
        if weight < 0:
            raise MaskwrightError(f"loss.terms.{name} is {weight}, but a weight must be 0 or more")
        plain = create(name)
        taken = {option: value for option, value in given.items() if option in _options(plain.function)}
        if weight > 0:
            options: dict[str, Any] = {**taken, **plan.options.get(name, {})}
            terms.append((weight, create(name, group.activation, **options)))
    if not terms:
        raise MaskwrightError(f"loss.terms is {plan.terms}: give at least one loss a weight above 0")
    return WeightedSum(terms, group.activation)


def _options(function: Callable[..., Tensor]) -> list[str]:
    return list(inspect.signature(function).parameters)[1:]
