"""Finds the parts of a network that int8 hurts most, by rounding one part at a time in PyTorch. Knows no file.

Convolutions and linear layers are rounded as an int8 runtime rounds them: inputs to 256 values between the least and
the largest one seen on real tiles, weights to `WEIGHT_LEVELS` on each side of 0 for each output channel. What it does
to what the whole network says (`exporting.outcomes`) is the error of the part. Errors of several parts nearly add up,
because they are nearly independent.

Source: Wu, Judd, Zhang, Isaev, Micikevicius 2020, "Integer Quantization for Deep Learning Inference: Principles and
Empirical Evaluation", section 5.1 (partial quantization by a sensitivity analysis).
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from maskwright.exporting.outcomes import Outcome

ACTIVATION_LEVELS = 255
WEIGHT_LEVELS = 63
"""Seven bits, as in `formats.quantised`."""
LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class Part:
    """A module whose own layers are rounded together, such as a residual block.

    Attributes:
        module: its path.
        error: mean squared difference of what the network says if only this part is rounded, in variances of it; each
            of its tensors counts alike.
        cost: multiply-adds of its layers on the tiles.
    """

    module: str
    error: float
    cost: int


@dataclass
class _Layer:
    """A layer, with the range of its inputs and its multiply-adds on all tiles."""

    module: nn.Module
    low: float = 0.0
    high: float = 0.0
    cost: int = 0

    def watch(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Take note of a call."""
        self.low = min(self.low, float(inputs[0].min()))
        self.high = max(self.high, float(inputs[0].max()))
        self.cost += _multiply_adds(module, inputs[0], output)

    def round_inputs(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Round the inputs of a call."""
        step = (self.high - self.low) / ACTIVATION_LEVELS
        if step == 0:
            return inputs
        rounded = ((inputs[0] - self.low) / step).round().clamp(0, ACTIVATION_LEVELS) * step + self.low
        return (rounded, *inputs[1:])


def measured(network: nn.Module, outcomes: Sequence[Outcome]) -> list[Part]:
    """Return the parts of a network with what int8 does there to what it says, in the order of the network.

    Args:
        network: trained, in evaluation mode.
        outcomes: what it says of a few real tiles.
    """
    layers = {name: _Layer(each) for name, each in network.named_modules() if isinstance(each, LAYERS)}
    with torch.no_grad():
        with ExitStack() as hooks:
            for layer in layers.values():
                hooks.callback(layer.module.register_forward_hook(layer.watch).remove)
            exact = [outcome() for outcome in outcomes]
        parts: dict[str, list[_Layer]] = {}
        for name, layer in layers.items():
            if layer.cost:
                parts.setdefault(_part(name), []).append(layer)
        found = []
        for module, own in parts.items():
            with _rounded(own):
                errors = [_difference(said, outcome()) for said, outcome in zip(exact, outcomes, strict=True)]
            found.append(Part(module, sum(errors) / len(errors), sum(layer.cost for layer in own)))
    return found


def costliest(parts: Sequence[Part], share: float) -> list[Part]:
    """Return parts that cause at least this share of the whole error, with few multiply-adds; the worst first."""
    wanted = share * sum(part.error for part in parts)
    chosen: list[Part] = []
    for part in sorted(parts, key=lambda part: -part.error / part.cost):
        if sum(each.error for each in chosen) >= wanted:
            break
        chosen.append(part)
    return sorted(chosen, key=lambda part: -part.error)


def _difference(exact: Sequence[Tensor], rounded: Sequence[Tensor]) -> float:
    """Return the mean squared difference of tensors in variances, the mean over tensors."""
    pairs = zip(exact, rounded, strict=True)
    each = [float((ours - theirs).square().mean() / ours.var().clamp_min(1e-12)) for ours, theirs in pairs]
    return sum(each) / len(each)


def nodes_of(kept: Sequence[Part], parts: Sequence[Part], modules: Mapping[str, str]) -> list[str]:
    """Return the nodes of a graph that some of the parts compute.

    Args:
        kept: these parts.
        parts: all of the network; a node belongs to the innermost part that its module is in.
        modules: module of each node.
    """
    names, wanted = [part.module for part in parts], {part.module for part in kept}
    return [node for node, module in modules.items() if _owner(module, names) in wanted]


def nodes_between(network: nn.Module, modules: Mapping[str, str]) -> list[str]:
    """Return the nodes of a graph that no part of the network computes: of objects, those that handle coordinates.

    Args:
        network: whose layers make the parts.
        modules: module of each node.
    """
    names = {_part(name) for name, each in network.named_modules() if isinstance(each, LAYERS)}
    return [node for node, module in modules.items() if _owner(module, names) is None]


def _part(layer: str) -> str:
    """Return the part that a layer belongs to: the module that holds it."""
    return layer.rpartition(".")[0]


def _owner(module: str, parts: Iterable[str]) -> str | None:
    """Return the innermost of the parts that a module is in."""
    inside = (part for part in parts if not part or f"{module}.".startswith(f"{part}."))
    return max(inside, key=len, default=None)


@contextmanager
def _rounded(layers: Sequence[_Layer]) -> Iterator[None]:
    """Round the inputs and weights of layers meanwhile."""
    with ExitStack() as stack:
        for layer in layers:
            weight: Any = layer.module.weight
            stack.callback(setattr, weight, "data", weight.data)
            weight.data = _rounded_weight(weight.data, 1 if isinstance(layer.module, nn.ConvTranspose2d) else 0)
            stack.callback(layer.module.register_forward_pre_hook(layer.round_inputs).remove)
        yield


def _rounded_weight(weight: Tensor, outputs: int) -> Tensor:
    """Return a weight rounded for each index of its dimension `outputs`."""
    others = [dimension for dimension in range(weight.ndim) if dimension != outputs]
    step = weight.abs().amax(others, keepdim=True).clamp_min(1e-12) / WEIGHT_LEVELS
    return (weight / step).round() * step


def _multiply_adds(module: nn.Module, given: Tensor, output: Tensor) -> int:
    """Return the multiply-adds of one call of a layer."""
    weight: Any = module.weight
    if isinstance(module, nn.ConvTranspose2d):
        return given.numel() * int(weight[0].numel())
    return output.numel() * int(weight[0].numel())
