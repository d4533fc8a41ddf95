"""Padding as in TensorFlow, by amounts that do not depend on the size of the map. Knows no network.

TensorFlow pads a map so that a convolution with stride s gives ceil(size / s) values, and more of it at the end:
(ceil(size / s) - 1) s + (kernel - 1) dilation + 1 - size in all. Backbones only see sizes that their strides divide
(`backbones.base.Backbone`), so this is (kernel - 1) dilation + 1 - s. As a constant it becomes part of the convolution
in an export; as a maximum of symbols it made the symbols of EfficientNet-Lite0 so large that PyTorch needed minutes to
compare them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence


def pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """Pad `x` (N, C, H, W) with zeros for a convolution whose strides divide H and W."""
    down, across = (
        max((side - 1) * rate + 1 - step, 0) for side, step, rate in zip(kernel, stride, dilation, strict=True)
    )
    if not down and not across:
        return x
    return F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))


class SameConv2d(nn.Conv2d):
    """A convolution that pads in this way."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Return a map (N, outputs, H / stride, W / stride) of `input` (N, inputs, H, W), whose strides divide it."""
        padded = pad_same(input, self.kernel_size, self.stride, self.dilation)
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def convert_same(module: nn.Module, kind: type[nn.Conv2d]) -> None:
    """Replace the convolutions of the type `kind`, another package's of the same meaning, in place; names stay."""
    for name, child in module.named_children():
        if type(child) is kind:
            setattr(module, name, _converted(child))
        else:
            convert_same(child, kind)


def _converted(layer: nn.Conv2d) -> SameConv2d:
    """Build our counterpart of `layer`, sharing its weights."""
    with torch.device("meta"):
        ours = SameConv2d(
            layer.in_channels,
            layer.out_channels,
            cast("tuple[int, int]", layer.kernel_size),
            cast("tuple[int, int]", layer.stride),
            dilation=cast("tuple[int, int]", layer.dilation),
            groups=layer.groups,
            bias=layer.bias is not None,
        )
    ours.weight, ours.bias = layer.weight, layer.bias
    return ours.train(layer.training)
