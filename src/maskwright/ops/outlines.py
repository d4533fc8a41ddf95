"""A mask as polygons that geographic programs accept as valid: no ring meets itself. Knows no file and no class.

As in `ops.polygons`, rings run along the edges of pixels and enclose exactly their area. There, pixels that touch at a
corner are one region, whose ring passes that corner twice. The standard for simple features (OGC 06-103r4, 6.1.11)
forbids this, so here pixels are connected by their sides alone, and a ring that returns to a corner is split there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.ops.polygons import Polygon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_TURNS = (1, 2, 4, 8, 7, 11, 13, 14)
_FALLING, _RISING = 9, 6
"""Corners where two pixels of the mask touch: upper left and lower right, or upper right and lower left."""


def simple_polygons(mask: NDArray[Any]) -> list[Polygon]:
    """Outline the regions of a mask (H, W), in which every value but 0 is inside, connected by the sides of pixels.

    Returns:
        One polygon per region. With y growing upwards, its outer ring would run counterclockwise and its holes
        clockwise.
    """
    inside = np.pad((np.asarray(mask) != 0).astype(np.uint8), 1)
    count, regions = cv2.connectedComponents(inside, connectivity=4)
    outer: list[NDArray[np.int32] | None] = [None] * count
    holes: list[list[NDArray[np.int32]]] = [[] for _ in range(count)]
    for found in _rings(inside):
        x, y, row = _along(found)
        to_the_left, to_the_right = (int(regions[side, x + 1]) for side in (row, 2 * y + 1 - row))
        ring, region = (found, to_the_left) if to_the_left else (found[::-1], to_the_right)
        if _turns_left(ring):
            outer[region] = ring
        else:
            holes[region].append(ring)
    return [Polygon(ring, tuple(holes[number])) for number, ring in enumerate(outer) if ring is not None]


def _along(ring: NDArray[np.int32]) -> tuple[int, int, int]:
    """Return the left end (x, y) of a horizontal side, and the row of pixels to the left of who walks along it."""
    first = 0 if ring[0, 1] == ring[1, 1] else 1
    (begin, y), end = ring[first].tolist(), int(ring[(first + 1) % len(ring), 0])
    return min(begin, end), y, y if end > begin else y + 1


def _turns_left(ring: NDArray[np.int32]) -> bool:
    """Tell whether a ring runs counterclockwise, with y growing upwards."""
    x, y = ring[:, 0].astype(np.int64), -ring[:, 1].astype(np.int64)
    return bool(np.dot(x, np.roll(y, -1)) > np.dot(y, np.roll(x, -1)))


def _rings(inside: NDArray[np.uint8]) -> Iterator[NDArray[np.int32]]:
    """Yield the simple rings (n, 2) of x, y around the regions of a mask with an empty margin.

    Every corner where the border turns ends one horizontal and one vertical side. In each row of corners, and in each
    column, sides reach from the first corner to the second, from the third to the fourth, and so on. Where two pixels
    touch, the border passes twice, each time around one of them.
    """
    places, across, down = _corners(inside)
    points, over, along = places.tolist(), across.tolist(), down.tolist()
    left = [True] * len(points)
    for start in range(len(points)):
        ring, here = [], start
        while left[here]:
            other = over[here]
            left[here] = left[other] = False
            ring += [points[here], points[other]]
            here = along[other]
        for part in _split(ring):
            yield np.array(part, np.int32)


def _corners(inside: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.intp], NDArray[np.intp]]:
    """Return the corners (n, 2) of x, y, and for each the one at the other end of its horizontal and vertical side."""
    kinds = inside[:-1, :-1] + 2 * inside[:-1, 1:] + 4 * inside[1:, :-1] + 8 * inside[1:, 1:]
    rows, columns = np.nonzero(np.isin(kinds, (*_TURNS, _FALLING, _RISING)))
    found = kinds[rows, columns]
    twice = (found == _FALLING) | (found == _RISING)
    once = np.flatnonzero(~twice)
    both = np.flatnonzero(twice)
    which = np.concatenate([once, both, both])
    # Which of the two sides in its row and in its column ends here: 0 the one before the corner, 1 the one after it.
    none = np.zeros(len(once), np.int64)
    after_x = np.concatenate([none, np.zeros(len(both), np.int64), np.ones(len(both), np.int64)])
    rising = (found[both] == _RISING).astype(np.int64)
    after_y = np.concatenate([none, rising, 1 - rising])
    x, y = columns[which], rows[which]
    return np.stack([x, y], axis=1).astype(np.int32), _paired((after_x, x, y)), _paired((after_y, y, x))


def _paired(keys: tuple[NDArray[np.int64], ...]) -> NDArray[np.intp]:
    """Return the partner of each corner, where sorted by `keys`, the last one first, they stand in pairs."""
    order = np.lexsort(keys)
    partner = np.empty(len(order), np.intp)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return partner


def _split(ring: list[list[int]]) -> Iterator[list[list[int]]]:
    """Yield the simple rings of one that may pass a corner twice; none of an empty one."""
    seen: dict[tuple[int, int], int] = {}
    path: list[list[int]] = []
    for point in ring:
        at = seen.get((point[0], point[1]))
        if at is not None:
            yield path[at:]
            for x, y in path[at:]:
                del seen[x, y]
            del path[at:]
        seen[point[0], point[1]] = len(path)
        path.append(point)
    if path:
        yield path
