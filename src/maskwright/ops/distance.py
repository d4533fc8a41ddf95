"""Edges of regions and exact distances between them. Knows label maps and points, no classes and no scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAIRS_A_PIXEL = 64
"""Number of pairs per pixel of the box at which comparing all pairs takes as long as two distance transforms."""
PAIRS_AT_ONCE = 1 << 16
"""Pairs compared in one block, which fits into the processor cache: 256 KiB of float32."""
LONGEST_SIDE = 2048
"""Squared distances in a box of this side are whole numbers below 2^24, which float32 adds exactly in any order."""


def contour(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the pixels (H, W) that touch another label on one of four sides, or touch the image border.

    For each label these are the pixels that an erosion by a cross removes.

    Args:
        labels: label map (H, W).
    """
    edge = np.zeros(labels.shape, np.bool_)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[[0, -1]] = True
    edge[:, [0, -1]] = True
    return edge


def band(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Mark the pixels (H, W) within `width` of another label or of the border; a diagonal step counts as one.

    For each label these are the pixels that `width` erosions by a 3x3 square remove.

    Args:
        labels: label map (H, W).
        width: in pixels, 1 or more.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    near = np.asarray(cv2.erode(labels, square) != cv2.dilate(labels, square))
    near[:width] = True
    near[-width:] = True
    near[:, :width] = True
    near[:, -width:] = True
    return near


def nearest_distances(
    first: NDArray[np.intp], second: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the exact distance from every point to the nearest point of the other set.

    Args:
        first: (n, 2) rows and columns, n > 0.
        second: (m, 2), m > 0.

    Returns:
        Distances (n,) from `first` to `second`, and (m,) from `second` to `first`, in pixels.
    """
    low = np.minimum(first.min(0), second.min(0))
    height, width = np.maximum(first.max(0), second.max(0)) - low + 1
    first, second = first - low, second - low
    if len(first) * len(second) <= PAIRS_A_PIXEL * height * width and max(height, width) <= LONGEST_SIDE:
        return _by_pairs(first, second)
    return _by_transform(first, second, (height, width)), _by_transform(second, first, (height, width))


def signed_distance(inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the exact signed distance of the pixels inside and outside a region to the edge of the region.

    Args:
        inside: (H, W), pixels of the region.
        outside: (H, W), pixels around the region; pixels in neither have no distance, and none is measured to them.

    Returns:
        (H, W), in pixels: distance to the nearest pixel of the other kind minus half a pixel, positive outside and
        negative inside; 0 elsewhere, and everywhere if one kind has no pixel.
    """
    field = np.zeros(inside.shape, np.float32)
    if inside.any() and outside.any():
        to_inside, to_outside = (_field(kind) for kind in (inside, outside))
        field[outside] = to_inside[outside] - 0.5
        field[inside] = 0.5 - to_outside[inside]
    return field


def _field(to: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance (H, W) of each pixel to the nearest pixel that is set."""
    away = np.where(to, 0, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def _by_transform(points: NDArray[np.intp], to: NDArray[np.intp], size: tuple[int, int]) -> NDArray[np.float32]:
    """Read the distances (n,) from the exact distance transform (Felzenszwalb and Huttenlocher 2012) of `to`."""
    there = np.zeros(size, np.bool_)
    there[to[:, 0], to[:, 1]] = True
    return _field(there)[points[:, 0], points[:, 1]]


def _by_pairs(first: NDArray[np.intp], second: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compare all pairs: |a - b|^2 = (-2a, |a|^2, 1) . (b, 1, |b|^2), one matrix product a block."""
    left = np.column_stack([-2 * first, (first * first).sum(1), np.ones(len(first))]).astype(np.float32)
    right = np.vstack([second.T, np.ones(len(second)), (second * second).sum(1)]).astype(np.float32)
    step = max(1, PAIRS_AT_ONCE // len(second))
    there = np.empty(len(first), np.float32)
    back = np.full(len(second), np.inf, np.float32)
    for start in range(0, len(first), step):
        squares = left[start : start + step] @ right
        squares.min(axis=1, out=there[start : start + step])
        np.minimum(back, squares.min(axis=0), out=back)
    return np.sqrt(there), np.sqrt(back)
