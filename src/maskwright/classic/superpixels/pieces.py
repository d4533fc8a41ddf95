"""Superpixels made connected: pieces that are cut off join a neighbour. Knows no method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.measure import label

if TYPE_CHECKING:
    from numpy.typing import NDArray


def joined_pieces(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Make every superpixel connected and number them 0..K-1.

    Of each superpixel only the largest piece stays. Another one joins the piece to the left of its first pixel, or
    above it.

    Args:
        labels: (H, W), 0 or more; not every number need be in use.
    """
    pieces = label(labels, background=-1, connectivity=1).ravel() - 1
    first = np.zeros(pieces.max() + 1, np.intp)
    first[pieces[::-1]] = np.arange(pieces.size - 1, -1, -1)
    stays = _largest(labels.ravel()[first], np.bincount(pieces))
    width = labels.shape[1]
    before = np.where(first % width, first - 1, first - width)
    # The first piece has nothing before it. `before` is then negative, and it is its own end.
    leads_to = np.where(stays | (before < 0), np.arange(first.size), pieces[before])
    while not np.array_equal(further := leads_to[leads_to], leads_to):
        leads_to = further
    if not stays[pieces[0]]:
        leads_to[leads_to == pieces[0]] = leads_to[pieces[np.argmax(leads_to[pieces] != pieces[0])]]
    numbers = np.cumsum(stays) - 1
    return np.asarray(numbers[leads_to][pieces].reshape(labels.shape), np.int32)


def _largest(owners: NDArray[np.int32], sizes: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Mark for each superpixel its largest piece, the first of those that are equal."""
    order = np.lexsort((np.arange(sizes.size), -sizes, owners))
    starts = np.concatenate(([True], owners[order][1:] != owners[order][:-1]))
    marked = np.zeros(sizes.size, np.bool_)
    marked[order[starts]] = True
    return marked
