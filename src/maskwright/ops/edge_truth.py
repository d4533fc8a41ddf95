"""True edges as maps: the edges between the regions of a mask, and what several people's drawings have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.edges import Edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

NEIGHBOURS = ((0, 1), (1, 0), (1, 1))
"""Steps (down, right) to the pixels that a pixel is compared with."""


def region_edges(numbers: NDArray[np.integer], unknown: Mask, *, touching: bool = False) -> Mask:
    """Return the edges (H, W) between regions of different numbers: those of classes, or of objects.

    An edge is one pixel wide, and lies on the pixel whose right, lower, or lower right neighbour has another number. No
    edge lies between a known and an unknown pixel.

    Args:
        numbers: (H, W); of objects, 0 where none is.
        unknown: (H, W), pixels of which nothing is known.
        touching: only between two objects.
    """
    found = np.zeros(numbers.shape, np.bool_)
    for down, right in NEIGHBOURS:
        here = slice(None, -down or None), slice(None, -right or None)
        there = slice(down, None), slice(right, None)
        differ = (numbers[here] != numbers[there]) & ~unknown[here] & ~unknown[there]
        found[here] |= differ & (numbers[here] > 0) & (numbers[there] > 0) if touching else differ
    return found


def agreed(maps: Sequence[Mask]) -> NDArray[np.float32]:
    """Return which share of people (H, W) drew an edge at each pixel where at least one of them did, 0 elsewhere.

    A person whose edge is one pixel away agrees: people seldom hit the same pixel.

    Args:
        maps: (H, W) of each person, at least one.
    """
    around = np.ones((3, 3), np.uint8)
    total = np.zeros(maps[0].shape, np.float32)
    for drawn in maps:
        total += cv2.dilate(drawn.view(np.uint8), around)
    return np.where(np.any(maps, axis=0), total / np.float32(len(maps)), np.float32(0)).astype(np.float32)


def resized(edges: Edges, size: tuple[int, int]) -> Edges:
    """Bring edges to an image of another `size` (height, width): each edge pixel moves to the pixel that covers it."""
    if edges.size == size:
        return edges
    people = []
    for positions in edges.people:
        rows, columns = np.divmod(positions, edges.size[1])
        moved = [
            (2 * place + 1) * new // (2 * old)
            for place, new, old in zip((rows, columns), size, edges.size, strict=True)
        ]
        people.append(np.unique(moved[0] * size[1] + moved[1]))
    return Edges(size, tuple(people))


def outside(edges: Edges, gone: Mask) -> Edges:
    """Leave out the edge pixels within `gone` (H, W)."""
    return Edges(edges.size, tuple(positions[~gone.flat[positions]] for positions in edges.people))
