"""Optical flow: where each pixel of a picture was in the one before. Knows no network.

Kroeger, Timofte, Dai, Van Gool 2016, "Fast Optical Flow using Dense Inverse Search", as OpenCV has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 640  # longer pictures are made smaller for the search, which takes time in proportion to their pixels
ALPHA = 50.0


def origins(now: NDArray[np.uint8], before: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return where in `before` each pixel of `now` was.

    Args:
        now: RGB (H, W, 3).
        before: the same of an earlier picture.

    Returns:
        float32 (H, W, 2), x and y in pixels, which may lie outside.
    """
    height, width = now.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    greys = [
        cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), small, interpolation=cv2.INTER_AREA)
        for picture in (now, before)
    ]
    moved = np.zeros((small[1], small[0], 2), np.float32)
    if min(small) >= 16:  # the least that the search takes
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        moved = search.calc(greys[0], greys[1], None)
    if small != (width, height):
        moved = cv2.resize(moved, (width, height)) * np.array([width / small[0], height / small[1]], np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.asarray(moved + np.stack([x, y], axis=2), np.float32)


def agreement(now: NDArray[np.uint8], before: NDArray[np.uint8], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far each pixel of `now` looks like its place in `before`: exp(-50 d^2), d in colours of 0..1.

    The weight of Lai et al. 2018, "Learning Blind Video Temporal Consistency", eq. 5. A place outside has 0.

    Args:
        now: RGB (H, W, 3).
        before: the same of an earlier picture.
        places: of `origins`.

    Returns:
        float32 (H, W).
    """
    there = cv2.remap(before, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    squares = np.square(cv2.subtract(now, there, dtype=cv2.CV_32F)).sum(axis=2) / np.float32(255**2)
    limit = np.array([now.shape[1] - 1, now.shape[0] - 1], np.float32)
    inside = ((places >= 0) & (places <= limit)).all(axis=2)
    return np.where(inside, np.exp(np.float32(-ALPHA) * squares), np.float32(0))


def moved_labels(labels: NDArray[np.uint8], places: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the label (H, W) at each place, of the nearest pixel."""
    return np.asarray(
        cv2.remap(labels, places[..., 0], places[..., 1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    )
