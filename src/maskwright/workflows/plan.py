"""Plan a training: read the data once, look at the machine, decide. Prints nothing and writes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright import models
from maskwright.core.durations import check_lengths
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.plan import Plan
from maskwright.core.plan_file import BY_HAND, named, overridden, read_plan
from maskwright.data.fingerprint import fingerprint, for_training
from maskwright.data.formats import read_dataset
from maskwright.data.split import TooFewImagesError, with_splits
from maskwright.data.survey import survey
from maskwright.losses import LOSSES
from maskwright.models.backbones import find_backbone, packages
from maskwright.models.backbones.hub import normalisation_of, pretrained_file
from maskwright.models.catalog import find_model
from maskwright.planning import planner, rules_time
from maskwright.planning.facts import Facts, Pretrained
from maskwright.planning.machine import Machine, probe
from maskwright.training import adversarial, optimizers
from maskwright.workflows.plan_parts import warm_start
from maskwright.workflows.plan_parts.unused_settings import check_unused_settings
from maskwright.workflows.request import DEFAULT_BUDGET_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.records import Dataset
    from maskwright.data.survey import Survey
    from maskwright.workflows.request import PlanRequest

SURVEY_SHARE = 0.1
"""Part of the budget that looking at the data may take."""
EVALUATION_SHARE = rules_time.EVALUATION_SHARE
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
    pinned, pins = requested_plan(request)
    budget = pinned.train.budget_seconds
    check_lengths({"train.budget_seconds": budget})
    machine = probe(request.device)
    dataset = read_dataset(root, request.read)
    seen = survey(dataset, None if budget is None else budget * SURVEY_SHARE, on_progress)
    placed = _divided(dataset, seen, pinned)
    print_of = fingerprint(seen, placed)
    check_trainable(print_of)
    left = None if budget is None else budget * (1 - EVALUATION_SHARE) - (time.monotonic() - started)
    known = _pretrained(pinned, machine, pins)
    facts = Facts(for_training(print_of, seen, placed), machine, len(placed.part("train")), left, known, request.epochs)
    plan = planner.make(facts, pinned, pins, optimizers.create, adversarial.create)
    check_unused_settings(plan, request)
    warm_start.check(plan, request)
    return PlanResult(plan, print_of, placed, seen, machine)


def _divided(dataset: Dataset, seen: Survey, plan: Plan) -> Dataset:
    """Divide the images that can be used.

    Raises:
        MaskwrightError: they are too few; where others had to be left out, naming the first of these.
    """
    try:
        return with_splits(seen.dataset, plan.split, plan.seed, seen)
    except TooFewImagesError as error:
        fewer, all_of = len(seen.dataset.records), len(dataset.records)
        causes = [fault for fault in seen.dataset.faults if fault.severity == "error"]
        if fewer == all_of or not causes:
            raise
        first = causes[0]
        raise MaskwrightError(
            f"{error.message}, as {all_of - fewer} of {all_of} are left out. The first: {first.path}: {first.message}: "
            f"{first.cure}. `maskwright inspect {dataset.root}` lists all"
        ) from None


def requested_plan(request: PlanRequest) -> tuple[Plan, frozenset[str]]:
    """Return a plan that holds the user's own values, and the dotted keys of those.

    How long: what the settings say; else the options; else the plan file; else the usual time.

    Raises:
        MaskwrightError: an unknown key, model or value, or two that contradict each other.
    """
    if request.plan_file is None:
        base, pins = Plan(), set[str]()
    else:
        base, pins = _from_file(request.plan_file)
    if request.seed is not None:
        base.seed = request.seed
    weights = None if request.weights is None else str(request.weights.resolve())  # to resume from any folder
    for key, wish in (("name", request.model), ("backbone", request.backbone), ("weights", weights)):
        if wish is not None:
            setattr(base.model, key, wish)
            base.reasons[f"model.{key}"] = BY_HAND
            pins.add(f"model.{key}")
    if request.group_by is not None:
        base.split.group_by = request.group_by
        base.reasons["split.group_by"] = BY_HAND
    if request.from_run is not None:
        warm_start.start_from(request.from_run, request.settings, base, pins)
    pins |= {setting.partition("=")[0].strip() for setting in request.settings}
    _set_length(base, pins, request)
    plan = overridden(base, request.settings, request.typed)
    _check_names(plan, request)
    if plan.model.pretrained and plan.model.weights:
        raise MaskwrightError(
            f"{request.said('model.weights')} and {request.said('model.pretrained')} each say what to start from: keep "
            "one of them"
        )
    return warm_start.like_its_weights(plan, pins)


def _check_names(plan: Plan, request: PlanRequest) -> None:
    """Refuse names that no table holds, by the key that they were given for.

    Raises:
        MaskwrightError: such a name.
    """
    named_by: tuple[tuple[str, str, str, Mapping[str, object]], ...] = (
        ("optim.name", "optimiser", plan.optim.name, optimizers.OPTIMIZERS),
        *((f"loss.terms.{name}", "loss", name, LOSSES) for name in plan.loss.terms),
        *((f"loss.options.{name}", "loss", name, LOSSES) for name in plan.loss.options),
    )
    for key, kind, name, table in named_by:
        if name not in table:
            raise MaskwrightError(f"{request.said(key)}: {unknown_name(kind, name, table)}")
    for key, find, given in (
        ("model.name", find_model, plan.model.name),
        ("model.backbone", find_backbone, plan.model.backbone),
    ):
        try:
            if given is not None:
                find(given)
        except MaskwrightError as error:
            raise MaskwrightError(f"{request.said(key)}: {error}") from None


def _from_file(path: Path) -> tuple[Plan, set[str]]:
    """Read a plan and what it pins: all that it names. What it gives no reason for is its own decision."""
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


def _set_length(base: Plan, pins: set[str], request: PlanRequest) -> None:
    """Put into `base` how long the training lasts; steps that are given leave no room for a budget."""
    keys = {setting.partition("=")[0].strip() for setting in request.settings}
    if {"train.steps", "train.budget_seconds"} <= keys:
        raise MaskwrightError(
            "--set train.steps and --set train.budget_seconds each say how long training lasts: keep one of them"
        )
    if "train.steps" in keys:
        base.train.budget_seconds = None
        base.reasons.pop("train.budget_seconds", None)
    elif request.steps is not None or request.epochs is not None:
        base.train.budget_seconds = None
        base.reasons.pop("train.budget_seconds", None)
        pins.discard("train.steps")
        if request.steps is not None:
            base.train.steps = request.steps
            base.reasons["train.steps"] = BY_HAND
            pins.add("train.steps")
    elif request.budget_seconds is not None or "train.budget_seconds" in keys:
        pins.discard("train.steps")
        base.train.budget_seconds = request.budget_seconds or DEFAULT_BUDGET_SECONDS
        base.reasons["train.budget_seconds"] = BY_HAND
    elif not pins & {"train.steps", "train.budget_seconds"}:
        base.train.budget_seconds = DEFAULT_BUDGET_SECONDS
        base.reasons["train.budget_seconds"] = "the usual time; --budget gives another"


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


def _pretrained(pinned: Plan, machine: Machine, pins: frozenset[str]) -> Pretrained:
    """Get published weights onto this machine if that can be done, and say so if not; never fail half-way.

    Raises:
        MaskwrightError: the user insists on them and they cannot be had.
    """
    backbone = pinned.model.backbone or _own_backbone(pinned.model.name) or _published_backbone(pinned, machine)
    if pinned.model.weights:
        return Pretrained(backbone, available=False, reason=f"starts from {pinned.model.weights}")
    if "model.pretrained" in pins:
        if pinned.model.pretrained:
            pretrained_file(backbone)
            return _available(backbone, "set by hand")
        return Pretrained(backbone, available=False, reason="set by hand")
    available, reason = models.pretrained_available(backbone)
    if available:
        try:
            pretrained_file(backbone)
        except MaskwrightError as error:
            available, reason = False, f"from scratch: {error}"
    return _available(backbone, reason) if available else Pretrained(backbone, available=False, reason=reason)


def _available(backbone: str, reason: str) -> Pretrained:
    mean, std = normalisation_of(backbone)
    return Pretrained(backbone, available=True, reason=reason, mean=mean, std=std)


def _published_backbone(pinned: Plan, machine: Machine) -> str:
    """Return the backbone whose published weights suit a machine and an architecture that does not mind.

    On a CPU that is the one that comes as a package and was measured there, with the default architecture; another one
    gets it where the user asks for published weights.
    """
    measured = pinned.model.name == Plan().model.name or pinned.model.pretrained
    return packages.USUAL if machine.device == "cpu" and measured else PUBLISHED[machine.device]


def _own_backbone(name: str) -> str | None:
    """Return the backbone without which an architecture is not itself, or None where any will do: VGG-16 for FCN-8s."""
    usual = find_model(name).default_backbone
    return usual if usual != "compact" and find_backbone(usual).timm is None else None
