"""What is minimised for edges: a cross-entropy in which all edges together weigh as much as everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.losses.reduce import global_ratio

if TYPE_CHECKING:
    from maskwright.core.plan import EdgesPlan

EDGE_GROUP = "edges"
"""Name of the channel group that says how likely each pixel is on an edge."""


class EdgeLoss(nn.Module):
    """Class-balanced cross-entropy that leaves out disputed pixels.

    Xie and Tu 2015, "Holistically-Nested Edge Detection", equation 2, for the balance; Liu et al. 2017, "Richer
    Convolutional Features for Edge Detection", equation 1, for several people: a pixel is an edge if at least a share
    of them marked it, and is left out if fewer did.

    Where we differ: the sums are over the batch, not over each image, and divided by their weight, so that the loss is
    the mean over edges plus `background` times the mean over the rest. The pixels next to an edge are left out too:
    people and the warp of a crop miss an edge by a pixel.
    """

    def __init__(self, edges: EdgesPlan) -> None:
        super().__init__()
        self._share, self._width, self._background = edges.share, edges.width, edges.background

    def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """Compare logits (N, 1, h, w) with shares (N, 1, h, w), NaN where nothing is known."""
        logits, shares = maps[EDGE_GROUP], targets[EDGE_GROUP]
        known = shares.isfinite()
        marked = F.max_pool2d(shares.nan_to_num(), self._width, 1, self._width // 2)
        edge = (marked >= self._share) & known
        free = (F.max_pool2d(marked, 3, 1, 1) == 0) & known
        here = global_ratio((F.softplus(-logits) * edge).sum(), edge.sum())
        there = global_ratio((F.softplus(logits) * free).sum(), free.sum())
        loss: Tensor = (here + self._background * there) / (1 + self._background)
        return loss
