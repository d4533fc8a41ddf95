"""The truth of crops as segments, each with an id and a class, for networks that are trained on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.core.channels import CLASS_GROUP, OBJECT_GROUP
from maskwright.core.classes import IGNORE
from maskwright.losses.region_sampling import Truth, truth_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


def object_truths(targets: Mapping[str, Tensor], order: Sequence[int]) -> list[Truth]:
    """Return the objects of each crop.

    Args:
        targets: the group of objects: ids and class indices (N, 2, H, W), NaN where unknown.
        order: class index of each row of the network's classes.
    """
    planes = targets[OBJECT_GROUP]
    ids, indices = planes.nan_to_num().long().unbind(1)
    rows = torch.tensor(order, device=planes.device).argsort()[indices]
    return [truth_of(*each) for each in zip(ids, rows, planes[:, 0].isnan(), strict=True)]


def class_truths(targets: Mapping[str, Tensor]) -> list[Truth]:
    """Return the regions of each class in each crop, as one segment: labels (N, H, W)."""
    labels = targets[CLASS_GROUP]
    ids = torch.where(labels == IGNORE, 0, labels + 1)
    found = [truth_of(*each) for each in zip(ids, ids, labels == IGNORE, strict=True)]
    return [truth._replace(rows=truth.rows - 1) for truth in found]
