"""Plan a training: read the data once, probe the machine, decide. Prints and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from maskwright.core.durations import check_lengths
from maskwright.core.errors import MaskwrightError
from maskwright.core.time_budget import TimeBudget
from maskwright.data.faults import OBSTACLES
from maskwright.data.fingerprint import fingerprint, for_training
from maskwright.data.formats import read_dataset
from maskwright.data.split import TooFewImagesError, with_splits
from maskwright.data.survey import survey
from maskwright.models.catalog import find_model
from maskwright.planning import planner
from maskwright.planning.facts import Facts
from maskwright.planning.machine import Machine, probe
from maskwright.postprocess import POSTPROCESSORS, check_channels
from maskwright.tasks import find_task, task_of
from maskwright.training import forest
from maskwright.workflows.plan_parts import warm_start
from maskwright.workflows.plan_parts.object_limits import with_limits
from maskwright.workflows.plan_parts.object_models import check_task, suited_task, with_family
from maskwright.workflows.plan_parts.pretrained import find_pretrained
from maskwright.workflows.plan_parts.requested import requested_plan
from maskwright.workflows.plan_parts.step import measured
from maskwright.workflows.plan_parts.suggested_task import suggested_task
from maskwright.workflows.plan_parts.things import as_planned, with_stuff
from maskwright.workflows.plan_parts.unused_settings import check_unused_settings

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.core.records import Dataset
    from maskwright.data.survey import Survey
    from maskwright.workflows.request import PlanRequest


@dataclass(frozen=True)
class PlanResult:
    """The plan and what it is based on.

    Attributes:
        plan: every decision, with reasons.
        fingerprint: of the data.
        dataset: usable records, each with its split.
        survey: what was measured of each record.
        machine: that the plan is for.
        notes: what the planned training cannot hold of the data.
    """

    plan: Plan
    fingerprint: Fingerprint
    dataset: Dataset
    survey: Survey
    machine: Machine
    notes: tuple[str, ...] = ()


def make_plan(root: Path, request: PlanRequest, on_progress: OnProgress | None = None) -> PlanResult:
    """Decide everything about one training.

    Args:
        root: folder (or file) of images and masks.
        request: what the user requests.
        on_progress: called with (images read, images in all).

    Raises:
        MaskwrightError: the data cannot be trained on, the request cannot be met, or the budget is too short.
    """
    started = TimeBudget.of(None, request.started).started
    pinned, pins = requested_plan(request)
    if find_model(pinned.model.name).learns == "pixels":
        forest.check_library()
    budget = TimeBudget.of(pinned.train.budget_seconds, started)
    check_lengths({"train.budget_seconds": budget.seconds})
    machine = probe(request.device)
    dataset = read_dataset(root, request.read.for_task(find_task(pinned.task).annotation))
    if request.task_is_open:
        pinned.task, pinned.reasons["task"] = suited_task(pinned.model.name) or suggested_task(dataset)
    dataset = as_planned(dataset, pinned)
    check_task(pinned, dataset.classes)
    seen = survey(dataset, budget.survey_seconds(), on_progress)
    task = find_task(pinned.task)
    task.check(dataset)
    divided = with_stuff(_divided(dataset, seen, pinned), seen, pinned)
    found = fingerprint(seen, divided, objects=task.objects and not task.stuff)
    check_trainable(found)
    pinned, pins = with_family(pinned, pins, found)
    left = budget.training_seconds()
    known = find_pretrained(pinned, machine, pins, left)
    facts = Facts(for_training(found, seen, divided), machine, len(divided.part("train")), left, known, request.epochs)
    measure = partial(measured, dataset=divided, seen=seen, machine=machine)
    plan = planner.make(facts, pinned, pins, measure)
    check_unused_settings(plan, request)
    for name in POSTPROCESSORS:
        if getattr(plan.postprocess, name) is not None:
            check_channels(name, task_of(plan).channels(dataset.classes))
    warm_start.check(plan)
    warm_start.check_fit(plan, task_of(plan).channels(dataset.classes), dataset.classes.names)
    plan, notes = with_limits(plan, found)
    return PlanResult(plan, found, divided, seen, machine, notes)


def _divided(dataset: Dataset, seen: Survey, plan: Plan) -> Dataset:
    """Split the usable images. If the annotations leave none, `check_trainable` says why.

    Raises:
        MaskwrightError: there are too few; if others were left out, the message names the first of them.
    """
    if not dataset.records:
        return seen.dataset
    try:
        return with_splits(seen.dataset, plan.split, plan.seed, seen)
    except TooFewImagesError as error:
        fewer, all_of = len(seen.dataset.records), len(dataset.records)
        causes = [fault for fault in seen.dataset.faults if fault.severity == "error"]
        if fewer == all_of or not causes:
            raise
        first = causes[0]
        raise MaskwrightError(
            f"{error.message}, since {all_of - fewer} of {all_of} are left out. The first: {first.path}: "
            f"{first.message}: {first.cure}. `maskwright inspect {dataset.root}` lists all"
        ) from None


def check_trainable(found: Fingerprint) -> None:
    """Refuse data that cannot be trained on.

    Raises:
        MaskwrightError: with the reason, and the first fault that explains it.
    """
    if found.obstacle is None:
        return
    errors = (fault for fault in found.faults if fault.severity == "error" and fault.kind not in OBSTACLES)
    worst = next(errors, None)
    why = "" if worst is None else f" The first fault: {worst.path}: {worst.message}: {worst.cure}."
    raise MaskwrightError(
        f"{found.root} cannot be trained on: {found.obstacle}.{why} `maskwright inspect {found.root}` lists all faults"
    )
