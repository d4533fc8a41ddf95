"""Parts of objects: what one shows inside another, or in a window of an image, and their union. Knows no network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.ops.instance_maps import cropped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.instances import Instance


def united(parts: Sequence[Instance]) -> Instance:
    """Return the first part with the pixels of all; a pixel of several has the highest of their shares."""
    if len(parts) == 1:
        return parts[0]
    top, left = min(part.top for part in parts), min(part.left for part in parts)
    size = max(part.rows.stop for part in parts) - top, max(part.columns.stop for part in parts) - left
    masks = [part.mask for part in parts]
    shares = [part.shares for part in parts if part.shares is not None]

    def joined(maps: Sequence[NDArray[Any]]) -> NDArray[Any]:
        whole = np.zeros(size, maps[0].dtype)
        for part, own in zip(parts, maps, strict=True):
            place = whole[part.top - top :, part.left - left :][: own.shape[0], : own.shape[1]]
            np.maximum(place, own, out=place)
        return whole

    whole = joined(shares) if len(shares) == len(parts) else None
    return replace(parts[0], top=top, left=left, mask=joined(masks), shares=whole)


def without_specks(entry: Instance, least: float) -> Instance:
    """Return an object without its smaller connected parts.

    Args:
        entry: the object.
        least: least size of a part that stays, as a share of the largest part: 0 keeps all, 1 the largest one, and any
            as large. Pixels that touch at a corner are in one part.
    """
    if not least:
        return entry
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(entry.mask.astype(np.uint8), connectivity=8)
    areas = boxes[1:, cv2.CC_STAT_AREA]
    large = areas >= least * areas.max()
    if large.all():
        return entry
    near = cropped(np.append(False, large)[labels])
    assert near is not None
    top, left, mask = near
    shares = None if entry.shares is None else entry.shares[top:, left:][: mask.shape[0], : mask.shape[1]].copy()
    return replace(entry, top=entry.top + top, left=entry.left + left, mask=mask, shares=shares)


def part_in(one: Instance, other: Instance) -> NDArray[np.bool_]:
    """Return the pixels of another object in the box (h, w) of one, which its own box meets."""
    found = np.zeros(one.mask.shape, np.bool_)
    top, bottom = max(one.top, other.top), min(one.rows.stop, other.rows.stop)
    left, right = max(one.left, other.left), min(one.columns.stop, other.columns.stop)
    part = other.mask[top - other.top : bottom - other.top, left - other.left : right - other.left]
    found[top - one.top : bottom - one.top, left - one.left : right - one.left] = part
    return found


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
