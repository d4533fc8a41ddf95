"""Tasks as networks of queries, such as Mask2Former, serve them: the loss matches queries with segments of the truth.

What else differs is what the network emits: objects for the task `instance`, maps for the task `semantic`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

from maskwright.losses.queries import query_loss
from maskwright.tasks.instance_objects import InstanceObjects, rows_of
from maskwright.tasks.object_truths import class_truths, object_truths
from maskwright.tasks.semantic import Semantic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan
    from maskwright.losses.queries import Layer
    from maskwright.losses.region_sampling import Truth


class InstanceQueries(InstanceObjects):
    """The task `instance`, by queries that emit objects."""

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the loss of queries matched with objects."""
        return QueryLoss(partial(object_truths, order=rows_of(classes)))


class SemanticQueries(Semantic):
    """The task `semantic`, by queries from which maps follow."""

    planned_loss = False

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the loss of queries matched with the regions of classes."""
        return QueryLoss(class_truths)


class QueryLoss(nn.Module):
    """The loss of queries that are matched with segments.

    Args:
        truths: the segments in the targets of a batch; `rows` are places of classes in the network's logits.
    """

    def __init__(self, truths: Callable[[Mapping[str, Tensor]], list[Truth]]) -> None:
        super().__init__()
        self.truths = truths

    def forward(self, layers: Sequence[Layer], targets: Mapping[str, Tensor], seed: int) -> Tensor:
        """Match and compare the queries of all layers with the targets of the batch."""
        return query_loss(layers, self.truths(targets), seed)
