"""Steps of a network joined into one where that spares a pass over the memory. Knows no image and no schedule.

A large part of the time of a network goes into maps that are written and read again. A convolution applies the
activation that follows it to what it just computed, and where a wide map is made from a narrow one for a window (the
expansion of an inverted residual, Sandler et al. 2018), the narrow one is kept and the rows that two turns share are
computed twice: the wide map then is never copied.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from maskwright.inference.streaming.layers import Convolution, Layer, Padding, Pointwise
from maskwright.inference.streaming.recording import Operation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from maskwright.inference.streaming.layers import Span
    from maskwright.inference.streaming.step import Step

_LARGEST_OVERLAP = 16
"""Rows of the image that two turns may compute twice in a joined step; a turn has 32 or more (`streamed`)."""


@dataclass(frozen=True)
class Activated(Convolution):
    """A convolution with the activation that follows it, by oneDNN, with its weights in the order that this wants.

    Attributes:
        packed: `weight` in that order.
        name: of the activation, as oneDNN has it.
        limits: of the activation.
    """

    packed: Tensor | None = None
    name: str = "none"
    limits: tuple[float, ...] = ()

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Convolve and activate."""
        x = inputs[0]
        if span.above or span.below:
            x = F.pad(x, (0, 0, span.above, span.below))
        stride, padding, dilation = self.across
        down = [0, padding], [self.stride, stride], [self.dilation, dilation]
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.packed, self.bias, *down, self.groups, self.name, list(self.limits), ""
        )
        return found


@dataclass(frozen=True)
class Widened:
    """A convolution over a padded map, which may be made from a narrower one by another convolution of single pixels.

    Attributes:
        before: makes the map; None if the map is there.
        padding: by zeros.
        window: the convolution over it.
    """

    before: Convolution | None
    padding: Padding
    window: Convolution

    def height(self, rows: int) -> int:
        """Return the height of the result."""
        return self.window.height(self.padding.height(rows))

    def first(self, row: int) -> int:
        """Return the first row of the window, before padding."""
        return self.padding.first(self.window.first(row))

    def stop(self, row: int) -> int:
        """Return the end of the window of the row above, before padding."""
        return self.padding.stop(self.window.stop(row))

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Pad, make the map, put zeros where it was padded, and convolve."""
        x, sides = inputs[0], (*self.padding.sides[:2], span.above, span.below)
        if any(sides):
            x = F.pad(x, sides)
        whole = span._replace(above=0, below=0)
        if self.before is not None:
            x = self.before.run([x], whole)
            left, right, above, below = sides  # a convolution makes its bias of zeros
            x[..., :left] = 0
            x[..., x.shape[3] - right :] = 0
            x[:, :, :above] = 0
            x[:, :, x.shape[2] - below :] = 0
        return self.window.run([x], whole)


def joined(steps: Sequence[Step], result: int, shapes: Mapping[int, Sequence[int]]) -> list[Step]:
    """Return fewer steps that compute the same.

    Args:
        steps: in their order.
        result: number of the last one.
        shapes: of the maps when they were recorded, by their numbers; 0 is the image.
    """
    found = _activated(steps, result) if _has_onednn(steps) else list(steps)
    return _widened(found, result, shapes)


def _has_onednn(steps: Sequence[Step]) -> bool:
    """Whether oneDNN computes the convolutions as they are: in float32, on a processor that it supports."""
    weights = [step.layer.weight for step in steps if isinstance(step.layer, Convolution)]
    plain = all(weight is not None and weight.device.type == "cpu" for weight in weights)
    return plain and torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu")


def _only_reader(steps: Sequence[Step], result: int) -> set[int]:
    """Return the maps that one step reads, and nothing else."""
    readers = Counter([place for step in steps for place in step.inputs] + [result])
    return {place for place, count in readers.items() if count == 1}


def _activated(steps: Sequence[Step], result: int) -> list[Step]:
    once, given = _only_reader(steps, result), {step.number: step for step in steps}
    found = dict(given)
    for step in steps:
        before = given.get(step.inputs[0]) if step.inputs[0] in once else None
        activation = _activation(step.layer)
        if isinstance(step.layer, Convolution):
            found[step.number] = replace(step, layer=_with_activation(step.layer, "none", ()))
        elif activation is not None and before is not None and isinstance(before.layer, Convolution):
            layer = _with_activation(before.layer, *activation)
            found[step.number] = replace(step, inputs=before.inputs, layer=layer)
            del found[before.number]
    return list(found.values())


def _activation(layer: Layer) -> tuple[str, tuple[float, ...]] | None:
    """Return the name and limits of an activation that oneDNN has; None for anything else."""
    call = layer.call if isinstance(layer, Pointwise) else None
    if not isinstance(call, Operation) or call.named:
        return None
    limits = tuple(call.arguments[1:])
    if call.name == "relu":
        return "relu", ()
    if call.name in {"hardtanh", "clamp"} and len(limits) == 2 and None not in limits:
        return "hardtanh", (float(limits[0]), float(limits[1]))
    return None


def _with_activation(layer: Convolution, name: str, limits: tuple[float, ...]) -> Activated:
    given = {field.name: getattr(layer, field.name) for field in fields(Convolution)}
    stride, padding, dilation = layer.across
    assert layer.weight is not None
    down = [0, padding], [layer.stride, stride], [layer.dilation, dilation]
    packed = torch.ops.mkldnn._reorder_convolution_weight(layer.weight, *down, layer.groups, None)
    return Activated(**given, packed=packed, name=name, limits=limits)


def _widened(steps: Sequence[Step], result: int, shapes: Mapping[int, Sequence[int]]) -> list[Step]:
    once, found = _only_reader(steps, result), {step.number: step for step in steps}
    for step in steps:
        window, place = step.layer, step.inputs[0]
        if not isinstance(window, Convolution) or window.kernel == 1:
            continue
        padding, before, inside = Padding((0, 0, 0, 0), 0), None, 0.0
        given = found.get(place) if place in once else None
        if given is not None and isinstance(given.layer, Padding) and given.layer.value == 0:
            padding, place = given.layer, given.inputs[0]
            del found[given.number]
            given = found.get(place) if place in once else None
        overlap = (window.kernel - 1) * window.dilation * shapes[0][2] // shapes[place][2]
        if given is not None and _is_single(given.layer) and overlap <= _LARGEST_OVERLAP:
            assert isinstance(given.layer, Convolution)
            before, place, inside = given.layer, given.inputs[0], given.weight
            del found[given.number]
        if place != step.inputs[0]:
            found[step.number] = replace(step, inputs=(place,), layer=Widened(before, padding, window), inside=inside)
    return list(found.values())


def _is_single(layer: Layer) -> bool:
    """Whether a layer is a convolution of single pixels."""
    if not isinstance(layer, Convolution) or layer.weight is None:
        return False
    return layer.weight.shape[2:] == (1, 1) and (layer.stride, layer.padding) == (1, 0) and layer.across[:2] == (1, 0)
