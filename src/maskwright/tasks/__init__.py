"""What a mask means: one file a task, and `TASKS`, the one table of them. Knows no training and no plan's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.channels import object_channels
from maskwright.core.errors import unknown_name
from maskwright.models.catalog import find_model
from maskwright.tasks import instance, panoptic, semantic
from maskwright.tasks.base import Adjustments, Block, Judge, Legend, Painted, Panel, Task, Writer

if TYPE_CHECKING:
    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan

__all__ = [
    "TASKS",
    "Adjustments",
    "Block",
    "Judge",
    "Legend",
    "Painted",
    "Panel",
    "Task",
    "Writer",
    "emitted",
    "find_task",
    "planned_task",
]

TASKS: dict[str, Task] = {
    "semantic": semantic.Semantic(),
    "instance": instance.InstanceSegmentation(),
    "panoptic": panoptic.PanopticSegmentation(),
}


def find_task(name: str) -> Task:
    """Return a task by name.

    Raises:
        MaskwrightError: no task has that name.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]


def planned_task(plan: Plan) -> Task:
    """Return the task of a plan, with the formulation that the plan chooses."""
    return find_task(plan.task).formulated(plan.objects.formulation)


def emitted(plan: Plan, classes: Classes) -> tuple[Channels, ...]:
    """Return the channel groups of the planned network: those of the task, unless it emits objects."""
    entry = find_model(plan.model.name)
    return object_channels(len(classes)) if entry.objects else planned_task(plan).channels(classes)
