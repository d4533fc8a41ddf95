"""Any timm backbone with `features_only`, brought to our form. Knows timm; never touches the network by itself.

timm is imported when such a backbone is asked for, and not before: the import takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone
from maskwright.models.backbones.dilation import PROBE, shapes_of
from maskwright.models.backbones.timm_weights import check_loaded, in_timm_names, load_by_name, whole_state
from maskwright.models.layers.depthwise import convert_depthwise
from maskwright.models.layers.norm import convert_batch_norm
from maskwright.models.layers.same_padding import convert_same, pad_same
from maskwright.models.weights import MisfitError, read_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

# Networks made for one image size take any only when told so, each family in its own words.
_ANY_SIZE: dict[str, dict[str, Any]] = {
    "swin": {"strict_img_size": False},
    "vit_": {"dynamic_img_size": True},
    "deit": {"dynamic_img_size": True},
}
# What timm raises for networks and settings that do not go together.
_FAILURES = (TypeError, AssertionError, RuntimeError, LookupError, AttributeError)


class TimmBackbone(Backbone):
    """A timm feature network behind our interface.

    Args:
        name: in timm, for messages.
        network: built with `features_only`.
        in_channels: of the image.
    """

    def __init__(self, name: str, network: nn.Module, in_channels: int) -> None:
        info = cast("Any", network).feature_info
        super().__init__(in_channels, info.channels(), info.reduction())
        self.name = name
        self.network = network
        self.channels_at_end = str(getattr(network, "output_fmt", "NCHW")).endswith("NHWC")
        convert_batch_norm(self)
        _convert_convolutions(self)
        self._try_out()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature pyramid of `x` (N, C, H, W)."""
        if self.checkpointing and self.training:
            features = cast("list[Tensor]", checkpoint(self.network, x, use_reentrant=False))
        else:
            features = self.network(x)
        return [feature.permute(0, 3, 1, 2) for feature in features] if self.channels_at_end else list(features)

    def set_gradient_checkpointing(self, enable: bool) -> None:
        """Checkpoint stage by stage where timm's network can, the whole network where it cannot."""
        inner = cast("Any", getattr(self.network, "model", self.network))  # transformers are wrapped once more
        try:
            inner.set_grad_checkpointing(enable)
        except (AttributeError, AssertionError):  # has no such switch, or one that refuses (HRNet)
            self.checkpointing = enable

    def _try_out(self) -> None:
        """Run a small image through, to see that the levels are what timm promises; one-size networks fail here."""
        side = PROBE * self.reductions[-1]
        try:
            shapes = shapes_of(self, self.in_channels, side)
        except (RuntimeError, AssertionError) as error:
            raise MaskwrightError(
                f"timm's {self.name} does not take images of {side}x{side} ({error}): it is made for one image size. "
                "Choose a backbone that is not, such as resnet18 or convnext_tiny"
            ) from None
        promised = [
            (width, side // step, side // step) for width, step in zip(self.channels, self.reductions, strict=True)
        ]
        if shapes != promised:
            raise MaskwrightError(
                f"timm's {self.name} gives features {shapes} for an image of {side}x{side}, where its description "
                f"promises {promised}: choose another backbone"
            )


def _convert_convolutions(network: nn.Module) -> None:
    from timm.layers import Conv2dSame

    convert_depthwise(network, {torch.nn.Conv2d: None, Conv2dSame: pad_same})
    convert_same(network, Conv2dSame)


def build(
    name: str,
    in_channels: int,
    weights: Path | None = None,
    *,
    output_stride: int = 32,
    multi_grid: Sequence[int] = (),
    levels: int = 0,
) -> TimmBackbone:
    """Build a timm backbone.

    Args:
        name: in timm, with or without a tag (`resnet18`, `resnet18.a1_in1k`).
        in_channels: of the image; weights for three are adapted to another number (see `timm_weights.adapt_stem`).
        weights: safetensors file in timm's own naming to start from, with or without a classifier.
        output_stride: largest stride, 8, 16 or 32; what lies beyond is dilated, where the network can.
        multi_grid: factors on the dilation of the last stage's blocks, as DeepLab has them; see `dilation`.
        levels: build and run the network only up to this many of its levels, the finest first; 0 for all, and no
            more than it has.

    Raises:
        MaskwrightError: no such network, no features, no such stride, or weights that do not fit.
    """
    check_stride(name, output_stride)
    if levels < 0:
        raise MaskwrightError(f"{name}: levels is {levels}, and it must be 0, for all, or more")
    fixed = {
        key: value
        for prefix, any_size in _ANY_SIZE.items()
        if name.startswith(prefix)
        for key, value in any_size.items()
    }
    if levels:
        fixed["out_indices"] = _first(levels, name)
    backbone = create(name, in_channels, weights, **fixed)
    if output_stride == 32 and not multi_grid:
        return backbone
    try:
        backbone.set_output_stride(output_stride, multi_grid)
    except MaskwrightError:
        if multi_grid:
            raise
        # Strides in poolings and patches are timm's to undo, once and for all.
        backbone = create(name, in_channels, weights, output_stride=output_stride, **fixed)
        backbone.settled = True
    return backbone


def check_stride(name: str, output_stride: int) -> None:
    """Refuse an output stride that no backbone of timm's is built for."""
    if output_stride not in {8, 16, 32}:
        raise MaskwrightError(f"{name}: output_stride is {output_stride}, and it must be 8, 16 or 32")


def create(name: str, in_channels: int, weights: Path | None, **settings: Any) -> TimmBackbone:
    """Build a timm network with `features_only` and any more of timm's settings; see `build`."""
    import timm

    output_stride = settings.get("output_stride", 32)
    notes: tuple[str, ...] = ()
    settings.update(features_only=True, in_chans=in_channels)
    try:
        network = timm.create_model(name, **settings)
        if weights is not None:
            own = network.state_dict()
            whole = whole_state(name)
            found, notes = read_network(weights, {*own, *whole}, least=len(own) // 2)
            tensors = in_timm_names(whole, found)
            if load_by_name(network, tensors, in_channels):
                overlay = {"state_dict": dict(tensors)}
                network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **settings)
            check_loaded(network, tensors, in_channels, f"{weights}", name, whole)
    except _FAILURES as error:
        raise _cannot_build(name, output_stride, weights, error) from None
    _drop_unused(network)
    backbone = TimmBackbone(name, network, in_channels)
    backbone.notes = notes
    return backbone


def _drop_unused(network: nn.Module) -> None:
    """Drop the stages after the last level, which timm's EfficientNets and MobileNets would run for nothing."""
    stages = getattr(network, "blocks", None)
    room, _, number = cast("Any", network).feature_info.module_name()[-1].partition(".")
    if isinstance(stages, nn.Sequential) and room == "blocks":
        cast("Any", network).blocks = stages[: int(number) + 1]


def _first(levels: int, name: str) -> tuple[int, ...]:
    """Return the indices of the first levels; timm stumbles over too many in a way of its own for each family."""
    import timm

    try:
        with torch.device("meta"):  # only to count them
            there = len(timm.create_model(name, features_only=True).feature_info.channels())
    except _FAILURES:
        return tuple(range(levels))  # it cannot be built without memory, or not at all: `create` will see
    if levels > there:
        raise MaskwrightError(
            f"{name}: levels is {levels}, and it has {there}: give {there} at most, or 0 for all of them"
        )
    return tuple(range(levels))


def _cannot_build(name: str, output_stride: int, weights: Path | None, error: Exception) -> MaskwrightError:
    """Say which of the settings timm stumbled over."""
    if weights is not None and isinstance(error, RuntimeError | KeyError):
        lines = str(error).splitlines()
        return MisfitError(
            f"{weights} does not fit timm's {name} ({' '.join(line.strip() for line in lines[:3])}): give a file that "
            "was saved from this network"
        )
    if output_stride != 32:
        return MaskwrightError(
            f"timm's {name} cannot run at output stride {output_stride}: set output_stride=32, or choose a backbone "
            "that can be dilated, such as resnet18"
        )
    return MaskwrightError(
        f"timm's {name} gives no feature pyramid ({error or type(error).__name__}): choose a backbone that does, such "
        "as resnet18 or convnext_tiny"
    )
