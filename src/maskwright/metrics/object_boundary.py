"""Boundary IoU of pairs of objects (Cheng et al. 2021): IoU of the bands along the inside of both outlines.

A large object cannot hide a wrong outline from it. The band is as wide as 2 % of the image's diagonal, so of an object
that is not wider than two bands it is the IoU.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.instances import Instance
from maskwright.metrics.boundary import band_width
from maskwright.ops.instance_maps import common_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.instances import Instances


def boundary_ious(
    truth: Instances, found: Instances, pairs: NDArray[np.int32], outside: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return the boundary IoU (p,) of pairs of objects of one image.

    Args:
        truth: annotated objects.
        found: predicted objects.
        pairs: (p, 2), place in `truth`, place in `found`.
        outside: bool (H, W), pixels that belong to no predicted object, whatever it holds; None for none.
    """
    side = 2 * band_width(truth.size) + 1
    square = np.ones((side, side), np.uint8)
    true = {place: _banded(truth.objects[place], square) for place in set(pairs[:, 0].tolist())}
    seen = {place: _banded(_seen(found.objects[place], outside), square) for place in set(pairs[:, 1].tolist())}
    return np.array([_iou(true[one], seen[other]) for one, other in pairs.tolist()], np.float64)


def _seen(entry: Instance, outside: NDArray[np.bool_] | None) -> Instance:
    return entry if outside is None else replace(entry, mask=entry.mask & ~outside[entry.rows, entry.columns])


def _banded(entry: Instance, square: NDArray[np.uint8]) -> tuple[Instance, int]:
    """Return the pixels around which the square holds others, which begin beyond the image too, and their number."""
    mask = entry.mask
    if min(mask.shape) >= len(square):  # otherwise that is all of them
        pixels = mask.astype(np.uint8)
        mask = pixels > cv2.erode(pixels, square, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
        entry = Instance(entry.index, entry.top, entry.left, mask)
    return entry, int(np.count_nonzero(mask))


def _iou(ours: tuple[Instance, int], theirs: tuple[Instance, int]) -> float:
    shared = common_pixels(ours[0], theirs[0])
    return shared / (ours[1] + theirs[1] - shared)
