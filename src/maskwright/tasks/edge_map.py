"""Edges as a result: how strong they are at each pixel, and the lines of one pixel that are found in that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.ops.edge_truth import agreed
from maskwright.ops.edges import linked, suppress, traced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from maskwright.core.targets import Target
    from maskwright.ops.edges import Trace
    from maskwright.tasks.base import Decoding
    from maskwright.tasks.block import Block


class Linking(NamedTuple):
    """Which ridges become lines: those of at least `high`, and those of at least `low` that continue them."""

    high: float = 0.5
    low: float = 0.5


USUAL = Linking()
"""Before the thresholds are fitted."""


def linking_of(decoding: Decoding) -> Linking:
    """Return the fitted thresholds, or the usual ones."""
    fitted = {name: value for name, value in decoding.items() if name in Linking._fields}
    return Linking(**fitted)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class EdgeMap:
    """The edges of one image.

    Attributes:
        strength: float32 (H, W), 0..1, NaN where the image has no data.
        linking: thresholds of the lines.
        is_truth: the strength is the share of people who drew an edge, on lines of one pixel.
    """

    strength: NDArray[np.float32]
    linking: Linking = USUAL
    is_truth: bool = False

    @classmethod
    def of(cls, blocks: Iterable[Block], size: tuple[int, int], linking: Linking = USUAL) -> EdgeMap:
        """Put the blocks of an image of `size` (height, width) together."""
        strength = np.empty(size, np.float32)
        for block in blocks:
            strength[block.rows, block.columns] = block.maps[0].float().cpu().numpy()
        return cls(strength, linking)

    @classmethod
    def drawn(cls, target: Target) -> EdgeMap:
        """Return the share of people who drew an edge; NaN where nothing is known."""
        assert target.edges is not None
        shares = agreed(target.edges.maps())
        shares[target.labels == IGNORE] = np.nan
        return cls(shares, is_truth=True)

    @cached_property
    def ridges(self) -> NDArray[np.float32]:
        """The strength (H, W) along ridges, which may be two pixels wide, and 0 elsewhere."""
        known = np.nan_to_num(self.strength)
        return known if self.is_truth else suppress(known)

    @cached_property
    def lines(self) -> NDArray[np.bool_]:
        """The pixels (H, W) of lines, one pixel wide."""
        if self.is_truth:
            return self.ridges >= self.linking.high
        return linked(self.ridges, self.linking.low, self.linking.high)

    def traced(self) -> list[Trace]:
        """Trace the lines with points between pixels; see `ops.edges.traced`."""
        return traced(self.lines, np.nan_to_num(self.strength))
