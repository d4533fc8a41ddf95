"""Targets to compare with maps that are coarser than they are. Knows no loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

STRIDES = (1, 2, 4, 8, 16, 32)  # tried in this order, as more than one can explain a small map


def strided(target: Tensor, maps: Tensor) -> Tensor:
    """Take one value of a target (N, [C,] H, W) for each of the maps (N, K, H / n, W / n), rounded up.

    It is the middle one of its n x n block; a block that the edge cuts off before its middle gives its last value.
    """
    for axis in (-2, -1):
        length, count = target.shape[axis], maps.shape[axis]
        if length != count:
            stride = next((n for n in STRIDES if -(-length // n) == count), -(-length // count))
            places = torch.arange(count, device=target.device) * stride + stride // 2
            target = target.index_select(axis, places.clamp_(max=length - 1))
    return target
