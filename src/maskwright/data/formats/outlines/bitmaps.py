"""Masks inside annotation files: an encoded picture or runs of pixels, placed on the image. Opens no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.data.formats.outlines.shapes import Drawing, box_of
from maskwright.data.painting import near
from maskwright.ops import rle as rle_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.data.formats.outlines.shapes import Ring


def from_picture(content: bytes) -> NDArray[np.bool_]:
    """Decode a PNG to a mask (h, w): where it is opaque if it has an alpha channel, otherwise where it is not 0.

    Raises:
        ValueError: it is not a picture.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError("a mask is not a PNG")
    if pixels.ndim == 2:
        return pixels != 0
    return pixels[..., 3] != 0 if pixels.shape[2] == 4 else pixels.any(axis=2)


def from_runs(runs: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode alternating runs of 0 and 1, row by row, to a mask (h, w).

    Raises:
        ValueError: the runs are negative, or do not fill the mask.
    """
    if min(size) < 0 or any(run < 0 for run in runs) or sum(runs) != size[0] * size[1]:
        raise ValueError(f"a mask of {sum(runs)} pixels does not fit {size[1]}x{size[0]}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size)


def filled(label: str | None, rings: Sequence[Ring], size: tuple[int, int]) -> Drawing:
    """Fill a polygon of pixels, of which the first ring is the outer one and the others are holes, edges included."""
    box = box_of(rings[0])
    left, top = max(0, int(box[0])), max(0, int(box[1]))
    shape = min(size[0], int(box[3]) + 1) - top, min(size[1], int(box[2]) + 1) - left
    mask = np.zeros(np.maximum(shape, 0), np.uint8)
    for place, ring in enumerate(rings if mask.size else ()):
        corners = near(np.reshape(ring, (-1, 2)).astype(np.float64), size).round().astype(np.int32)
        if len(corners):
            cv2.fillPoly(mask, [corners], int(place == 0), offset=(-left, -top))
    if not mask.any():
        return Drawing(label, box=box, kind="outside")
    return Drawing(label, rle=rle_codes.encode(mask, size, (top, left)), box=(*box[:2], box[2] + 1, box[3] + 1))


def pasted(label: str | None, mask: NDArray[Any], origin: tuple[int, int], size: tuple[int, int]) -> Drawing:
    """Place a mask (h, w) at (row, column) of an image (H, W), and cut off what is outside."""
    top, left = origin
    inside = mask[max(0, -top) : max(0, size[0] - top), max(0, -left) : max(0, size[1] - left)]
    if not mask.any():
        box = (float(left), float(top), float(left + mask.shape[1]), float(top + mask.shape[0]))
        return Drawing(label, box=box, kind="flat")
    rows, columns = (np.flatnonzero(mask.any(axis=axis)).tolist() for axis in (1, 0))
    box = (float(left + columns[0]), float(top + rows[0]), left + columns[-1] + 1.0, top + rows[-1] + 1.0)
    if not inside.any():
        return Drawing(label, box=box, kind="outside")
    return Drawing(label, rle=rle_codes.encode(inside, size, (max(0, top), max(0, left))), box=box)
