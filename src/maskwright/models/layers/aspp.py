"""Atrous spatial pyramid pooling: context by parallel convolutions of several dilations. Knows no backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from maskwright.models.layers.blocks import ConvAct, ConvNormAct, SeparableConv, height_width
from maskwright.models.layers.windows import Averaging, moving_average

if TYPE_CHECKING:
    from collections.abc import Sequence


class AtrousPyramid(Averaging):
    """ASPP with image-level features (Chen et al. 2017, "Rethinking Atrous Convolution", section 3.3, figure 5).

    One 1x1 convolution, one 3x3 convolution for each rate and one global average, concatenated and projected.

    Args:
        inputs, outputs: channels.
        rates: dilations of the 3x3 convolutions at output stride 16.
        stride: output stride that they are adjusted to.
        separable: use depthwise separable convolutions, as DeepLabV3+ does.
        between: see `SeparableConv`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rates: Sequence[int],
        stride: int = 16,
        *,
        separable: bool,
        between: bool = True,
    ) -> None:
        super().__init__()
        self.rates = tuple(rates)
        self.branches = nn.ModuleList([ConvNormAct(inputs, outputs, 1)])
        for _ in self.rates:
            atrous = SeparableConv(inputs, outputs, between=between) if separable else ConvNormAct(inputs, outputs)
            self.branches.append(atrous)
        self.image = ConvNormAct(inputs, outputs, 1)
        self.project = ConvNormAct(outputs * (len(self.branches) + 1), outputs, 1)
        self.fit(stride)

    def fit(self, stride: int) -> None:
        """Adjust the dilations to an output stride, in place: doubled at 8 (section 3.3), halved at 32 (ours)."""
        for branch, rate in zip(list(self.branches)[1:], self.rates, strict=True):
            fitted = max(round(rate * 16 / stride), 1)
            for layer in branch.modules():
                if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                    layer.dilation, layer.padding = (fitted, fitted), (fitted, fitted)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for `x` (N, inputs, H, W)."""
        if self.window is None:
            image = cast("Tensor", self.image(x.mean((2, 3), keepdim=True))).expand(-1, -1, *height_width(x))
        else:
            image = cast("Tensor", self.image(moving_average(x, self.window)))
        parts = [branch(x) for branch in self.branches]
        return cast("Tensor", self.project(torch.cat([*parts, image], dim=1)))


class FieldsOfView(nn.Module):
    """fc6 and fc7 of DeepLab v1 and v2, once for each rate: an atrous 3x3 and a 1x1 convolution, concatenated.

    One branch is LargeFOV (Chen et al. 2015, section 5), several are ASPP (Chen et al. 2017, "DeepLab", figure 7b). The
    sum over the branches' scores is one 1x1 convolution over all branches, so the head computes it.

    Args:
        inputs: channels.
        outputs: channels of each branch.
        rates: dilation of each branch's fc6.
        normalised: use batch normalisation; the papers do not.

    Attributes:
        channels: of the output, `outputs * len(rates)`.
    """

    def __init__(self, inputs: int, outputs: int, rates: Sequence[int], *, normalised: bool) -> None:
        super().__init__()
        block = ConvNormAct if normalised else ConvAct
        self.branches = nn.ModuleList(
            nn.Sequential(block(inputs, outputs, 3, dilation=rate), block(outputs, outputs, 1)) for rate in rates
        )
        self.channels = outputs * len(rates)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W) for `x` (N, inputs, H, W)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)
