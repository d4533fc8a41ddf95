"""What a mask means: one file a task, and `TASKS`, the one table of them. Knows no training and no plan's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import unknown_name
from maskwright.models.catalog import find_model
from maskwright.tasks import instance, instance_objects, semantic
from maskwright.tasks.base import Adjustments, Block, Judge, Legend, Painted, Panel, Task, Writer

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.models.bundle import Card

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
    "find_task",
    "task_of",
]

TASKS: dict[str, Task] = {
    "semantic": semantic.Semantic(),
    "instance": instance.InstanceSegmentation(),
}
BY_OBJECTS: dict[str, Task] = {"instance": instance_objects.InstanceObjects()}
"""The same tasks served by networks that emit objects instead of maps."""


def find_task(name: str) -> Task:
    """Look up a task, as networks that emit maps serve it.

    Raises:
        MaskwrightError: there is no task of this name.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]


def task_of(plan: Plan | Card) -> Task:
    """Return the task of a plan or a model, as its network serves it."""
    return BY_OBJECTS[plan.task] if find_model(plan.model.name).objects else find_task(plan.task)
