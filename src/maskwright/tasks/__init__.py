"""What a mask means: one file a task, and `TASKS`, the one table of them. Knows no training and no plan's rules."""

from __future__ import annotations

from maskwright.core.errors import unknown_name
from maskwright.tasks import instance, semantic
from maskwright.tasks.base import Adjustments, Block, Judge, Legend, Painted, Panel, Task, Writer

__all__ = ["TASKS", "Adjustments", "Block", "Judge", "Legend", "Painted", "Panel", "Task", "Writer", "find_task"]

TASKS: dict[str, Task] = {
    "semantic": semantic.Semantic(),
    "instance": instance.InstanceSegmentation(),
}


def find_task(name: str) -> Task:
    """Return a task by name.

    Raises:
        MaskwrightError: no task has that name.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
