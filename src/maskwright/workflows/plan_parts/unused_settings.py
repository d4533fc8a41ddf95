"""Refuse settings that the plan does not use, instead of ignoring them silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan_file import set_keys
from maskwright.models.catalog import find_model
from maskwright.models.without_values import without_values
from maskwright.tasks import find_task, task_of
from maskwright.workflows.plan_parts.suggested_task import EDGES, INSTANCE

if TYPE_CHECKING:
    from collections.abc import Set

    from maskwright.core.plan import Plan
    from maskwright.workflows.request import PlanRequest

MOMENTUM = {"sgd", "rmsprop"}
"""Optimisers that take one."""
OF_EVERY_LOSS = {"loss.auxiliary", "loss.full_size"}
"""Settings of the loss that hold for every task."""

OF_STEPS = (
    *(
        "optim.",
        "lora.",
        "adversarial.",
        "distill.",
        "loss.",
        "train.precision",
        "train.channels_last",
        "train.patience",
    ),
    *("train.gradient_checkpointing", "train.validations", "train.checkpoint_seconds", "model.dropout"),
)
"""How the keys of settings begin that only steps of an optimiser use."""


def check_unused_settings(plan: Plan, request: PlanRequest) -> None:
    """Refuse settings that the plan does not use, instead of ignoring them silently.

    Raises:
        MaskwrightError: such a setting.
    """
    keys = set_keys(request.settings) | {key for _, key, _ in request.values()}
    _check_grown(plan, keys)
    if "optim.momentum" in keys and plan.optim.name not in MOMENTUM:
        raise _unused("optim.momentum", f"{plan.optim.name} takes none", "optim.name=sgd")
    discriminator = sorted(key for key in keys if key.startswith("adversarial.") and key != "adversarial.weight")
    if discriminator and not plan.adversarial.weight:
        why = "adversarial.weight is 0, so there is no discriminator"
        raise _unused(discriminator[0], why, "adversarial.weight=0.1")
    teaching = sorted(key for key in keys if key.startswith("distill.") and key != "distill.teacher")
    if teaching and plan.distill.teacher is None:
        raise _unused(teaching[0], "distill.teacher names no model to learn from", "distill.teacher=MODEL")
    if "augment.paste" in keys and plan.augment.paste:
        _check_paste(plan)
    of_loss = sorted(key for key in keys if key.startswith("loss."))
    if of_loss and find_model(plan.model.name).objects:
        raise _unused(of_loss[0], f"{plan.model.name} has its own loss", "model.name=swiftnet")
    own = sorted(key for key in keys if key.startswith("loss.") and key not in OF_EVERY_LOSS)
    if own and not task_of(plan).planned_loss:
        raise _unused(own[0], f"the task {plan.task} has its own loss", "task=semantic")
    _check_sections(keys, plan)
    if "objects.formulation" in keys and find_model(plan.model.name).objects:
        raise _unused("objects.formulation", f"{plan.model.name} emits objects", "model.name=swiftnet")
    if "loss.auxiliary" in keys and not _has_auxiliary(plan):
        raise _unused("loss.auxiliary", f"{plan.model.name} has no auxiliary heads", "model.aux_levels=[-2]")
    changing = sorted(keys & {"lora.alpha", "lora.decoder"})
    if changing and not plan.lora.rank:
        raise _unused(changing[0], "lora.rank is 0, so there is no LoRA", "lora.rank=8")
    by_hand, way = "loss.class_weights" in keys, plan.loss.class_weighting
    if by_hand and "loss.class_weighting" in keys:
        raise MaskwrightError("`loss.class_weights` and `loss.class_weighting` both weight the classes: keep one")
    if "loss.class_balance" in keys and (by_hand or way != "class-balanced"):
        why = f"{'class weights set by hand take' if by_hand else f'{way} takes'} none"
        raise _unused("loss.class_balance", why, "loss.class_weighting=class-balanced")


def _check_sections(keys: Set[str], plan: Plan) -> None:
    """Refuse settings in the section of another task."""
    task = find_task(plan.task)
    for section, used, why, cure in (
        ("objects.", task.objects, "does not separate objects", "task=instance"),
        ("edges.", task.annotation == "edges", "learns no edges", f"task={EDGES}"),
    ):
        given = sorted(key for key in keys - {"edges.weight"} if key.startswith(section))
        if given and not used:
            raise _unused(given[0], f"the task {plan.task} {why}", cure)


def _check_grown(plan: Plan, keys: set[str]) -> None:
    """Refuse settings of an optimiser and its steps where a model grows without."""
    if find_model(plan.model.name).learns != "pixels":
        return
    found = sorted(key for key in keys if key.startswith(OF_STEPS)) + ["model.weights"] * bool(plan.model.weights)
    if found:
        raise _unused(found[0], f"{plan.model.name} grows anew, without an optimiser", "model.name=swiftnet")


def _check_paste(plan: Plan) -> None:
    if plan.task != INSTANCE:
        raise _unused("augment.paste", f"the task {plan.task} pastes no objects", f"task={INSTANCE}")
    if plan.objects.formulation != "depth":
        why = f"objects are pasted with their depth, and objects.formulation is {plan.objects.formulation}"
        raise _unused("augment.paste", why, "objects.formulation=depth")


def _unused(key: str, why: str, cure: str) -> MaskwrightError:
    return MaskwrightError(f"{key} has no effect here: {why}. Leave it out, or add `{cure}`", key)


def _has_auxiliary(plan: Plan) -> bool:
    """Whether the planned network gives auxiliary logits; it is built without memory to see."""
    with without_values():
        segmenter = models.create_from_plan(plan.model.plain(), 2, plan.data.channels)
    return segmenter.auxiliary_count > 0
