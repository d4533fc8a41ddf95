"""The convolution blocks of decoders and backbones, and their initialisation. Knows no architecture."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import fuse_conv_bn_eval

from maskwright.models.layers.enlarging import JoinedConv, enlarged_convolution
from maskwright.models.layers.norm import BatchNorm2d

FEWEST_STRIDED = 16
"""Input channels from which a strided 1x1 convolution may be left to oneDNN; see `StridedPointwise`."""


class DilatedConv(nn.Conv2d):
    """A convolution that never runs with channels last, where the processor's library may write beyond its memory.

    Seen with torch 2.15 in the backward pass of dilated convolutions in bfloat16 whose inputs have 24 or 40 channels:
    the process ends with a segmentation fault. In float32, or with rows last, it does not.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (N, outputs, H, W) of `x` (N, inputs, H, W)."""
        if x.device.type != "cpu":
            return super().forward(x)
        return self._conv_forward(x.contiguous(), self.weight.contiguous(), self.bias)


class StridedPointwise(nn.Conv2d):
    """A 1x1 convolution with a stride, computed as one without it on every `stride`-th pixel: the same sums.

    The backward pass of oneDNN 3.13 (in torch 2.15) writes past the end of the input's gradient if the convolution has
    a stride, a 1x1 kernel, and fewer input channels than a vector register has floats (8 with AVX2, 16 with AVX-512),
    in float32 and channels_last. The heap is corrupted and the process dies. Kernels without a stride are not affected.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Return a map (N, outputs, H / stride, W / stride) of `input` (N, inputs, H, W), sizes rounded up."""
        down, across = self.stride
        return F.conv2d(input[:, :, ::down, ::across], self.weight, self.bias, groups=self.groups)


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU; padding keeps the size at stride 1.

    Args:
        inputs, outputs: channels.
        kernel: side of the kernel, odd.
        stride, dilation, groups: of the convolution.
        act: append the ReLU.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        padding = dilation * (kernel // 2)
        convolution = StridedPointwise if kernel == 1 < stride and inputs < FEWEST_STRIDED else nn.Conv2d
        layers: list[nn.Module] = [
            convolution(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
            BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if act else []))


class ConvAct(nn.Sequential):
    """Convolution with bias and ReLU, as used before batch normalisation; padding keeps the size.

    Args:
        inputs, outputs: channels.
        kernel: side of the kernel, odd.
        dilation: of the convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, *, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation),
            nn.ReLU(inplace=True),
        )


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 convolution, then pointwise 1x1, each with batch normalisation and ReLU (Chollet 2017).

    The order, with an activation after both halves, is DeepLabV3+'s (Chen et al. 2018, section 3.2).

    Args:
        inputs, outputs: channels.
        dilation: of the depthwise half.
        between: normalise and activate after the depthwise half too.
    """

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1, between: bool = True) -> None:
        depthwise = ConvNormAct(inputs, inputs, 3, dilation=dilation, groups=inputs)
        super().__init__(depthwise if between else nn.Sequential(depthwise[0]), ConvNormAct(inputs, outputs, 1))


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with ReLU: the unit of U-Net (Ronneberger et al. 2015, figure 1).

    Args:
        inputs, outputs: channels.
        norm: batch normalisation before each ReLU; without it the convolutions have biases.
        valid: no padding: the map loses two pixels on each side.
        coarse: how many of the inputs `joined` upsamples by 2; 0 if it never does.
    """

    def __init__(self, inputs: int, outputs: int, *, norm: bool = True, valid: bool = False, coarse: int = 0) -> None:
        steps: list[nn.Module] = []
        for before in (inputs, outputs):
            convolution = nn.Conv2d(before, outputs, 3, padding=0 if valid else 1, bias=not norm)
            norms = [BatchNorm2d(outputs)] if norm else []
            steps.append(nn.Sequential(convolution, *norms, nn.ReLU(inplace=True)))
        super().__init__(*steps)
        self.coarse = coarse

    def split(self) -> None:
        """Compute `joined` by layers that runtimes have in int8, from now on. The block cannot be trained any more."""
        first = cast("nn.Sequential", self[0])
        convolution = cast("nn.Conv2d", first[0])
        if isinstance(first[1], BatchNorm2d):  # behind a sum of two convolutions, no runtime would fold it
            convolution, first[1] = fuse_conv_bn_eval(convolution, first[1]), nn.Identity()
        first[0] = JoinedConv(convolution, self.coarse)
        self.coarse = 0

    def joined(self, coarse: Tensor, skip: Tensor | None, factor: int = 2) -> Tensor:
        """Return this block's output for `coarse`, upsampled by nearest neighbour and concatenated with `skip`.

        A convolution sums over its input channels, so each part can be convolved on its own; with few upsampled
        channels this is faster from the coarse map (`enlarged_convolution`). Only for blocks with padding.

        Args:
            coarse: (N, C, H / factor, W / factor).
            skip: (N, D, H, W), C + D being the inputs of this block; None if D is 0.
            factor: of the upsampling.

        Returns:
            (N, outputs, H, W).
        """
        convolution, *rest = cast("nn.Sequential", self[0])
        if isinstance(convolution, JoinedConv):
            x = convolution(coarse, skip)
        elif factor != 2 or coarse.shape[1] > FEW_CHANNELS:
            enlarged = F.interpolate(coarse, scale_factor=factor, mode="nearest")
            return cast("Tensor", self(enlarged if skip is None else torch.cat([enlarged, skip], dim=1)))
        else:
            weight, bias = cast("Tensor", convolution.weight), cast("Tensor | None", convolution.bias)
            x = enlarged_convolution(coarse, weight[:, : coarse.shape[1]], bias)
            if skip is not None:
                x = x + F.conv2d(skip, weight[:, coarse.shape[1] :], padding=1)
        for layer in rest:
            x = layer(x)
        return cast("Tensor", self[1](x))


FEW_CHANNELS = 128
"""Up to this many channels, `enlarged_convolution` took a CPU 0.44 to 0.60 of the time of the usual way, forward and
backward, in bfloat16 on one thread; with 256 channels of 16x16 it took 0.95 of it, with 512 of 8x8 2.3 times it."""


def resize(x: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """Resize `x` (N, C, H, W) to (N, C, *size), bilinearly; a map of that size is returned unchanged.

    Args:
        x: the map.
        size: (H, W) wanted.
        align_corners: align the centres of the corner pixels, instead of their outer corners.
    """
    if (x.shape[2], x.shape[3]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def mirror(x: Tensor, before: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Extend `x` (N, C, H, W) by reflection on all sides to (N, C, *size), as often as needed.

    The pixel at the edge is not repeated, except in a map one pixel wide.

    Args:
        x: the map.
        before: pixels to add above and to the left.
        size: (H, W) wanted.
    """
    for axis, (added, wanted) in enumerate(zip(before, size, strict=True), start=2):
        last = x.shape[axis] - 1
        # As a tensor, since ONNX has no remainder of a number that depends on the size of the image.
        period = torch.full((), 2 * last, device=x.device).clamp_min(1)
        steps = (torch.arange(wanted, device=x.device) - added).remainder(period)
        x = x.index_select(axis, torch.minimum(steps, (2 * last - steps).clamp_min(0)))
    return x


def crop_centre(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the centre (N, C, *size) out of `x` (N, C, H, W); a map of that size is returned unchanged."""
    top, left = (x.shape[2] - size[0]) // 2, (x.shape[3] - size[1]) // 2
    return x[:, :, top : top + size[0], left : left + size[1]]


def height_width(x: Tensor) -> tuple[int, int]:
    """Return (H, W) of `x` (N, C, H, W)."""
    return x.shape[2], x.shape[3]


def initialise(module: nn.Module, fan: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Draw convolution weights as He et al. 2015, set biases to 0 and norms to the identity.

    Transposed convolutions keep the variance of the values, as no ReLU follows them here.

    Args:
        module: whose layers are initialised.
        fan: keep the variance of the gradients (`fan_out`, equation 14) or of the values (`fan_in`, equation 10).
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=fan, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif type(layer) is nn.ConvTranspose2d:  # subclasses keep their own initialisation
            _initialise_enlarging(layer)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def _initialise_enlarging(layer: nn.ConvTranspose2d) -> None:
    """Draw weights of variance 1 / N, N being the terms of a result's sum: one place of each kernel per stride."""
    area = math.prod(layer.kernel_size) / math.prod(layer.stride)
    nn.init.normal_(layer.weight, std=(layer.in_channels / layer.groups * area) ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
