"""Errors of label maps by place: distance to a border between regions, distance to the frame, size of the region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.classes import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

BORDER_ENDS = (2, 5, 10, 20)
"""Ends of the zones around borders between regions, in pixels; the last zone has no end."""
FRAME_ENDS = (0.02, 0.05, 0.1)
"""Ends of the zones along the frame, as shares of the shorter side of the image; the last zone has no end."""
SIZE_ENDS = (8, 16, 32, 64, 128)
"""Ends of the diameters of regions, in pixels; a diameter is that of a circle of the same area."""


def place_counts(labels: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Count pixels by their place, class and whether they are wrong.

    Args:
        labels: predicted, (H, W).
        truth: (H, W), class indices or `IGNORE`; such pixels do not count.
        classes: number of classes K.

    Returns:
        (frame zones, border zones, K, 2): right and wrong pixels.
    """
    shape = (len(FRAME_ENDS) + 1, len(BORDER_ENDS) + 1, classes, 2)
    known = truth != IGNORE
    border = np.digitize(border_distance(truth)[known], BORDER_ENDS)
    frame = np.digitize(frame_distance(truth.shape[0], truth.shape[1])[known] / min(truth.shape), FRAME_ENDS)
    actual, wrong = truth[known].astype(np.intp), (labels != truth)[known]
    codes = np.ravel_multi_index((frame, border, actual, wrong.astype(np.intp)), shape)
    return np.bincount(codes, minlength=int(np.prod(shape))).reshape(shape)


def border_distance(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the distance (H, W) in pixels to the nearest pixel at a border between regions; infinite without one."""
    away = np.ones(labels.shape, np.uint8)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    for part, differs in ((away[1:], down), (away[:-1], down), (away[:, 1:], across), (away[:, :-1], across)):
        part[differs] = 0
    if away.all():
        return np.full(labels.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def frame_distance(height: int, width: int) -> NDArray[np.float32]:
    """Return the distance (H, W) in pixels to the frame of the image, 0 for its outermost pixels."""
    rows, columns = (np.minimum(np.arange(side), np.arange(side)[::-1]) for side in (height, width))
    return np.minimum(rows[:, None], columns[None, :]).astype(np.float32)


def region_counts(
    labels: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int, background: int | None
) -> NDArray[np.int64]:
    """Count the connected regions of the truth by size, and those of which more than half of the pixels are right.

    Args:
        labels: predicted, (H, W).
        truth: (H, W), class indices or `IGNORE`.
        classes: number of classes.
        background: a class without regions of interest.

    Returns:
        (sizes, 2): regions, and those found.
    """
    counts = np.zeros((len(SIZE_ENDS) + 1, 2), np.int64)
    for index in set(range(classes)) - {background}:
        inside = (truth == index).view(np.uint8)
        if not inside.any():
            continue
        number, places = cv2.connectedComponents(inside, connectivity=8)
        pixels = np.bincount(places.ravel(), minlength=number)[1:]
        right = np.bincount(places[labels == index], minlength=number)[1:]
        sizes = np.digitize(2 * np.sqrt(pixels / np.pi), SIZE_ENDS)
        np.add.at(counts[:, 0], sizes, 1)
        np.add.at(counts[:, 1], sizes, 2 * right > pixels)
    return counts
