"""Any timm backbone with `features_only`, brought to our form. Knows timm; never touches the network by itself.

timm is imported when such a backbone is asked for, and not before: the import takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch.utils.checkpoint import checkpoint

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone
from maskwright.models.backbones.dilation import PROBE, shapes_of
from maskwright.models.layers.norm import convert_batch_norm
from maskwright.models.weights import MisfitError, read_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

# Networks made for one image size take any only when told so, each family in its own words.
_ANY_SIZE: dict[str, dict[str, Any]] = {
    "swin": {"strict_img_size": False},
    "vit_": {"dynamic_img_size": True},
    "deit": {"dynamic_img_size": True},
}
RGB = 3
_POSITIONS = ("pos_embed", "relative_position")
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
                f"timm's {self.name} takes no image of {side}x{side} ({error}): it is made for one image size. Choose "
                "a backbone that is not, such as resnet18 or convnext_tiny"
            ) from None
        promised = [
            (width, side // step, side // step) for width, step in zip(self.channels, self.reductions, strict=True)
        ]
        if shapes != promised:
            raise MaskwrightError(
                f"timm's {self.name} gives features {shapes} for an image of {side}x{side}, where its description "
                f"promises {promised}: choose another backbone"
            )


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
        in_channels: of the image; weights for another number are adapted by timm (summed or repeated).
        weights: safetensors file in timm's own naming to start from, with or without a classifier.
        output_stride: largest stride, 8, 16 or 32; what lies beyond is dilated, where the network can.
        multi_grid: factors on the dilation of the last stage's blocks, as DeepLab has them; see `dilation`.
        levels: build and run the network only up to this many of its levels, the finest first; 0 for all, and no
            more than it has.

    Raises:
        MaskwrightError: no such network, no features, no such stride, or weights that do not fit.
    """
    if output_stride not in {8, 16, 32}:
        raise MaskwrightError(f"{name}: output_stride is {output_stride}, and it must be 8, 16 or 32")
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


def create(name: str, in_channels: int, weights: Path | None, **settings: Any) -> TimmBackbone:
    """Build a timm network with `features_only` and any more of timm's settings; see `build`."""
    import timm

    output_stride = settings.get("output_stride", 32)
    tensors = read_tensors(weights) if weights is not None else None
    if tensors is not None:
        settings.update(pretrained=True, pretrained_cfg_overlay={"state_dict": dict(tensors)})
    try:
        network = timm.create_model(name, features_only=True, in_chans=in_channels, **settings)
    except _FAILURES as error:
        raise _cannot_build(name, output_stride, weights, error) from None
    if tensors is not None:
        _check_taken_over(network, tensors, in_channels, f"{weights}", name)
    return TimmBackbone(name, network, in_channels)


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


def _check_taken_over(network: nn.Module, tensors: dict[str, Tensor], in_channels: int, source: str, name: str) -> None:
    """Refuse weights of which timm let something pass that the network holds and the file does not, or the reverse.

    timm loads without insisting on every name, and some families rename or reshape on the way, so names alone prove
    nothing: we look for each tensor's values in the file. What is constant may be anything, and needs its name. Two
    kinds may differ: a first layer that timm adapted to other channels, and position codes that it brought to another
    size. The file may hold more, such as a classifier, but not a tenth more than timm's whole network has.
    """
    own = {key: value for key, value in network.state_dict().items() if value.is_floating_point()}
    known = {(tensor.numel(), _sum(tensor)) for tensor in tensors.values() if tensor.is_floating_point()}
    given = {_plain(key): tuple(tensor.shape) for key, tensor in tensors.items()}
    named = 2 * sum(_plain(key) in given for key in own) > len(own)
    strange = [
        key
        for key, value in own.items()
        if ((value.numel(), _sum(value)) not in known or (named and _plain(key) not in given and _constant(value)))
        and not any(part in key and key in tensors for part in _POSITIONS)
    ]
    if in_channels != RGB:
        strange = [key for key in strange if (_plain(key), _in_colour(own[key])) not in given.items()]
    more = sorted(given.keys() - _whole(name)) if named else []
    if strange or 10 * len(more) > len(given):
        what = f"{len(strange)} of its tensors are not in the file" if strange else f"the file holds {len(more)} more"
        raise MisfitError(
            f"{source} does not fit timm's {name}: {what} ({', '.join((strange or more)[:3])}): give a file that was "
            "saved from this network"
        )


def _plain(key: str) -> str:
    """Return the name of a tensor without what `features_only` makes of it: a prefix, and `_` for some dots."""
    return key.removeprefix("model.").replace("_", ".")


def _constant(value: Tensor) -> bool:
    return bool((value == value.flatten()[0]).all())


def _whole(name: str) -> set[str]:
    """Return the names of all tensors of a network of timm's, its classifier included."""
    import timm

    with torch.device("meta"):
        return {_plain(key) for key in timm.create_model(name).state_dict()}


def _in_colour(value: Tensor) -> tuple[int, ...]:
    """Return the shape that a weight had on images of three channels."""
    return (value.shape[0], RGB, *value.shape[2:]) if value.ndim == 4 else ()


def _sum(tensor: Tensor) -> float:
    # In the order of the axes, not of the memory, and in the precision that the network has.
    return float(tensor.detach().float().contiguous().double().sum())
