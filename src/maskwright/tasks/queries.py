"""Tasks as networks of queries, such as Mask2Former, serve them: the loss matches queries with segments of the truth.

What else differs is what the network emits: objects for the task `instance`, maps for the task `semantic`. For
`panoptic`, see `tasks.panoptic_queries`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from maskwright.tasks.instance_objects import InstanceObjects
from maskwright.tasks.object_truths import class_truths, object_truths
from maskwright.tasks.query_loss import QueryLoss
from maskwright.tasks.semantic import Semantic

if TYPE_CHECKING:
    from torch import nn

    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan


class InstanceQueries(InstanceObjects):
    """The task `instance`, by queries that emit objects."""

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the loss of queries matched with objects."""
        return QueryLoss(partial(object_truths, order=self.order(classes)))


class SemanticQueries(Semantic):
    """The task `semantic`, by queries from which maps follow."""

    planned_loss = False

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the loss of queries matched with the regions of classes."""
        return QueryLoss(class_truths)
