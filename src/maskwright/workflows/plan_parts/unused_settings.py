"""What a user set and the plan has no use for is refused, rather than dropped in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan_file import set_keys
from maskwright.workflows.train_parts.network import plain

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.workflows.request import PlanRequest

MOMENTUM = {"sgd", "rmsprop"}
"""Optimisers that take one."""


def check_unused_settings(plan: Plan, request: PlanRequest) -> None:
    """Refuse settings that the plan has no use for, rather than drop them in silence.

    Raises:
        MaskwrightError: such a setting.
    """
    keys = set_keys(request.settings)
    if "optim.momentum" in keys and plan.optim.name not in MOMENTUM:
        raise MaskwrightError(
            f"--set optim.momentum: {plan.optim.name} takes none. Leave it out, or add --set optim.name=sgd"
        )
    opposing = sorted(key for key in keys if key.startswith("adversarial.") and key != "adversarial.weight")
    if opposing and not plan.adversarial.weight:
        raise MaskwrightError(
            f"--set {opposing[0]}: adversarial.weight is 0, so there is no opponent. Leave it out, or add "
            "--set adversarial.weight=0.1"
        )
    if "loss.auxiliary" in keys and not _has_auxiliary(plan):
        raise MaskwrightError(
            f"--set loss.auxiliary: {plan.model.name} has no auxiliary heads. Leave it out, or add "
            "--set model.aux_levels=[-2]"
        )
    changing = sorted(keys & {"lora.alpha", "lora.decoder"})
    if changing and not plan.lora.rank:
        raise MaskwrightError(
            f"--set {changing[0]}: lora.rank is 0, so there is no LoRA. Leave it out, or add --lora 8"
        )
    by_hand, way = "loss.class_weights" in keys, plan.loss.class_weighting
    if by_hand and "loss.class_weighting" in keys:
        raise MaskwrightError("--set loss.class_weights and loss.class_weighting both weigh the classes: keep one")
    if "loss.class_balance" in keys and (by_hand or way != "class-balanced"):
        raise MaskwrightError(
            f"--set loss.class_balance: {'the weights set by hand take' if by_hand else f'{way} takes'} none. Leave it "
            "out, or add --set loss.class_weighting=class-balanced"
        )


def _has_auxiliary(plan: Plan) -> bool:
    """Whether the planned network gives auxiliary logits; it is built without memory to see."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        segmenter = models.create_from_plan(plain(plan.model), 2, plan.data.channels)
    return len(segmenter.aux) > 0 or len(segmenter.scales) > 1
