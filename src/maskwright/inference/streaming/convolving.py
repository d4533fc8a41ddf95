"""A convolution by oneDNN, on processors where PyTorch has it. Knows no rows.

In one thread PyTorch computes convolutions of 1x1 by a routine of its own, which is up to four times as slow where the
channels are few. The operation used here instead is the one of its compiler. The results are the same up to rounding.
It also applies the activation that follows before it writes, which spares a pass over a map larger than any cache.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    Pair = tuple[int, int]


class Sweep(NamedTuple):
    """How a kernel moves over a map.

    Attributes:
        stride, padding, dilation: of rows and columns.
        groups: of channels; see `F.conv2d`.
    """

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int


class Activation(NamedTuple):
    """What follows a convolution: each value held between two.

    Attributes:
        least, most: see above; infinite where nothing is held.
    """

    least: float
    most: float

    def __call__(self, x: Tensor) -> Tensor:
        """Overwrite a map with its activation."""
        return x.clamp_(self.least, self.most)


NO_ACTIVATION = Activation(-math.inf, math.inf)


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, sweep: Sweep, activation: Activation = NO_ACTIVATION
) -> Tensor:
    """Return the activation of what `F.conv2d` does of the same arguments.

    With an activation, oneDNN may turn values that are not numbers into limits.
    """
    if not _by_onednn(x):
        found = F.conv2d(x, weight, bias, *sweep)
        return found if activation == NO_ACTIVATION else activation(found)
    after = ("none", (), "") if activation == NO_ACTIVATION else ("hardtanh", tuple(activation), "")
    geometry = sweep.padding, sweep.stride, sweep.dilation, sweep.groups
    activated: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *geometry, *after)
    return activated


def _by_onednn(x: Tensor) -> bool:
    """Whether the operation is there and takes the map as it is: float32, not to be computed in another precision."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    usable = torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)
    return usable and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
