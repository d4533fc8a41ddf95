"""The truth of crops as segments, each with an id and a class, for networks that are trained on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from maskwright.core.channels import CLASS_GROUP
from maskwright.core.classes import IGNORE
from maskwright.losses.queries import query_loss
from maskwright.losses.region_sampling import Truth, truth_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from maskwright.losses.queries import Layer

ID_GROUP = "ids"


def object_truths(targets: Mapping[str, Tensor], order: Sequence[int]) -> list[Truth]:
    """Return the objects of each crop.

    Args:
        targets: labels (N, H, W) and ids (N, 1, H, W), NaN where unknown.
        order: class index of each row of the network's classes.
    """
    labels, ids = targets[CLASS_GROUP], targets[ID_GROUP][:, 0].nan_to_num().round().long()
    rows = torch.zeros(IGNORE + 1, dtype=torch.int64, device=labels.device)
    rows[torch.tensor(order, device=labels.device)] = torch.arange(len(order), device=labels.device)
    return [truth_of(*planes) for planes in zip(ids, rows[labels], labels == IGNORE, strict=True)]


def class_truths(targets: Mapping[str, Tensor]) -> list[Truth]:
    """Return the regions of each class in each crop, as one segment: labels (N, H, W)."""
    labels = targets[CLASS_GROUP]
    ids = torch.where(labels == IGNORE, 0, labels + 1)
    found = [truth_of(*planes) for planes in zip(ids, ids, labels == IGNORE, strict=True)]
    return [truth._replace(rows=truth.rows - 1) for truth in found]


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
