"""Labels to compare with logits that are coarser than they are. Knows no loss."""

from __future__ import annotations

import torch

STRIDES = (1, 2, 4, 8, 16, 32)  # tried in this order, as more than one can explain a small map


def strided(labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Take one label (N, H, W) for each logit (N, K, H / n, W / n), rounded up: the middle one of its n x n block.

    A block that the edge cuts off before its middle gives its last label.
    """
    for axis in (1, 2):
        length, count = labels.shape[axis], logits.shape[axis + 1]
        if length != count:
            stride = next((n for n in STRIDES if -(-length // n) == count), -(-length // count))
            places = torch.arange(count, device=labels.device) * stride + stride // 2
            labels = labels.index_select(axis, places.clamp_(max=length - 1))
    return labels
