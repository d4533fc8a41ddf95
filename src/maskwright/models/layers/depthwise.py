"""Depthwise convolutions that train fast in bfloat16 on a CPU. Knows no network.

oneDNN has no fast kernel for some of their gradients in bfloat16: with stride 2 the gradient of the input of one layer
of 96 channels took 170 ms, forty times the forward pass, and with 5x5 filters the gradient of the weights three times
what it takes in float32. Together they were half of a training step of EfficientNet-Lite0. Here the first is
computed as what it is, a depthwise convolution of the gradient with zeros between its pixels and the flipped filters,
by the fast forward kernel; the second in float32. Everything else is torch's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Pad = Callable[[Tensor, tuple[int, ...], tuple[int, ...], tuple[int, ...]], Tensor]

_ONE = (1, 1)
_SMALL = 3
"""Side of the filters up to which the gradient of the weights is as fast in bfloat16."""


class _Depthwise(torch.autograd.Function):
    """`F.conv2d` of x (N, C, H, W) and weights (C, 1, h, w), one filter a channel, without dilation and bias."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        context.save_for_backward(x, weight)
        context.stride, context.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (gradient,) = gradients
        x, weight = context.saved_tensors
        stride, padding = context.stride, context.padding
        of_x = of_weight = None
        if context.needs_input_grad[0]:
            if stride == _ONE:
                of_x = _native(gradient, x, weight, stride, padding)[0]
            else:
                of_x = _of_input(gradient, x, weight, stride, padding)
        if context.needs_input_grad[1]:
            if max(weight.shape[2:]) > _SMALL:
                whole = _native(gradient.float(), x.float(), weight.float(), stride, padding, of_weight=True)
            else:
                whole = _native(gradient, x, weight, stride, padding, of_weight=True)
            of_weight = whole[1].to(weight.dtype)
        return of_x, of_weight, None, None


def _native(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    *,
    of_weight: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what torch computes: the gradient of the input alone, or of the weights alone."""
    masks = {"transposed": False, "output_mask": [not of_weight, of_weight, False]}
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, _ONE, output_padding=(0, 0), groups=len(weight), **masks
    )


def _of_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """Return the gradient of the input of a convolution with strides."""
    kernel = weight.shape[2:]
    sizes = [length + 2 * pad - side + 1 for length, pad, side in zip(x.shape[2:], padding, kernel, strict=True)]
    spread = torch.empty((*x.shape[:2], *sizes), dtype=x.dtype, memory_format=torch.channels_last).zero_()
    spread[:, :, :: stride[0], :: stride[1]] = gradient
    margin = (kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1])
    return F.conv2d(spread, weight.flip(2, 3), None, 1, margin, groups=len(weight))


class DepthwiseConv2d(nn.Conv2d):
    """torch's `Conv2d` of one filter a channel, with a faster backward pass where bfloat16 is trained on a CPU.

    Attributes:
        pad: called with the map, sides of the filters, strides and dilations before each convolution; None for the
            padding of the layer itself.
    """

    pad: Pad | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` (N, C, H, W)."""
        if self.pad is not None:
            x = self.pad(x, self.kernel_size, self.stride, self.dilation)
        if self.dilation != _ONE or self.bias is not None:  # the latter after a batch normalisation was folded into it
            return super().forward(x)
        return depthwise(x, self.weight, self.stride, self.padding)  # type: ignore[arg-type]


def depthwise(x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """Convolve `x` (N, C, H, W) with one filter a channel (C, 1, h, w), fast where bfloat16 is trained on a CPU."""
    fast = x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()
    if not fast or torch.get_autocast_dtype("cpu") != torch.bfloat16:
        return F.conv2d(x, weight, None, stride, padding, groups=len(weight))
    result: Tensor = _Depthwise.apply(x.to(torch.bfloat16), weight.to(torch.bfloat16), stride, padding)
    return result


def convert_depthwise(module: nn.Module, pads: Mapping[type[nn.Conv2d], Pad | None]) -> None:
    """Replace the depthwise convolutions inside `module` by ours, in place; names and values stay.

    Args:
        module: to look through.
        pads: the types to replace, with what pads the maps before the convolution, or None.
    """
    for name, child in module.named_children():
        if type(child) in pads and isinstance(child, nn.Conv2d) and _depthwise(child):
            setattr(module, name, _converted(child, pads[type(child)]))
        else:
            convert_depthwise(child, pads)


def _depthwise(layer: nn.Conv2d) -> bool:
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros" or layer.bias is not None:
        return False
    return 1 < layer.groups == layer.in_channels == layer.out_channels and max(layer.padding) < min(layer.kernel_size)


def _converted(layer: nn.Conv2d, pad: Pad | None) -> DepthwiseConv2d:
    """Build our counterpart of `layer`, sharing its weights."""
    with torch.device("meta"):
        ours = DepthwiseConv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            groups=layer.groups,
            bias=False,
        )
    ours.weight, ours.pad = layer.weight, pad
    return ours.train(layer.training)
