"""Fusion of layers: one step for several where that spares a pass over the memory. Knows no image and no schedule.

Where a wide map is made from a narrow one for a window (the expansion of an inverted residual, Sandler et al. 2018),
the narrow one is kept, and the rows that two turns share are computed twice: the wide map is neither kept nor copied.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from maskwright.inference.streaming.convolving import NO_ACTIVATION, Activation
from maskwright.inference.streaming.layers import Convolution, Layer, Padding, Pointwise, Span
from maskwright.inference.streaming.tracing import Operation, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwright.inference.streaming.step import Step

_MAX_OVERLAP = 16
"""Rows of the image that two pieces may compute twice in a fused step."""
_LIMITS: dict[str, tuple[float | None, float | None]] = {
    "relu": (0.0, None),
    "hardtanh": (-1.0, 1.0),
    "clamp": (None, None),
}
"""Activations that hold each value between two limits, and their defaults."""
_PIECE = 32
"""Rows of the image in a piece: a fused step makes its wide map piece by piece, so that taller turns take no more."""


@dataclass(frozen=True)
class PaddedConvolution:
    """A convolution over a padded map, which a pointwise convolution may expand from a narrower one.

    Attributes:
        expansion: makes the map; None if the map is there.
        padding: by zeros.
        convolution: over the padded map.
        piece: rows of the result that are computed at once, if there is an expansion.
    """

    expansion: Convolution | None
    padding: Padding
    convolution: Convolution
    piece: int

    def height(self, rows: int) -> int:
        """Return the height of the result."""
        return self.convolution.height(self.padding.height(rows))

    def first(self, row: int) -> int:
        """Return the first row of the window, before padding."""
        return self.padding.first(self.convolution.first(row))

    def stop(self, row: int) -> int:
        """Return the end of the window of the row above, before padding."""
        return self.padding.stop(self.convolution.stop(row))

    @property
    def inner_rows(self) -> int:
        """The most rows of the map that is made on the way which are there at once."""
        return 0 if self.expansion is None else self.stop(self.piece) - self.first(0)

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Compute piece by piece."""
        if self.expansion is None or span.stop - span.start <= self.piece:
            return self._piece(inputs[0], span)
        parts = []
        for start in range(span.start, span.stop, self.piece):
            part = Span.of(self, start, min(start + self.piece, span.stop), span.height)
            parts.append(self._piece(inputs[0][:, :, part.first - span.first : part.last - span.first], part))
        return torch.cat(parts, 2)

    def _piece(self, x: Tensor, span: Span) -> Tensor:
        """Pad, make the map, put zeros where it was padded, and convolve."""
        sides = (*self.padding.sides[:2], span.above, span.below)
        if any(sides):
            x = F.pad(x, sides)
        whole = span._replace(above=0, below=0)
        if self.expansion is not None:
            x = self.expansion.run([x], whole)
            left, right, above, below = sides  # a convolution makes its bias of zeros
            x[..., :left] = 0
            x[..., x.shape[3] - right :] = 0
            x[:, :, :above] = 0
            x[:, :, x.shape[2] - below :] = 0
        return self.convolution.run([x], whole)


def fused(steps: Sequence[Step], result: int, shapes: Mapping[int, Sequence[int]]) -> list[Step]:
    """Return fewer steps that compute the same.

    Args:
        steps: in their order.
        result: number of the last one.
        shapes: of the maps when they were traced, by their numbers; 0 is the image.
    """
    return _with_padding(_with_activations(steps, result), result, shapes)


def _read_once(steps: Sequence[Step], result: int) -> set[int]:
    """Return the maps that one step reads, and no other."""
    readers = Counter([source for step in steps for source in step.inputs] + [result])
    return {source for source, count in readers.items() if count == 1}


def _with_activations(steps: Sequence[Step], result: int) -> list[Step]:
    once, given = _read_once(steps, result), {step.number: step for step in steps}
    found = dict(given)
    for step in steps:
        before = given.get(step.inputs[0]) if step.inputs[0] in once else None
        activation = _activation(step)
        if before is not None and activation is not None and isinstance(before.layer, Convolution):
            layer = replace(before.layer, activation=activation)
            found[step.number] = replace(step, inputs=before.inputs, layer=layer, cost=before.cost)
            del found[before.number]
    return list(found.values())


def _activation(step: Step) -> Activation | None:
    """Return what a step does if it holds each value of one map between two; None for anything else."""
    call = step.layer.call if isinstance(step.layer, Pointwise) else None
    if not isinstance(call, Operation) or len(step.inputs) > 1:
        return None
    if call.name not in _LIMITS or call.named:
        return None
    given = call.arguments[1:]
    limits = (*given, *_LIMITS[call.name][len(given) :])  # what has its default is left out
    if any(isinstance(limit, Tensor | Reference) for limit in limits):
        return None
    least, most = (
        infinite if limit is None else float(limit) for limit, infinite in zip(limits, NO_ACTIVATION, strict=True)
    )
    return Activation(least, most)


def _with_padding(steps: Sequence[Step], result: int, shapes: Mapping[int, Sequence[int]]) -> list[Step]:
    once, found = _read_once(steps, result), {step.number: step for step in steps}
    for step in steps:
        convolution, source = step.layer, step.inputs[0]
        if not isinstance(convolution, Convolution) or convolution.kernel == 1:
            continue
        padding, expansion, inner_values, cost = Padding((0, 0, 0, 0), 0), None, 0.0, step.cost
        given = found.get(source) if source in once else None
        if given is not None and isinstance(given.layer, Padding) and given.layer.value == 0:
            padding, source, cost = given.layer, given.inputs[0], cost + given.cost
            del found[given.number]
            given = found.get(source) if source in once else None
        overlap = (convolution.kernel - 1) * convolution.dilation * shapes[0][2] // shapes[source][2]
        if given is not None and _is_pointwise(given.layer) and overlap <= _MAX_OVERLAP:
            assert isinstance(given.layer, Convolution)
            expansion, source, inner_values = given.layer, given.inputs[0], given.values
            cost += given.cost
            del found[given.number]
        if source != step.inputs[0]:
            piece = max(_PIECE * shapes[step.number][2] // shapes[0][2], 1)
            layer = PaddedConvolution(expansion, padding, convolution, piece)
            fused_step = replace(step, inputs=(source,), layer=layer, cost=cost, inner_values=inner_values)
            found[step.number] = replace(fused_step, inner_rows=layer.inner_rows)
    return list(found.values())


def _is_pointwise(layer: Layer) -> bool:
    """Whether a layer is a convolution of 1x1 with nothing around it."""
    if not isinstance(layer, Convolution) or layer.weight is None:
        return False
    return layer.weight.shape[2:] == (1, 1) and (layer.stride, layer.padding) == (1, 0) and layer.columns[:2] == (1, 0)
