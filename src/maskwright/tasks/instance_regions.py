"""The loss of networks that emit objects: what to draw from the targets of the task, and the sum of the five terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from maskwright.core.channels import OBJECT_GROUP
from maskwright.losses import regions
from maskwright.losses.region_sampling import Sampling, truth_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwright.models.objects.base import Regions


class RegionLoss(nn.Module):
    """Sum of the losses of objectness, shifts, classes, corrections and masks, all with weight 1.

    Args:
        order: class index of each row of the network's classes.
    """

    rows: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("rows", torch.tensor(order).argsort(), persistent=False)

    def sampling(self, targets: Mapping[str, Tensor], seed: int) -> Sampling:
        """Prepare to draw boxes for a batch.

        Args:
            targets: the group of objects: ids and class indices (N, 2, H, W), NaN where unknown.
            seed: of the draw.
        """
        planes = targets[OBJECT_GROUP]
        ids, indices = planes.nan_to_num().long().unbind(1)
        maps = zip(ids, self.rows[indices], planes[:, 0].isnan(), strict=True)
        return Sampling([truth_of(*each) for each in maps], seed)

    def forward(self, outputs: Regions, sampling: Sampling) -> Tensor:
        """Compare the raw outputs with what is wanted of the boxes drawn."""
        logits, holding, shifts = [], [], []
        for image, (full, empty, _) in enumerate(sampling.anchors):
            logits.append(outputs.objectness[image][torch.cat([full, empty])])
            holding.append(torch.arange(len(full) + len(empty), device=full.device) < len(full))
            shifts.append(outputs.shifts[image][full])
        wanted, rows = torch.cat([shift for *_, shift in sampling.anchors]), torch.cat(sampling.rows)
        own, drawn = rows[rows > 0], torch.cat(holding)
        return (
            regions.objectness(torch.cat(logits), drawn)
            + regions.coordinates(torch.cat(shifts), wanted, len(drawn))
            + regions.classes(outputs.classes, rows)
            + regions.coordinates(outputs.corrections[rows > 0, own], torch.cat(sampling.corrections), len(rows))
            + regions.masks(outputs.masks, own, torch.cat(sampling.masks))
        )
