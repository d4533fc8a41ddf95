"""The loss of objects as maps: classes as in semantic segmentation, depth and borders by cross-entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional as F

from maskwright.core.channels import CLASS_GROUP
from maskwright.losses.reduce import global_ratio

if TYPE_CHECKING:
    from torch import Tensor

DEPTH_GROUP = "depth"
BORDER_GROUP = "border"


class InstanceLoss(nn.Module):
    """Sum of the planned loss of the classes and the cross-entropies of depth and borders.

    The depth is a soft label, as the object probability of StarDist (Schmidt et al. 2018, section 2.1). Borders count
    in objects only: elsewhere nothing reads them.

    Args:
        classes: the planned loss: logits (N, K, h, w) and labels (N, h, w) to a scalar.
    """

    def __init__(self, classes: nn.Module) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """Compare raw maps (N, C, h, w) with targets; what is NaN or ignored does not count."""
        depth = targets[DEPTH_GROUP]
        loss: Tensor = self.classes(maps[CLASS_GROUP], targets[CLASS_GROUP])
        loss = loss + _mean_cross_entropy(maps[DEPTH_GROUP], depth, depth.isfinite())
        return loss + _mean_cross_entropy(maps[BORDER_GROUP], targets[BORDER_GROUP], depth > 0)


def _mean_cross_entropy(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Return the mean over the counted pixels of all processes; 0 if there are none. All (N, 1, h, w)."""
    pixels = F.binary_cross_entropy_with_logits(logits.float(), target.nan_to_num(), reduction="none")
    return global_ratio((pixels * counted).sum(), counted.sum())
