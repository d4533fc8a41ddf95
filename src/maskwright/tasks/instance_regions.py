"""The loss of networks that emit objects in boxes: the boxes drawn for them, and the sum of the five terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from maskwright.losses import regions
from maskwright.losses.region_sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from maskwright.losses.region_sampling import Truth
    from maskwright.models.objects.base import Regions


class RegionLoss(nn.Module):
    """Sum of the losses of objectness, shifts, classes, corrections and masks, all with weight 1.

    Args:
        truths: the objects in the targets of a batch.
    """

    def __init__(self, truths: Callable[[Mapping[str, Tensor]], list[Truth]]) -> None:
        super().__init__()
        self.truths = truths

    def sampling(self, targets: Mapping[str, Tensor], seed: int) -> Sampling:
        """Prepare to draw boxes for a batch.

        Args:
            targets: of the batch.
            seed: of the draw.
        """
        return Sampling(self.truths(targets), seed)

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
            + regions.masks(outputs.masks, own, sampling.masks(aligned=outputs.aligned))
        )
