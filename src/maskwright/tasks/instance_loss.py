"""The loss of objects as maps: that of the classes as in semantic segmentation, and what each formulation adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional as F

from maskwright.core.channels import CLASS_GROUP
from maskwright.losses.reduce import global_ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Maps = dict[str, Tensor]

DEPTH_GROUP = "depth"
BORDER_GROUP = "border"
CENTRE_GROUP = "centre"
OFFSET_GROUP = "offset"
OFFSET_UNIT = 16.0
"""An offset of one in the network's output, in pixels."""


class InstanceLoss(nn.Module):
    """Sum of the planned loss of the classes and that of the maps that tell objects apart.

    Args:
        classes: the planned loss: logits (N, K, h, w) and labels (N, h, w) to a scalar.
        objects: what the formulation adds: raw maps and targets by group to a scalar.
    """

    def __init__(self, classes: nn.Module, objects: Callable[[Maps, Maps], Tensor]) -> None:
        super().__init__()
        self.classes, self._objects = classes, objects

    def forward(self, maps: Maps, targets: Maps) -> Tensor:
        """Compare raw maps (N, C, h, w) with targets; what is NaN or ignored does not count."""
        loss: Tensor = self.classes(maps[CLASS_GROUP], targets[CLASS_GROUP])
        return loss + self._objects(maps, targets)


def depth_loss(maps: Maps, targets: Maps) -> Tensor:
    """Return the cross-entropies of depth and borders.

    The depth is a soft label, as the object probability of StarDist (Schmidt et al. 2018, section 2.1). Borders count
    in objects only: elsewhere nothing reads them.
    """
    depth = targets[DEPTH_GROUP]
    loss = _mean_cross_entropy(maps[DEPTH_GROUP], depth, depth.isfinite())
    return loss + _mean_cross_entropy(maps[BORDER_GROUP], targets[BORDER_GROUP], depth > 0)


def centre_loss(maps: Maps, targets: Maps) -> Tensor:
    """Return the cross-entropy of the heat, a soft label, and the error of the offsets as a share of their length."""
    heat, offset = targets[CENTRE_GROUP], targets[OFFSET_GROUP]
    inside = offset.isfinite()
    wanted = offset.nan_to_num()
    errors = (OFFSET_UNIT * maps[OFFSET_GROUP].float() - wanted).abs() * inside
    loss = _mean_cross_entropy(maps[CENTRE_GROUP], heat, heat.isfinite())
    return loss + global_ratio(errors.sum(), wanted.abs().sum())


def _mean_cross_entropy(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Return the mean over the counted pixels of all processes; 0 if there are none. All (N, 1, h, w)."""
    pixels = F.binary_cross_entropy_with_logits(logits.float(), target.nan_to_num(), reduction="none")
    return global_ratio((pixels * counted).sum(), counted.sum())
