"""Edges learnt beside masks: what they are in the labels or the objects of a crop, and their loss. Knows no task.

Where the edges are follows from what the other channels are compared with, so nothing else is read or warped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from maskwright import losses
from maskwright.core.channels import EDGE_GROUP
from maskwright.core.classes import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from maskwright.tasks.block import Block


class JointLoss(nn.Module):
    """The loss of the other channels, and a balanced cross-entropy of the edges.

    Args:
        others: (raw maps, targets) by group to a scalar.
        weight: of the edges.
        edges: targets by group, at the size of the maps, to the edges (N, h, w) as `edges_of` returns them.
    """

    def __init__(self, others: nn.Module, weight: float, edges: Callable[[dict[str, Tensor]], Tensor]) -> None:
        super().__init__()
        self._others, self._weight, self._edges = others, weight, edges
        self._of_edges = losses.create("balanced_cross_entropy", "sigmoid")

    def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """Return the loss of raw maps (N, C, h, w)."""
        of_edges = self._of_edges(maps[EDGE_GROUP], self._edges(targets))
        loss: Tensor = self._others(maps, targets) + self._weight * of_edges
        return loss


def edges_of(numbers: Tensor, unknown: Tensor) -> Tensor:
    """Return uint8 (N, h, w): 1 for a pixel one of whose eight neighbours has another number, `IGNORE` for unknown.

    Edges are two pixels wide, one on either side. No edge lies between a known pixel and an unknown one.

    Args:
        numbers: (N, h, w), 0 or more: which class or object a pixel is part of.
        unknown: bool (N, h, w).
    """
    values = numbers.float()
    highest = F.max_pool2d(values.masked_fill(unknown, -1), 3, 1, 1)
    lowest = -F.max_pool2d(-values.masked_fill(unknown, float("inf")), 3, 1, 1)
    return (highest > lowest).byte().masked_fill(unknown, IGNORE)


def without_edges(blocks: Iterable[Block]) -> Iterator[Block]:
    """Leave out the last map of each block, the strength of edges."""
    return (replace(block, maps=block.maps[:-1]) for block in blocks)
