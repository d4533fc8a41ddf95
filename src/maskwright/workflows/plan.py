"""Plan a training: read the data once, look at the machine, decide. Prints nothing and writes nothing."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright import models
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.plan import Plan
from maskwright.core.plan_file import overridden, read_plan
from maskwright.data.fingerprint import fingerprint
from maskwright.data.formats import read_dataset
from maskwright.data.split import with_splits
from maskwright.data.survey import survey
from maskwright.models.backbones.hub import pretrained_file
from maskwright.planning import planner
from maskwright.planning.facts import Facts, Pretrained
from maskwright.planning.machine import Machine, probe
from maskwright.training import optimizers
from maskwright.workflows.request import DEFAULT_BUDGET_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.records import Dataset
    from maskwright.data.survey import Survey
    from maskwright.workflows.request import PlanRequest

SURVEY_SHARE = 0.1
"""Part of the budget that looking at the data may take."""
EVALUATION_SHARE = 0.15
"""Part of the budget that the honest evaluation at the end may take; it looks at fewer images when that is short."""
PUBLISHED = {"cpu": "timm:resnet18", "mps": "timm:resnet18", "cuda": "timm:resnet50"}


@dataclass(frozen=True)
class PlanResult:
    """The plan and what it was made from.

    Attributes:
        plan: every decision, with reasons.
        fingerprint: of the data.
        dataset: usable records, each with its split.
        survey: what was seen of each record.
        machine: that the plan was made for.
    """

    plan: Plan
    fingerprint: Fingerprint
    dataset: Dataset
    survey: Survey
    machine: Machine


def make_plan(root: Path, request: PlanRequest, on_progress: OnProgress | None = None) -> PlanResult:
    """Decide everything about one training.

    Args:
        root: folder (or file) of images and masks.
        request: the user's wishes.
        on_progress: called with (images looked at, images in all).

    Raises:
        MaskwrightError: the data cannot be trained on, a wish cannot be met, or the budget is too short.
    """
    started = time.monotonic() if request.started is None else request.started
    pinned, pins = wishes(request)
    machine = probe(request.device)
    dataset = read_dataset(root, request.read)
    budget = pinned.train.budget_seconds
    seen = survey(dataset, None if budget is None else budget * SURVEY_SHARE, on_progress)
    placed = with_splits(seen.dataset, pinned.split, pinned.seed, seen)
    print_of = fingerprint(seen, placed)
    check_trainable(print_of)
    train_images = len(placed.part("train"))
    facts = Facts(print_of, machine, train_images, None, _pretrained(pinned, machine, pins))
    if budget is not None:
        spent = time.monotonic() - started
        facts = Facts(print_of, machine, train_images, budget * (1 - EVALUATION_SHARE) - spent, facts.pretrained)
    if request.epochs is not None:
        pins = pins | {"train.steps"}
        pinned.train.steps = max(math.ceil(request.epochs * train_images / pinned.sampling.batch), 1)
    return PlanResult(planner.make(facts, pinned, pins, optimizers.create), print_of, placed, seen, machine)


def wishes(request: PlanRequest) -> tuple[Plan, frozenset[str]]:
    """Return a plan that holds the user's own values, and the dotted keys of those.

    How long: what the options say; else what the settings or the plan file say; else the usual time.

    Raises:
        MaskwrightError: an unknown key, model or value.
    """
    pins = {setting.partition("=")[0].strip() for setting in request.settings}
    if request.plan_file is not None:
        base = read_plan(request.plan_file)
        pins |= {f"{name}.{key}" for name, section in _sections(base) for key in section}
    else:
        base = Plan(seed=request.seed)
    if request.model is not None:
        if request.model not in models.MODELS:
            raise unknown_name("model", request.model, models.MODELS)
        base.model.name = request.model
        base.reasons["model.name"] = "set by hand"
        pins.add("model.name")
    if request.group_by is not None:
        base.split.group_by = request.group_by
    if request.steps is not None:
        base.train.steps = request.steps
        base.reasons["train.steps"] = "set by hand"
        pins.add("train.steps")
    if request.steps is not None or request.epochs is not None:
        base.train.budget_seconds = None
    elif request.budget_seconds is not None:
        base.train.budget_seconds = request.budget_seconds
    elif "train.steps" not in pins:
        base.train.budget_seconds = DEFAULT_BUDGET_SECONDS
    return overridden(base, list(request.settings)), frozenset(pins)


def check_trainable(found: Fingerprint) -> None:
    """Refuse data that no training can use.

    Raises:
        MaskwrightError: with what stands in the way, and the first fault that explains it.
    """
    if found.obstacle is None:
        return
    worst = next((fault for fault in found.faults if fault.severity == "error"), None)
    more = worst is not None and worst.message not in found.obstacle
    why = f" The first fault: {worst.path}: {worst.message}: {worst.cure}." if worst is not None and more else ""
    raise MaskwrightError(
        f"{found.root} cannot be trained on: {found.obstacle}.{why} `maskwright inspect {found.root}` lists all faults"
    )


def _sections(plan: Plan) -> list[tuple[str, dict[str, object]]]:
    return [(name, value) for name, value in plan.model_dump().items() if isinstance(value, dict) and name != "reasons"]


def _pretrained(pinned: Plan, machine: Machine, pins: frozenset[str]) -> Pretrained:
    """Get published weights onto this machine if that can be done, and say so if not; never fail half-way.

    Raises:
        MaskwrightError: the user insists on them and they cannot be had.
    """
    backbone = pinned.model.backbone or PUBLISHED[machine.device]
    if pinned.model.weights:
        return Pretrained(backbone, available=False, reason=f"starts from {pinned.model.weights}")
    if "model.pretrained" in pins:
        if pinned.model.pretrained:
            pretrained_file(backbone)
        return Pretrained(backbone, available=pinned.model.pretrained, reason="set by hand")
    available, reason = models.pretrained_available(backbone)
    if available:
        try:
            pretrained_file(backbone)
        except MaskwrightError as error:
            available, reason = False, f"from scratch: {error}"
    return Pretrained(backbone, available, reason)
