"""An image cut into panels of columns, each computed by rows on its own, where its rows take too much memory.

What the layers keep grows with the width of the image. A panel is a part of the columns over the full height. The
columns beside it are computed with it as far as they can change the maps within, and then left out, so its maps are
those of the whole image. Whole numbers only: knows no pixels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from maskwright.inference.streaming.joining import Widened
from maskwright.inference.streaming.layers import (
    Average,
    Convolution,
    Enlarged,
    Largest,
    Padding,
    Transposed,
    Window,
)

if TYPE_CHECKING:
    from maskwright.inference.streaming.layers import Layer
    from maskwright.inference.streaming.network import RowNetwork


class Extent(Protocol):
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


def cut(network: RowNetwork, width: int, count: int, step: int) -> list[Panel]:
    """Return panels of about equal width that cover an image, from left to right.

    Args:
        network: what is computed.
        width: of the image, a multiple of `step`.
        count: how many panels.
        step: columns of the image for one of the coarsest map. Panels begin at multiples, so that the maps of a panel
            lie on the grids of those of the whole image.
    """
    edges = [width // step * place // count * step for place in range(count + 1)]
    return [Panel(inner, _outer(network, inner, width, step)) for inner in map(range, edges, edges[1:])]


def _outer(network: RowNetwork, inner: range, width: int, step: int) -> range:
    """Return the columns of the image that the maps of `inner` depend on, and one more for what enlarges them."""
    needed = {network.result: (inner.start - 1, inner.stop + 1)}
    for part in reversed(network.steps):
        first, stop = needed[part.number]
        for layer in reversed(across(part.layer)):
            first, stop = layer.first(first), layer.stop(stop)
        for place in part.inputs:
            before = needed.get(place, (first, stop))
            needed[place] = min(before[0], first), max(before[1], stop)
    first, stop = needed[0]
    return range(max(first // step * step, 0), min(-(-stop // step) * step, width))


def across(layer: Layer) -> list[Extent]:
    """Return layers whose rows are the columns of a layer, in the order in which they are computed."""
    found: list[Extent] = [layer]  # computed pixel by pixel, if it is none of these
    match layer:
        case Widened():
            found = [*across(layer.padding), *across(layer.window)]
        case Padding():
            found = [Padding((*layer.sides[2:], *layer.sides[:2]), layer.value)]
        case Convolution():
            assert layer.weight is not None
            found = [Window(layer.weight.shape[3], *layer.across)]
        case Largest() | Average():
            found = [Window(*layer.across)]
        case Transposed():
            stride, padding = layer.across
            found = [replace(layer, kernel=layer.weight.shape[3], stride=stride, padding=padding)]
        case Enlarged():
            found = [replace(layer, factors=layer.factors[::-1])]
    return found
