"""Edges of an image as people drew them: one-pixel lines, kept as positions and never as a stack of maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


REACH = 0.0075
"""Distance within which two lines are the same edge, as a share of the image diagonal, as in the Berkeley benchmark."""


@dataclass(frozen=True, eq=False)
class Edges:
    """The edge pixels of one image.

    Attributes:
        size: height and width.
        people: int64 (n,) for each person who drew edges: positions of the pixels, row by row, in rising order. A
            person may have seen no edge.
    """

    size: tuple[int, int]
    people: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, maps: Iterable[NDArray[np.bool_]], size: tuple[int, int]) -> Self:
        """Take the edge pixels out of maps (H, W) of `size`, one a person."""
        return cls(size, tuple(np.flatnonzero(drawn) for drawn in maps))

    def maps(self) -> list[NDArray[np.bool_]]:
        """Return a map (H, W) for each person."""
        found = []
        for positions in self.people:
            drawn = np.zeros(self.size, np.bool_)
            drawn.flat[positions] = True
            found.append(drawn)
        return found
