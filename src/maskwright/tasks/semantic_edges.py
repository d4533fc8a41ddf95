"""Semantic segmentation with the edges between classes learnt beside: one more channel, for sharper masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.core.channels import CLASS_GROUP, edge_channel
from maskwright.core.classes import IGNORE
from maskwright.tasks.joint_edges import JointLoss, edges_of, without_edges
from maskwright.tasks.semantic import Semantic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan
    from maskwright.tasks.base import Decoding
    from maskwright.tasks.block import Block
    from maskwright.tasks.label_map import LabelMap


class SemanticWithEdges(Semantic):
    """The task `semantic`, by networks that have an edge channel after those of the classes."""

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return the groups of the classes and of the edges between them."""
        return (*super().channels(classes), edge_channel())

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the planned loss of the classes plus that of the edges, at the weight of the plan."""
        return JointLoss(super().loss(plan, classes), plan.edges.weight, _edges_between)

    def adjust(self, maps: Tensor, decoding: Decoding) -> Tensor:
        """Adjust the probabilities of the classes."""
        return torch.cat([super().adjust(maps[:-1], decoding), maps[-1:]])

    def ranked(self, raw: Tensor, decoding: Decoding) -> None:
        """Return None: the edges are no class."""

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
        return super().decode(without_edges(blocks), size, classes, decoding, confidence=confidence)


def _edges_between(targets: dict[str, Tensor]) -> Tensor:
    """Return the edges (N, h, w) between the classes."""
    labels = targets[CLASS_GROUP]
    return edges_of(labels, labels == IGNORE)
