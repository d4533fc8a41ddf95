"""Semantic segmentation with the edges between classes learnt beside: one more channel, for sharper masks.

Where the edges are follows from the labels that the classes are compared with, so nothing else is read or warped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright import losses
from maskwright.core.channels import CLASS_GROUP, EDGE_GROUP, edge_channel
from maskwright.core.classes import IGNORE
from maskwright.tasks.semantic import Semantic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan
    from maskwright.tasks.base import Block, Decoding
    from maskwright.tasks.label_map import LabelMap


class SemanticWithEdges(Semantic):
    """The task `semantic`, by networks that have an edge channel after those of the classes."""

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return the groups of the classes and of the edges between them."""
        return (*super().channels(classes), edge_channel())

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the planned loss of the classes plus that of the edges, at the weight of the plan."""
        return _JointLoss(super().loss(plan, classes), plan.edges.weight)

    def adjust(self, maps: Tensor, decoding: Decoding) -> Tensor:
        """Adjust the probabilities of the classes."""
        return torch.cat([super().adjust(maps[:-1], decoding), maps[-1:]])

    def decode(
        self,
        blocks: Iterable[Block],
        size: tuple[int, int],
        classes: Classes,
        decoding: Decoding,
        *,
        confidence: bool = False,
    ) -> LabelMap:
        """Choose the likeliest class of every pixel."""
        of_classes = (replace(block, maps=block.maps[:-1]) for block in blocks)
        return super().decode(of_classes, size, classes, decoding, confidence=confidence)


class _JointLoss(nn.Module):
    """The loss of the classes, and a balanced cross-entropy of the edges between them."""

    def __init__(self, of_classes: nn.Module, weight: float) -> None:
        super().__init__()
        self._of_classes, self._weight = of_classes, weight
        self._of_edges = losses.create("balanced_cross_entropy", "sigmoid")

    def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """Return the loss of logits (N, K, h, w) and (N, 1, h, w), and labels (N, h, w)."""
        of_edges = self._of_edges(maps[EDGE_GROUP], edges_of(targets[CLASS_GROUP]))
        loss: Tensor = self._of_classes(maps, targets) + self._weight * of_edges
        return loss


def edges_of(labels: Tensor) -> Tensor:
    """Return 1 for a pixel one of whose eight neighbours has another class, 0 for others, `IGNORE` as in the labels.

    Edges are two pixels wide, one on either side. No edge lies between a labelled pixel and one that is not.

    Args:
        labels: uint8 (N, h, w), class indices or `IGNORE`.
    """
    unknown = labels == IGNORE
    values = labels.float()
    highest = F.max_pool2d(values.masked_fill(unknown, -1), 3, 1, 1)
    lowest = -F.max_pool2d(-values, 3, 1, 1)  # `IGNORE` is above every class
    return (highest > lowest).to(labels.dtype).masked_fill(unknown, IGNORE)
