"""Steps of a network joined into one where that spares a pass over the memory. Knows no image and no schedule.

Where a wide map is made from a narrow one for a window (the expansion of an inverted residual, Sandler et al. 2018),
the narrow one is kept, and the rows that two turns share are computed twice: the wide map is neither kept nor copied.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

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


@dataclass(frozen=True, kw_only=True)
class Activated(Convolution):
    """A convolution with the activation that follows it.

    Attributes:
        activation: single pixels to single pixels; it may overwrite them.
    """

    activation: Pointwise

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Convolve and activate."""
        return self.activation.run([super().run(inputs, span)], span)


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
    return _widened(_activated(steps, result), result, shapes)


def _only_reader(steps: Sequence[Step], result: int) -> set[int]:
    """Return the maps that one step reads, and nothing else."""
    readers = Counter([place for step in steps for place in step.inputs] + [result])
    return {place for place, count in readers.items() if count == 1}


def _activated(steps: Sequence[Step], result: int) -> list[Step]:
    once, given = _only_reader(steps, result), {step.number: step for step in steps}
    found = dict(given)
    for step in steps:
        before = given.get(step.inputs[0]) if step.inputs[0] in once else None
        activation = _activation(step)
        if before is not None and activation is not None and type(before.layer) is Convolution:
            parts = {field.name: getattr(before.layer, field.name) for field in fields(Convolution)}
            found[step.number] = replace(step, inputs=before.inputs, layer=Activated(**parts, activation=activation))
            del found[before.number]
    return list(found.values())


def _activation(step: Step) -> Pointwise | None:
    """Return the layer of a step that changes each value of one map by itself; None for anything else."""
    layer = step.layer
    if not isinstance(layer, Pointwise) or not isinstance(layer.call, Operation) or len(step.inputs) > 1:
        return None
    return layer if layer.call.name in {"relu", "hardtanh", "clamp"} else None


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
