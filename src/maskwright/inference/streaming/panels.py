"""An image cut into panels of columns, each computed by rows on its own, where its rows take too much memory.

What the layers keep grows with the width of the image. A panel is a part of the columns over the full height. The
columns beside it are computed with it as far as they can change the maps within, and then left out, so its maps are
those of the whole image. Whole numbers only: knows no pixels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from maskwright.inference.streaming.fusion import PaddedConvolution
from maskwright.inference.streaming.layers import (
    AveragePool,
    Convolution,
    MaxPool,
    Padding,
    ReplicationPadding,
    TransposedConvolution,
    Window,
)
from maskwright.inference.streaming.resampling import Subsample, Upsample

if TYPE_CHECKING:
    from maskwright.inference.streaming.layers import Layer
    from maskwright.inference.streaming.network import RowNetwork


class ReceptiveField(Protocol):
    """Says which part of its input a layer reads, along one axis; see `layers.Layer`."""

    def first(self, row: int) -> int:
        """Return the first place that is needed for one of the result."""

    def stop(self, row: int) -> int:
        """Return the end of the places that are needed for those of the result before one."""


class Panel(NamedTuple):
    """A part of the columns of an image.

    Attributes:
        inner: the columns whose maps it gives.
        outer: the columns that are computed for them, `inner` included.
    """

    inner: range
    outer: range

    def within(self, width: int) -> Panel:
        """Return the part that lies in an image of a width, which may be smaller than what the network needs."""
        return Panel(*(range(part.start, min(part.stop, width)) for part in self))


def cut(network: RowNetwork, width: int, count: int, stride: int) -> list[Panel]:
    """Return panels of about equal width that cover an image, from left to right.

    Args:
        network: what is computed.
        width: of the image, a multiple of `stride`.
        count: how many panels.
        stride: columns of the image for one of the coarsest map. Panels begin at multiples, so that the maps of a panel
            lie on the grids of those of the whole image.
    """
    edges = [width // stride * place // count * stride for place in range(count + 1)]
    return [Panel(inner, _outer(network, inner, width, stride)) for inner in map(range, edges, edges[1:])]


def _outer(network: RowNetwork, inner: range, width: int, stride: int) -> range:
    """Return the columns of the image that the maps of `inner` depend on, and one more for what enlarges them."""
    needed = {network.result: (inner.start - 1, inner.stop + 1)}
    for step in reversed(network.steps):
        first, stop = needed[step.number]
        for layer in reversed(by_columns(step.layer)):
            first, stop = layer.first(first), layer.stop(stop)
        for source in step.inputs:
            before = needed.get(source, (first, stop))
            needed[source] = min(before[0], first), max(before[1], stop)
    first, stop = needed[0]
    return range(max(first // stride * stride, 0), min(-(-stop // stride) * stride, width))


def by_columns(layer: Layer) -> list[ReceptiveField]:
    """Return layers whose rows are the columns of a layer, in the order in which they are computed."""
    found: list[ReceptiveField] = [layer]  # computed pixel by pixel, if it is none of these
    match layer:
        case PaddedConvolution():
            found = [*by_columns(layer.padding), *by_columns(layer.convolution)]
        case Padding():
            found = [Padding((*layer.sides[2:], *layer.sides[:2]), layer.value)]
        case ReplicationPadding():
            found = [ReplicationPadding((*layer.sides[2:], *layer.sides[:2]))]
        case Convolution():
            assert layer.weight is not None
            found = [Window(layer.weight.shape[3], *layer.columns)]
        case MaxPool() | AveragePool() | Subsample():
            found = [Window(*layer.columns)]
        case TransposedConvolution():
            stride, padding = layer.columns
            found = [replace(layer, kernel=layer.weight.shape[3], stride=stride, padding=padding)]
        case Upsample():
            found = [replace(layer, factors=layer.factors[::-1])]
    return found
