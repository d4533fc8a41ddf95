"""Bounding boxes: which of them overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 256
"""Boxes that are compared at once with all those of the same rows."""


def overlapping(ours: NDArray[np.signedinteger], theirs: NDArray[np.signedinteger]) -> NDArray[np.int32]:
    """Return the pairs (p, 2) of boxes (n, 4) and boxes (m, 4) that share a pixel, in order.

    Of many boxes, some at a time are taken from the top to the bottom, and compared with those of the same rows.
    """
    if len(ours) <= AT_ONCE:
        return np.argwhere(_touch(ours, theirs)).astype(np.int32)
    order = np.argsort(ours[:, 0], kind="stable")
    found = [np.empty((0, 2), np.intp)]
    for start in range(0, len(order), AT_ONCE):
        chosen = order[start : start + AT_ONCE]
        boxes = ours[chosen]
        level = np.flatnonzero((theirs[:, 0] < boxes[:, 2].max()) & (theirs[:, 2] > boxes[:, 0].min()))
        one, other = np.nonzero(_touch(boxes, theirs[level]))
        found.append(np.stack([chosen[one], level[other]], axis=1))
    pairs = np.concatenate(found)
    return pairs[np.lexsort(pairs.T[::-1])].astype(np.int32)


def _touch(ours: NDArray[np.signedinteger], theirs: NDArray[np.signedinteger]) -> NDArray[np.bool_]:
    """Return which boxes (n, 4) share a pixel with which boxes (m, 4), as (n, m)."""
    top, left, bottom, right = ours.T[:, :, None]
    other = theirs.T
    near: NDArray[np.bool_] = (top < other[2]) & (bottom > other[0]) & (left < other[3]) & (right > other[1])
    return near
