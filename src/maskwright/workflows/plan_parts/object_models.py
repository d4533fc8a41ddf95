"""Models that serve some tasks only: the task that they bring, and what in a plan does not go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.models.catalog import find_model
from maskwright.planning.planner import applied
from maskwright.planning.rules_objects import family
from maskwright.tasks import WITH_EDGES, task_of
from maskwright.workflows.plan_parts.suggested_task import INSTANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.core.classes import Classes
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.models.entry import ModelEntry

NEEDS_MAPS: dict[str, Callable[[Plan], bool]] = {
    "edges.weight": lambda plan: bool(plan.edges.weight),
    "adversarial.weight": lambda plan: bool(plan.adversarial.weight),
    "predict.flip": lambda plan: plan.predict.flip,
    "predict.scales": lambda plan: bool(plan.predict.scales),
    "predict.output_stride": lambda plan: plan.predict.output_stride is not None,
    "postprocess.crf": lambda plan: plan.postprocess.crf is not None,
    "postprocess.superpixels": lambda plan: plan.postprocess.superpixels is not None,
    "postprocess.edges": lambda plan: plan.postprocess.edges is not None,
    "postprocess.regions": lambda plan: plan.postprocess.regions is not None,
}
"""Settings that only networks that emit maps have, and whether a plan uses them."""
SECTIONS = ("model", "loss", "adversarial", "postprocess")
"""Sections of the plan that are about one kind of network."""
FORMULATION = "objects.formulation"
"""How objects become maps, which only a network that emits maps has."""


def suited_task(model: str) -> tuple[str, str] | None:
    """Return the only task that a network is for, and the reason; None for one that serves several."""
    entry = find_model(model)
    if entry.tasks is None or len(entry.tasks) > 1:
        return None
    return entry.tasks[0], f"{model} emits objects" if entry.objects else f"{model} labels pixels"


def with_family(plan: Plan, pins: frozenset[str], found: Fingerprint) -> tuple[Plan, frozenset[str]]:
    """Choose by the objects in the data whether a network emits maps or objects; other rules then keep to that.

    A user whose settings bear on one kind of network has chosen already.
    """
    bearing = (
        {key for key in pins if key.split(".")[0] in SECTIONS or key == FORMULATION}
        - NEEDS_MAPS.keys()
        - {"model.pretrained"}
    )
    chosen = bearing or any(used(plan) for used in NEEDS_MAPS.values())
    decisions = [] if plan.task != INSTANCE or chosen else family(found.objects)
    return applied(plan, decisions, pins), pins | {decision.key for decision in decisions}


def check_task(plan: Plan, classes: Classes) -> None:
    """Refuse a network for a task that it does not serve, and parts of the plan that need maps.

    Raises:
        MaskwrightError: such a plan.
    """
    entry = find_model(plan.model.name)
    if plan.edges.weight:
        _check_edges(plan, entry, classes)
    if entry.tasks is None:
        return
    if plan.task not in entry.tasks:
        why = (
            f"emits objects, and the task {plan.task} needs maps"
            if entry.objects
            else f"labels pixels, and the task {plan.task} needs more than their classes"
        )
        raise MaskwrightError(
            f"{plan.model.name} {why}: choose `task` {' or '.join(entry.tasks)}, or another `model`, such as swiftnet",
            "model.name",
        )
    if not entry.objects:
        return
    emits = emits_objects(task_of(plan).channels(classes))
    for key, used in NEEDS_MAPS.items():
        if used(plan) and (emits or key == "adversarial.weight"):
            why = f"{key} needs maps, and {plan.model.name} learns from objects"
            raise MaskwrightError(f"{why}: leave it out", key)


def _check_edges(plan: Plan, entry: ModelEntry, classes: Classes) -> None:
    """Refuse edges beside the classes where there are none, or the network cannot learn them."""
    if plan.task not in WITH_EDGES:
        why, cure = f"the task {plan.task} learns no edges beside masks", f"choose `task` {' or '.join(WITH_EDGES)}"
    elif entry.learns != "maps":
        why, cure = f"{plan.model.name} does not learn maps", "choose another model.name, such as swiftnet"
    elif len(classes) == 1:
        why = f"the only class is {classes.names[0]}, so there is no edge between classes"
        cure = "label the other pixels as another class, such as background"
    else:
        return
    key = "edges.weight"
    raise MaskwrightError(f"{key} is {plan.edges.weight:g}, but {why}: leave it out, or {cure}", key)
