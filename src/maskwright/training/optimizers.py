"""Optimisers by name, and which weights get which treatment. Knows no schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from maskwright.core.errors import unknown_name
from maskwright.training.muon import ITERATIONS, Muon

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.core.plan import Plan
    from maskwright.models import Segmenter

Groups = list[dict[str, Any]]

ADAM_SHARE = 0.2
"""Learning rate of what Muon leaves to AdamW, as a share of Muon's own."""
MAX_MUON_COST = 1e10
"""Multiply-adds that Muon may spend on one matrix a step, about a tenth of a second on two cores. A 3x3 convolution of
512 channels takes 4e9, a transformer's 768x3072 just as much as is allowed; the 4096x25088 of VGG-16's fc6 would take
2e12, a hundred times the network itself, and is left to AdamW."""
DEAR_SHARE = 0.02
"""Learning rate of those: AdamW moves each of thousands of inputs alike, and their sum must not run away."""


def _fused(plan: Plan) -> bool:
    """Say whether torch's fused kernels serve: they unscale gradients themselves, and Fabric clips no such ones."""
    return plan.train.precision != "16-mixed"


def _sgd(groups: Groups, plan: Plan) -> torch.optim.Optimizer:
    momentum = plan.optim.momentum
    return torch.optim.SGD(groups, lr=plan.optim.lr, momentum=momentum, nesterov=momentum > 0, fused=_fused(plan))


def _adam(groups: Groups, plan: Plan) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=plan.optim.lr, fused=_fused(plan))


def _adamw(groups: Groups, plan: Plan) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=plan.optim.lr, fused=_fused(plan))


def _rmsprop(groups: Groups, plan: Plan) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, lr=plan.optim.lr, momentum=plan.optim.momentum, alpha=0.99)


def _muon(groups: Groups, plan: Plan) -> torch.optim.Optimizer:
    return Muon(groups, lr=plan.optim.lr)


OPTIMIZERS: dict[str, Callable[[Groups, Plan], torch.optim.Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "muon": _muon,
    "rmsprop": _rmsprop,
    "sgd": _sgd,
}


def create(segmenter: Segmenter, plan: Plan) -> torch.optim.Optimizer:
    """Build the optimiser for every trainable weight of a segmenter.

    Vectors (biases, the scale and shift of norms) are not decayed: decay there only fights the normalisation.

    Raises:
        MaskwrightError: no optimiser has that name.
    """
    name, decay = plan.optim.name, plan.optim.weight_decay
    if name not in OPTIMIZERS:
        raise unknown_name("optimiser", name, OPTIMIZERS)
    trainable = [weight for weight in segmenter.parameters() if weight.requires_grad]
    vectors = [weight for weight in trainable if weight.ndim <= 1]
    matrices = [weight for weight in trainable if weight.ndim > 1]
    if name == "muon":
        edges = edge_weights(segmenter)
        dear = [weight for weight in matrices if id(weight) not in edges and muon_cost(weight) > MAX_MUON_COST]
        known = edges | {id(weight) for weight in dear}
        inner = [weight for weight in matrices if id(weight) not in known]
        outer = [weight for weight in matrices if id(weight) in edges]
        groups: Groups = [
            {"params": inner, "weight_decay": decay, "matrix": True},
            {"params": dear, "weight_decay": decay, "scale": DEAR_SHARE},
            {"params": outer + vectors, "weight_decay": 0.0, "scale": ADAM_SHARE},
        ]
    else:
        groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return OPTIMIZERS[name](_with_backbone_apart(groups, segmenter, plan), plan)


def _with_backbone_apart(groups: Groups, segmenter: Segmenter, plan: Plan) -> Groups:
    """Give the backbone groups of its own, with a `factor` on the learning rate, where it is not treated like the rest.

    A frozen one needs them too: torch's fused SGD takes a group's first step for all of its weights or for none.
    """
    apart = plan.optim.freeze != "none" or plan.optim.backbone_lr != 1
    own = {id(weight) for weight in segmenter.backbone.parameters()} if apart else set()
    parts: Groups = []
    for backbone, factor in ((False, 1.0), (True, plan.optim.backbone_lr)):
        for group in groups:
            weights = [weight for weight in group["params"] if (id(weight) in own) == backbone]
            if weights:
                parts.append({**group, "params": weights, "factor": factor, "lr": plan.optim.lr * factor})
    return parts


def edge_weights(segmenter: Segmenter) -> set[int]:
    """Return the ids of the weights that are no matrix between features.

    First layer, heads, depthwise filters; a transformer's tokens and position codes, which are (1, L, C).
    """
    # The backbone's come first, where it has any.
    matrices = [weight for weight in segmenter.parameters() if weight.ndim > 1]
    first = next((weight for weight in matrices if weight.shape[0] > 1), matrices[0])
    heads = [*segmenter.head.parameters(), *segmenter.aux.parameters()]
    others = [weight for weight in segmenter.parameters() if weight.ndim > 1 and 1 in weight.shape[:2]]
    return {id(weight) for weight in (first, *heads, *others)}


def muon_cost(weight: torch.Tensor) -> float:
    """Return the multiply-adds of one step of Muon on a weight (O, I, ...): see `muon.orthogonalised`.

    The long side is met twice, by n x n; the iteration makes three products of n x n matrices each time but the first.
    """
    short, long = sorted((weight.shape[0], weight[0].numel()))
    return 2.0 * short**2 * long + (3 * ITERATIONS - 1) * float(short) ** 3
