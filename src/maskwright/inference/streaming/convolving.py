"""A convolution by oneDNN, on processors where PyTorch has it. Knows no rows.

In one thread PyTorch computes convolutions of 1x1 by a routine of its own, which is up to four times as slow where the
channels are few. The operation used here instead is the one of its compiler. The results are the same up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    Pair = tuple[int, int]


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    """Return what `F.conv2d` does of the same arguments."""
    if not _by_onednn(x):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    nothing_after = "none", (), ""
    found: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, stride, dilation, groups, *nothing_after
    )
    return found


def _by_onednn(x: Tensor) -> bool:
    """Whether the operation is there and takes the map as it is: float32, not to be computed in another precision."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    usable = torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)
    return usable and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
