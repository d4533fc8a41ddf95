"""The shape of one mask in numbers, defined as in scikit-image's `regionprops`, which takes four times as long.

Knows no image and no unit but pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_NEIGHBOURS = np.array([[10, 2, 10], [2, 1, 2], [10, 2, 10]], np.float32)
_STEPS = np.zeros(50)
"""Length of the outline at an edge pixel, by the sum of `_NEIGHBOURS` over the edge pixels around it."""
_STEPS[[5, 7, 15, 17, 25, 27]] = 1
_STEPS[[21, 33]] = math.sqrt(2)
_STEPS[[13, 23]] = (1 + math.sqrt(2)) / 2


@dataclass(frozen=True)
class Shape:
    """What a mask looks like.

    Attributes:
        area: its pixels.
        row, column: of its centroid; that of the first pixel is 0, 0.
        perimeter: length of the line through the centres of its edge pixels (Benkrid and Crookes 2000).
        major_axis, minor_axis: of the ellipse with the same second moments.
        orientation: of the major axis against the x axis in degrees, counterclockwise on the screen, from 0 to 180.
        eccentricity: of that ellipse.
        solidity: its pixels over those of its convex hull.
    """

    area: int
    row: float
    column: float
    perimeter: float
    major_axis: float
    minor_axis: float
    orientation: float
    eccentricity: float
    solidity: float


def shape_of(mask: NDArray[np.bool_]) -> Shape:
    """Measure a mask (h, w) with at least one pixel."""
    rows, columns = np.nonzero(mask)
    area, down, across = len(rows), int(rows.sum()), int(columns.sum())
    # Second moments times the squared area are whole numbers: equal ones are found equal.
    tall, wide, slope = (
        area * int(one @ other) - first * second
        for one, other, first, second in (
            (rows, rows, down, down),
            (columns, columns, across, across),
            (rows, columns, down, across),
        )
    )
    gap = math.hypot(tall - wide, 2 * slope)
    large, small = (tall + wide + gap) / 2, max(tall + wide - gap, 0) / 2
    turned = math.atan2(2 * slope, tall - wide) / 2 if gap else -math.pi / 4
    return Shape(
        area=area,
        row=down / area,
        column=across / area,
        perimeter=_perimeter(mask),
        major_axis=4 * math.sqrt(large) / area,
        minor_axis=4 * math.sqrt(small) / area,
        orientation=(90 + math.degrees(turned)) % 180,
        eccentricity=math.sqrt(1 - small / large) if large else 0.0,
        solidity=area / _hull_pixels(mask),
    )


def _perimeter(mask: NDArray[np.bool_]) -> float:
    padded = np.pad(mask, 1).astype(np.uint8)
    edge = padded - cv2.erode(padded, _CROSS)
    codes = cv2.filter2D(edge, -1, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
    return float(np.bincount(codes.ravel(), minlength=len(_STEPS)) @ _STEPS)


def _hull_pixels(mask: NDArray[np.bool_]) -> int:
    """Count the pixels whose centres lie in the convex hull of the middles of all pixel edges, or on its border.

    In half pixels all coordinates are whole numbers, and so nothing is rounded.
    """
    places = 2 * np.arange(len(mask))
    ends = np.stack([mask.argmax(axis=1), mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)]) * 2
    full = mask.any(axis=1)
    pixels = np.stack([ends[:, full].ravel(), np.tile(places[full], 2)], axis=1)
    middles = (pixels[:, None] + np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])).reshape(-1, 2)
    corners = cv2.convexHull(middles.astype(np.int32), clockwise=False)[:, 0].astype(np.int64)
    x, y = corners.T
    run, rise = (np.roll(side, -1) - side for side in (x, y))
    # Right of each edge: run * (row - y) >= rise * (column - x), solved for the column.
    most = run[:, None] * (places - y[:, None]) + (rise * x)[:, None]
    right = (most[rise > 0] // (2 * rise[rise > 0])[:, None]).min(axis=0)
    left = -(most[rise < 0] // (-2 * rise[rise < 0])[:, None]).min(axis=0)
    return int(np.maximum(right - left + 1, 0).sum())
