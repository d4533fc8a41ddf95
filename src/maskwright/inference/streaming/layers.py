"""Layers that compute any rows of their result from some rows of their input. Knows no network and no image.

Rows of a result come from a window of rows of the input that moves with them. Where it reaches beyond the map, a layer
does what it does at the edge of a map: it pads, repeats the edge or leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch.nn import functional as F

from maskwright.inference.streaming.convolving import NO_ACTIVATION, Activation, Sweep, convolved

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Span(NamedTuple):
    """Which rows a layer computes, and what it gets for it.

    Attributes:
        start, stop: rows of the result.
        first, last: rows of the input that are given, without the last; none if all that is wanted is padding.
        above, below: rows of the window that are missing, because they lie beyond the map.
        height: rows of the whole input.
    """

    start: int
    stop: int
    first: int
    last: int
    above: int
    below: int
    height: int

    @classmethod
    def of(cls, layer: Layer, start: int, stop: int, height: int) -> Span:
        """Return what a layer gets for rows of its result from an input of a height."""
        top, end = layer.first(start), layer.stop(stop)
        first, last = (min(max(row, 0), height) for row in (top, end))
        return cls(start, stop, first, last, max(min(end, 0) - top, 0), max(end - max(top, height), 0), height)


class Layer(Protocol):
    """One step of a network. Rows are counted from the top of a map, also beyond its edges."""

    def height(self, rows: int) -> int:
        """Return the height of the result for an input of so many rows."""

    def first(self, row: int) -> int:
        """Return the first row of the input that a row of the result needs."""

    def stop(self, row: int) -> int:
        """Return the end of the rows of the input that all rows of the result above `row` need."""

    def run(self, inputs: list[Tensor], span: Span, /) -> Tensor:
        """Return the rows (N, C, stop - start, W) of a span, from the rows of all inputs that it names."""


@dataclass(frozen=True)
class Pointwise:
    """What computes each pixel from the same pixel of its inputs.

    Attributes:
        call: inputs -> result; it may overwrite them.
    """

    call: Callable[..., Tensor]

    def height(self, rows: int) -> int:
        """Return the same."""
        return rows

    def first(self, row: int) -> int:
        """Return the same."""
        return row

    def stop(self, row: int) -> int:
        """Return the same."""
        return row

    def run(self, inputs: list[Tensor], _span: Span) -> Tensor:
        """Call it."""
        return self.call(*inputs)


@dataclass(frozen=True)
class Padding:
    """Rows and columns of one value around a map.

    Attributes:
        sides: left, right, top, bottom.
        value: of the new pixels.
    """

    sides: tuple[int, int, int, int]
    value: float

    def height(self, rows: int) -> int:
        """Add both."""
        return rows + self.sides[2] + self.sides[3]

    def first(self, row: int) -> int:
        """Return the row that moved here."""
        return row - self.sides[2]

    def stop(self, row: int) -> int:
        """Return the row that moved here."""
        return row - self.sides[2]

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Pad on the left and right, and with the rows beyond the map."""
        return F.pad(inputs[0], (*self.sides[:2], span.above, span.below), value=self.value)


@dataclass(frozen=True)
class ReplicationPadding:
    """Rows and columns around a map that repeat its edge.

    Attributes:
        sides: left, right, top, bottom.
    """

    sides: tuple[int, int, int, int]

    def height(self, rows: int) -> int:
        """Add both."""
        return rows + self.sides[2] + self.sides[3]

    def first(self, row: int) -> int:
        """Return a row early enough for those below the map, which are its last one."""
        return row - self.sides[2] - self.sides[3]

    def stop(self, row: int) -> int:
        """Return the end of the rows that moved above this one; those above the map are its first row."""
        return max(row - self.sides[2], min(row, 1))

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Take each row that is nearest, and pad on the left and right."""
        wanted = torch.arange(span.start, span.stop, device=inputs[0].device) - self.sides[2]
        rows = inputs[0].index_select(2, wanted.clamp(0, span.height - 1) - span.first)
        return F.pad(rows, (*self.sides[:2], 0, 0), mode="replicate")


@dataclass(frozen=True)
class Window:
    """Rows of a kernel that moves down a map.

    Attributes:
        kernel: rows of it.
        stride: rows by which it moves.
        padding: rows above the map, and below it.
        dilation: rows from one row of the kernel to the next.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def height(self, rows: int) -> int:
        """Return how many places it has."""
        return (rows + 2 * self.padding - (self.kernel - 1) * self.dilation - 1) // self.stride + 1

    def first(self, row: int) -> int:
        """Return its top."""
        return row * self.stride - self.padding

    def stop(self, row: int) -> int:
        """Return the end of the place above `row`."""
        return (row - 1) * self.stride - self.padding + (self.kernel - 1) * self.dilation + 1


@dataclass(frozen=True)
class Convolution(Window):
    """A convolution, and the activation that follows it.

    Attributes:
        weight: (K, C / groups, h, w).
        bias: (K,), or None.
        columns: stride, padding and dilation along them.
        groups: see `F.conv2d`.
        activation: see above.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    columns: tuple[int, int, int] = (1, 0, 1)
    groups: int = 1
    activation: Activation = NO_ACTIVATION

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Convolve and activate."""
        assert self.weight is not None
        x = inputs[0]
        if span.above or span.below:
            x = F.pad(x, (0, 0, span.above, span.below))
        stride, padding, dilation = self.columns
        sweep = Sweep((self.stride, stride), (0, padding), (self.dilation, dilation), self.groups)
        return convolved(x, self.weight, self.bias, sweep, self.activation)


@dataclass(frozen=True)
class MaxPool(Window):
    """Maximum pooling.

    Attributes:
        columns: kernel, stride, padding and dilation along them.
    """

    columns: tuple[int, int, int, int] = (1, 1, 0, 1)

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Pool."""
        x = inputs[0]
        if span.above or span.below:
            x = F.pad(x, (0, 0, span.above, span.below), value=-torch.inf)
        kernel, stride, padding, dilation = self.columns
        return F.max_pool2d(
            x, (self.kernel, kernel), (self.stride, stride), (0, padding), (self.dilation, dilation), ceil_mode=False
        )


@dataclass(frozen=True)
class AveragePool(Window):
    """Average pooling.

    Attributes:
        columns: kernel, stride and padding along them.
        padded: whether the zeros beyond the edge count.
    """

    columns: tuple[int, int, int] = (1, 1, 0)
    padded: bool = True

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Pool; rows that are missing at an edge are zeros, and the sum is divided by the number of the others."""
        x = inputs[0]
        if span.above or span.below:
            x = F.pad(x, (0, 0, span.above, span.below))
        kernel, stride, padding = self.columns
        sides = (self.kernel, kernel), (self.stride, stride), (0, padding)
        x = F.avg_pool2d(x, *sides, count_include_pad=self.padded)
        if self.padded or not (span.above or span.below):
            return x
        tops = torch.arange(span.start, span.stop, device=x.device) * self.stride - self.padding
        there = (tops + self.kernel).clamp(max=span.height) - tops.clamp(min=0)
        return x * (self.kernel / there)[:, None]


@dataclass(frozen=True)
class TransposedConvolution:
    """A transposed convolution.

    Attributes:
        kernel, stride, padding: of the rows.
        weight: (C, K / groups, h, w).
        bias: (K,), or None.
        columns: stride and padding along them.
        groups: see `F.conv_transpose2d`.
    """

    kernel: int
    stride: int
    padding: int
    weight: Tensor
    bias: Tensor | None
    columns: tuple[int, int]
    groups: int

    def height(self, rows: int) -> int:
        """Return the height of the result."""
        return (rows - 1) * self.stride - 2 * self.padding + self.kernel

    def first(self, row: int) -> int:
        """Return the first row that adds to this one."""
        return -((self.kernel - 1 - self.padding - row) // self.stride)

    def stop(self, row: int) -> int:
        """Return the end of the rows that add to the row above."""
        return (row - 1 + self.padding) // self.stride + 1

    def run(self, inputs: list[Tensor], span: Span) -> Tensor:
        """Convolve, and cut the rows out that are complete."""
        stride = (self.stride, self.columns[0])
        x = F.conv_transpose2d(inputs[0], self.weight, self.bias, stride, (0, self.columns[1]), groups=self.groups)
        top = span.first * self.stride - self.padding
        return x[:, :, span.start - top : span.stop - top]
