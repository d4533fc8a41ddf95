"""Parts of one object that several windows of an image show: how alike they are, and their union. Knows no network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.instances import Instance


def union(first: Instance, second: Instance) -> Instance:
    """Return `first` with the pixels of `second` too; a pixel of both has the higher of their shares."""
    top, left = min(first.top, second.top), min(first.left, second.left)
    bottom, right = max(first.rows.stop, second.rows.stop), max(first.columns.stop, second.columns.stop)

    def joined(one: NDArray[Any], two: NDArray[Any]) -> NDArray[Any]:
        whole = np.zeros((bottom - top, right - left), one.dtype)
        for entry, part in ((first, one), (second, two)):
            place = whole[entry.top - top :, entry.left - left :][: part.shape[0], : part.shape[1]]
            np.maximum(place, part, out=place)
        return whole

    shares = None if first.shares is None or second.shares is None else joined(first.shares, second.shares)
    return replace(first, top=top, left=left, mask=joined(first.mask, second.mask), shares=shares)


def overlap(first: Instance, second: Instance, rows: slice, columns: slice) -> float:
    """Return the IoU of two objects inside a window; 0 where neither has a pixel in it."""
    top, bottom = max(min(first.top, second.top), rows.start), min(max(first.rows.stop, second.rows.stop), rows.stop)
    left = max(min(first.left, second.left), columns.start)
    right = min(max(first.columns.stop, second.columns.stop), columns.stop)
    if top >= bottom or left >= right:
        return 0.0
    masks = np.zeros((2, bottom - top, right - left), bool)
    for place, entry in zip(masks, (first, second), strict=True):
        high, low = max(entry.top, top), min(entry.rows.stop, bottom)
        start, stop = max(entry.left, left), min(entry.columns.stop, right)
        if high < low and start < stop:
            part = entry.mask[high - entry.top : low - entry.top, start - entry.left : stop - entry.left]
            place[high - top : low - top, start - left : stop - left] = part
    either = int(masks.any(axis=0).sum())
    return int(masks.all(axis=0).sum()) / either if either else 0.0
