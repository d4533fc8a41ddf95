"""What a mask means: one file a task, and `TASKS`, the one table of them. Knows no training and no plan's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.channels import edges_beside
from maskwright.core.errors import unknown_name
from maskwright.core.plan import Plan
from maskwright.models.catalog import find_model
from maskwright.tasks import (
    edges,
    instance,
    instance_objects,
    panoptic,
    panoptic_queries,
    queries,
    semantic,
    semantic_edges,
)
from maskwright.tasks.base import Adjustments, Judge, Legend, Painted, Panel, Task
from maskwright.tasks.block import Block
from maskwright.tasks.writer import Writer

if TYPE_CHECKING:
    from maskwright.models.bundle import Card

__all__ = [
    "TASKS",
    "WITH_EDGES",
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
    "panoptic": panoptic.PanopticSegmentation(),
    "edges": edges.EdgeDetection(),
}
BY_OBJECTS: dict[str, dict[str, Task]] = {
    "regions": {"instance": instance_objects.InstanceObjects()},
    "queries": {
        "instance": queries.InstanceQueries(),
        "semantic": queries.SemanticQueries(),
        "panoptic": panoptic_queries.PanopticQueries(),
    },
}
"""What a training compares (`ModelEntry.learns`) -> the tasks, as networks that are trained on objects serve them."""


WITH_EDGES: dict[str, Task] = {
    "semantic": semantic_edges.SemanticWithEdges(),
    "instance": instance.InstanceSegmentation(edges=True),
    "panoptic": panoptic.PanopticSegmentation(edges=True),
}
"""The tasks beside which networks that emit maps can learn edges."""


def find_task(name: str) -> Task:
    """Look up a task, as networks that emit maps serve it.

    Raises:
        MaskwrightError: there is no task of this name.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]


def task_of(plan: Plan | Card) -> Task:
    """Return the task of a plan or a model, as its network and its formulation serve it."""
    served = BY_OBJECTS.get(find_model(plan.model.name).learns)
    if served is not None:
        return served[plan.task]
    beside = plan.edges.weight if isinstance(plan, Plan) else edges_beside(plan.channels)
    task = WITH_EDGES[plan.task] if beside else find_task(plan.task)
    return task.formulated(plan.objects.formulation if isinstance(plan, Plan) else plan.formulation)
