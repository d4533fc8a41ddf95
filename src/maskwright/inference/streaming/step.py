"""One layer of a network by rows, with what it reads. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskwright.inference.streaming.layers import Layer


@dataclass(frozen=True)
class Step:
    """One layer with what it reads.

    Attributes:
        number: of its result.
        inputs: numbers of the results that it reads; 0 is the image.
        layer: computes it.
        values: of a row of the result, for each column of the image.
        inner_values: the same of the map that a fused step makes on the way.
        inner_rows: of it that are there at once, at most.
        cost: of the step, relative to that of others.
    """

    number: int
    inputs: tuple[int, ...]
    layer: Layer
    values: float
    inner_values: float = 0
    inner_rows: int = 0
    cost: float = 0
