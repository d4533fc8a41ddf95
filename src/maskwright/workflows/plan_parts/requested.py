"""The values that the user set, as a plan, and their keys: options, settings, a plan file, starting weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.plan import Plan
from maskwright.core.plan_file import BY_HAND, named, overridden, read_plan
from maskwright.core.plan_section import image_size
from maskwright.losses import LOSSES
from maskwright.models.backbones import find_backbone
from maskwright.models.catalog import find_model
from maskwright.tasks import TASKS
from maskwright.training.optimizers import OPTIMIZERS
from maskwright.workflows.plan_parts import warm_start
from maskwright.workflows.request import DEFAULT_BUDGET_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maskwright.workflows.request import PlanRequest

LENGTHS = ("train.budget_seconds", "train.steps")


def requested_plan(request: PlanRequest) -> tuple[Plan, frozenset[str]]:
    """Return a plan with the values that the user set, and their dotted keys.

    The length of the training comes from the settings, else the fields, else the plan file, else the default time.

    Raises:
        MaskwrightError: an unknown key, model or value, or two that contradict each other.
    """
    base, pins = (Plan(), set[str]()) if request.plan_file is None else _from_file(request.plan_file)
    if request.from_run is not None:
        warm_start.start_from(request.from_run, request.settings, base, pins)
    keys = {setting.partition("=")[0].strip() for setting in request.settings}
    _set_length(base, pins, request, keys)
    given = {key: _plain(value) for _, key, value in request.values() if key not in LENGTHS}
    pins |= keys | {key for key in given if "." in key} - {"split.group_by"}
    plan = overridden(base, request.settings, given)
    plan.reasons.pop("seed", None)
    _check_names(plan)
    image_size(plan.sampling.crop, "sampling.crop")
    image_size(plan.predict.tile, "predict.tile")
    if plan.model.pretrained and plan.model.weights:
        raise MaskwrightError(
            "`model.weights` and `model.pretrained` each say what to start from: keep one of them", "model.pretrained"
        )
    return warm_start.like_its_weights(plan, pins)


def _plain(value: Any) -> Any:
    """Return a value as the plan holds it; a path in full, to resume from any folder."""
    return str(value.resolve()) if isinstance(value, Path) else value


def _check_names(plan: Plan) -> None:
    """Refuse unknown names, and name the key that holds them.

    Raises:
        MaskwrightError: such a name.
    """
    named_by: tuple[tuple[str, str, str, Mapping[str, object]], ...] = (
        ("task", "task", plan.task, TASKS),
        ("optim.name", "optimiser", plan.optim.name, OPTIMIZERS),
        *((f"loss.terms.{name}", "loss", name, LOSSES) for name in plan.loss.terms),
        *((f"loss.options.{name}", "loss", name, LOSSES) for name in plan.loss.options),
    )
    for key, kind, name, table in named_by:
        if name not in table:
            raise unknown_name(kind, name, table, key)
    for key, find, given in (
        ("model.name", find_model, plan.model.name),
        ("model.backbone", find_backbone, plan.model.backbone),
    ):
        try:
            if given is not None:
                find(given)
        except MaskwrightError as error:
            raise MaskwrightError(str(error), key) from None


def _from_file(path: Path) -> tuple[Plan, set[str]]:
    """Read a plan and the keys that it pins, which are all that it names; those without a reason count as its own."""
    base = read_plan(path)
    pins = set(named(base))
    explained = bool(base.reasons)
    usual = Plan().model_dump()
    values = base.model_dump()
    for key in sorted(pins):
        section, name = key.split(".")
        if key not in base.reasons and (not explained or values[section][name] != usual[section][name]):
            base.reasons[key] = f"from {path}"
    return base, pins


def _set_length(base: Plan, pins: set[str], request: PlanRequest, keys: set[str]) -> None:
    """Set the length of the training in `base`; a given number of steps replaces the budget."""
    if set(LENGTHS) <= keys:
        raise MaskwrightError(
            "`train.steps` and `train.budget_seconds` each set the length of the training: keep one of them"
        )
    if "train.steps" in keys or request.steps is not None or request.epochs is not None:
        base.train.budget_seconds = None
        base.reasons.pop("train.budget_seconds", None)
    if "train.steps" in keys:
        return
    if request.steps is not None or request.epochs is not None:
        pins.discard("train.steps")
        if request.steps is not None:
            base.train.steps = request.steps
            base.reasons["train.steps"] = BY_HAND
            pins.add("train.steps")
    elif request.budget is not None or "train.budget_seconds" in keys:
        pins.discard("train.steps")
        base.train.budget_seconds = request.budget_seconds or DEFAULT_BUDGET_SECONDS
        base.reasons["train.budget_seconds"] = BY_HAND
    elif not pins & set(LENGTHS):
        base.train.budget_seconds = DEFAULT_BUDGET_SECONDS
        base.reasons["train.budget_seconds"] = "the default time; change it with `budget`"
