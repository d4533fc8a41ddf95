"""How many superpixels an image can have, and the grids that they start from. Knows no method."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.classic.planes import check_image
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLIT_SHARE = 0.5
"""Share of the cells that come from splitting. Measured on photographs: 0 explains 0.5 % less of the variation."""
MOST_COMPACT = 1e6
"""More would overflow, and changes nothing: the superpixels are the cells of a grid already."""


def check(image: NDArray[Any], count: int, compactness: float, *, exact: bool = True) -> None:
    """Refuse what no method can do; `exact` means that there will be `count` superpixels, so that many must fit.

    Raises:
        MaskwrightError: the array is no image, there cannot be so many superpixels, or the compactness is
            outside its range.
    """
    check_image(image)
    height, width = image.shape[:2]
    most = height * width if exact else math.inf
    if not (isinstance(count, Real) and 1 <= count <= most and count == int(count)):
        raise MaskwrightError(
            f"count is {count}, but an image of {width}x{height} pixels can have 1 to {height * width} superpixels: "
            "choose a whole `count` in this range",
            "count",
        )
    if not (isinstance(compactness, Real) and 0 <= compactness <= MOST_COMPACT):
        raise MaskwrightError(
            f"compactness is {compactness}, but it must be within 0..{MOST_COMPACT:g}: set `compactness=1` for the "
            "usual shape, or more for rounder superpixels",
            "compactness",
        )


def grid(size: tuple[int, int], count: int) -> NDArray[np.int32]:
    """Divide an image of `size` into exactly `count` cells, about as high as wide: labels 0..count-1 (H, W).

    Every cell is a rectangle of at least one pixel. Some rows of cells may have one cell more than others.
    """
    height, width = size
    rows = round(math.sqrt(count * height / width))
    rows = min(max(rows, -(-count // width), 1), height, count)
    first = np.arange(rows + 1) * count // rows
    row = np.arange(height) * rows // height
    cells = np.diff(first)[row]
    return np.asarray(first[row][:, None] + np.arange(width) * cells[:, None] // width, np.int32)


def uneven_grid(sums: NDArray[np.float32], sizes: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    """Divide blocks of pixels into exactly `count` rectangles: labels 0..count-1 (H, W).

    A regular grid of fewer cells comes first. Then the cells whose colours vary most are halved across their longer
    side, in rounds that each add half of what is missing.

    Args:
        sums: of the colours of each block (C, H, W).
        sizes: pixels of each block (H, W).
        count: from 1 to H * W.
    """
    boxes = _boxes(grid(sizes.shape, count - int(SPLIT_SHARE * count)))
    squares = np.square(sums).sum(axis=0) / sizes
    table = np.pad(np.dstack((*sums, sizes, squares)).astype(np.float64), ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    while len(boxes) < count:
        single = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) == 1
        ranked = np.argsort(np.where(single, np.inf, -_variation(table, boxes)), kind="stable")
        parted = ranked[: min(-(-(count - len(boxes)) // 2), np.count_nonzero(~single))]
        first, second = _halves(boxes[parted])
        boxes[parted] = first
        boxes = np.concatenate((boxes, second))
    labels = np.empty(sizes.shape, np.int32)
    for number, (top, left, bottom, right) in enumerate(boxes.tolist()):
        labels[top:bottom, left:right] = number
    return labels


def _boxes(cells: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return top, left, bottom and right (K, 4) of the rectangles of a grid; the last two lie behind it."""
    order = np.argsort(cells.ravel(), kind="stable")
    sizes = np.bincount(cells.ravel())
    ends = np.cumsum(sizes)
    corners = (np.divmod(order[places], cells.shape[1]) for places in (ends - sizes, ends - 1))
    (top, left), (bottom, right) = corners
    return np.column_stack((top, left, bottom + 1, right + 1))


def _variation(table: NDArray[np.float64], boxes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the squared distances of the colours in each box from their mean, from a table of sums from the origin."""
    top, left, bottom, right = boxes.T
    sums = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    return np.asarray(sums[:, -1] - np.square(sums[:, :-2]).sum(axis=1) / sums[:, -2])


def _halves(boxes: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Cut each box across its longer side."""
    first, second = boxes.copy(), boxes.copy()
    rows, columns = (boxes[:, 2:] - boxes[:, :2]).T
    axis, places = np.where(rows >= columns, 0, 1), np.arange(len(boxes))
    middle = (boxes[places, axis] + boxes[places, axis + 2]) // 2
    first[places, axis + 2] = middle
    second[places, axis] = middle
    return first, second
