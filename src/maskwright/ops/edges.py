"""The geometry of edges: edges of one pixel from soft or thick ones, and lines from pixels. Knows no truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEIGHBOURS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""Steps (rows, columns) to the neighbours x1 to x8: the one to the right first, then against the clock."""


def thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask (H, W) to lines of one pixel, with the same pieces and holes.

    Guo and Hall 1989, "Parallel Thinning with Two-Subiteration Algorithms", algorithm A1, as bwmorph of MATLAB and
    `skimage.morphology.thin` apply it. Beyond the image nothing is set.
    """
    image = mask.astype(np.uint8)
    while True:
        before = image
        for kept in _KEPT:
            codes = cv2.filter2D(image, cv2.CV_8U, _POWERS, borderType=cv2.BORDER_CONSTANT)
            image = image & cv2.LUT(codes, kept)
        if np.array_equal(image, before):
            return image.astype(np.bool_)


def _powers() -> NDArray[np.float32]:
    """Return the kernel (3, 3) that encodes eight neighbours as a number of eight bits, x1 the lowest."""
    kernel = np.zeros((3, 3), np.float32)
    for bit, (down, across) in enumerate(_NEIGHBOURS):
        kernel[1 + down, 1 + across] = 1 << bit
    return kernel


def _kept() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return two tables (256), one a subiteration: whether a pixel stays, by the code of its neighbours."""
    x = [None, *((np.arange(256) >> bit & 1).astype(np.bool_) for bit in range(8))]
    x.append(x[1])
    odd = range(1, 9, 2)
    crossings = sum((~x[i] & (x[i + 1] | x[i + 2])).astype(int) for i in odd)
    pairs = np.minimum(
        sum((x[i] | x[i + 1]).astype(int) for i in odd), sum((x[i + 1] | x[i + 2]).astype(int) for i in odd)
    )
    removable = (crossings == 1) & (pairs >= 2) & (pairs <= 3)
    first = (x[2] | x[3] | ~x[8]) & x[1]
    second = (x[6] | x[7] | ~x[4]) & x[5]
    return tuple((~(removable & ~sides)).astype(np.uint8) for sides in (first, second))


_POWERS = _powers()
_KEPT = _kept()
