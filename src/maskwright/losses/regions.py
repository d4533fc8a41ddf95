"""The five terms of a network that finds objects, each over the boxes drawn for it in all processes.

Ren et al. 2015, equation 1, and He et al. 2017, section 3:

    L = L_objectness + L_shift + L_class + L_correction + L_mask

Both terms of coordinates are divided by all boxes drawn, with an object or without, as torchvision does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from maskwright.losses.reduce import global_ratio

if TYPE_CHECKING:
    from torch import Tensor

BEND = 1 / 9
"""Difference of two coordinates below which their loss is quadratic."""


def objectness(logits: Tensor, holding: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (m,) that say whether an anchor holds an object (m,) bool."""
    losses = F.binary_cross_entropy_with_logits(logits, holding.to(logits.dtype), reduction="sum")
    return global_ratio(losses, _count(logits, holding.numel()))


def coordinates(found: Tensor, wanted: Tensor, drawn: int) -> Tensor:
    """Return the smooth L1 distance of coordinates (p, 4), summed and divided by the number of boxes drawn."""
    return global_ratio(F.smooth_l1_loss(found, wanted, beta=BEND, reduction="sum"), _count(found, drawn))


def classes(logits: Tensor, rows: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (r, K) and the rows (r,) of the true classes."""
    return global_ratio(F.cross_entropy(logits, rows, reduction="sum"), _count(logits, len(rows)))


def masks(logits: Tensor, rows: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean cross-entropy of the masks of the true classes.

    Args:
        logits: (p, K, M, M).
        rows: (p,) of the true classes; the masks of other classes do not count.
        wanted: (p, M, M), 0..1.
    """
    own = logits[torch.arange(len(rows), device=rows.device), rows]
    return global_ratio(
        F.binary_cross_entropy_with_logits(own, wanted, reduction="sum"), _count(logits, wanted.numel())
    )


def _count(like: Tensor, count: int) -> Tensor:
    return like.new_tensor(float(count))
