"""3x3 convolutions of a map upsampled by 2 (nearest neighbour), without creating that map. Knows no architecture.

Each coarse pixel becomes four equal ones, so a pixel sees only 2x2 coarse pixels: 16 products instead of 36 for the
four of them. This is one transposed convolution of stride 2, which PyTorch computes fastest, or a 2x2 convolution that
gives the four (the *phases*) as channels, which are then interleaved: Shi et al. 2016, "Real-Time Single Image and
Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", section 3.2. Runtimes have only the
second one in int8.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def enlarged_convolution(coarse: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve a map upsampled by 2, as one transposed convolution.

    Args:
        coarse: (N, C, H, W).
        weight: (K, C, 3, 3), as for `conv2d` with a padding of 1.
        bias: (K,).

    Returns:
        (N, K, 2 H, 2 W).
    """
    kernel = _transposed(weight).contiguous(memory_format=torch.channels_last)
    return F.conv_transpose2d(coarse, kernel, bias, stride=2, padding=1)


def _transposed(weight: Tensor) -> Tensor:
    """Return the kernel (C, K, 4, 4) of the transposed convolution: the flipped one, placed on each of four pixels."""
    turned = F.pad(weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
    return turned[:, :, :-1, :-1] + turned[:, :, 1:, :-1] + turned[:, :, :-1, 1:] + turned[:, :, 1:, 1:]


class JoinedConv(nn.Module):
    """A 3x3 convolution of an upsampled map concatenated with a fine one, in parts that runtimes have in int8.

    Args:
        convolution: padded by 1; its weights are copied.
        coarse: its first input channels, which are upsampled; the others are fine.
    """

    @torch.no_grad()
    def __init__(self, convolution: nn.Conv2d, coarse: int) -> None:
        super().__init__()
        weight, bias, outputs = convolution.weight, convolution.bias, convolution.out_channels
        # Pixel 2 p + a (a: 0 or 1) of the uncropped result is place a of the kernel on coarse pixel p, and place a + 2
        # on p - 1: so of a kernel cut into (a + 2 t), t runs backwards over the pixels that a convolution sees.
        phases = _transposed(weight[:, :coarse]).unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(2, 4)
        self.phases = nn.Conv2d(coarse, 4 * outputs, 2, padding=1, bias=bias is not None)
        self.phases.weight = nn.Parameter(phases.permute(1, 3, 5, 0, 2, 4).flatten(0, 2))
        if bias is not None:
            self.phases.bias = nn.Parameter(bias.repeat_interleave(4))
        fine = convolution.in_channels - coarse
        self.fine = nn.Conv2d(fine, outputs, 3, padding=1, bias=False) if fine else None
        if self.fine is not None:
            self.fine.weight = nn.Parameter(weight[:, coarse:].clone())

    def forward(self, coarse: Tensor, skip: Tensor | None) -> Tensor:
        """Return (N, outputs, H, W) of `coarse` (N, coarse, H / 2, W / 2) and `skip` (N, fine, H, W)."""
        enlarged = F.pixel_shuffle(self.phases(coarse), 2)
        # Not slices: around those, NNCF leaves maps in float32.
        enlarged = F.pad(enlarged, (-1, -1, -1, -1))
        return enlarged if skip is None else enlarged + cast("nn.Conv2d", self.fine)(skip)
