"""An image as planes that superpixels compare: colour, and a regular grid to start from. Knows no method."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.ops.no_data import with_nan

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAB_UNIT = 25.0
"""CIELAB units that count as 1; with it, the lightness of an image goes from 0 to 4."""


def colours(image: NDArray[Any]) -> NDArray[np.float32]:
    """Turn an image into planes whose Euclidean distance is a difference of colour.

    Three channels are RGB and become CIELAB. Others are used as they are, each from 0 to 4 / sqrt(C / 3), at most 4.
    Values of 8 bits go from 0 to 255. Of others, the lowest and the highest value in use are stretched to this range:
    of RGB those of all channels together, else those of each channel. A missing value (NaN, infinity, or masked)
    becomes the mean of its channel.

    Args:
        image: (H, W) or (H, W, C), any real dtype.

    Returns:
        float32 (H, W, C).

    Raises:
        MaskwrightError: the array is not an image.
    """
    bands = _from_0_to_1(_image(image))
    channels = bands.shape[2]
    if channels == 3:
        return np.asarray(cv2.cvtColor(bands, cv2.COLOR_RGB2LAB)) * np.float32(1 / LAB_UNIT)
    return bands * np.float32(4 / math.sqrt(max(channels / 3, 1)))


def check(image: NDArray[Any], count: int, compactness: float) -> None:
    """Refuse what no method can do.

    Raises:
        MaskwrightError: the array is no image, there cannot be so many superpixels, or the compactness is negative.
    """
    height, width = _image(image).shape[:2]
    if not 1 <= count <= height * width:
        raise MaskwrightError(
            f"count is {count}, but an image of {width}x{height} pixels can have 1 to {height * width} superpixels: "
            "choose a `count` in this range",
            "count",
        )
    if not 0 <= compactness < math.inf:
        raise MaskwrightError(
            f"compactness is {compactness}, but it must be 0 or more and finite: set `compactness=1` for the usual "
            "shape, or more for rounder superpixels",
            "compactness",
        )


def slope(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length (H, W) of the gradient over all planes (H, W, C), by Sobel's operator, per pixel."""
    squares = np.zeros(colour.shape[:2], np.float32)
    for channel in range(colour.shape[2]):
        plane = np.ascontiguousarray(colour[:, :, channel])
        for across, down in ((1, 0), (0, 1)):
            squares += np.square(
                cv2.Sobel(plane, cv2.CV_32F, across, down, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
            )
    return np.sqrt(squares)


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


def _image(image: NDArray[Any]) -> NDArray[Any]:
    if image.ndim not in {2, 3} or 0 in image.shape or image.dtype.kind not in "buif":
        raise MaskwrightError(
            f"an array of {image.dtype} with shape {image.shape} is not an image: give real numbers (height, width) "
            "or (height, width, channels), all above 0"
        )
    return image if image.ndim == 3 else image[:, :, None]


def _from_0_to_1(image: NDArray[Any]) -> NDArray[np.float32]:
    """Stretch the values (H, W, C) to 0..1, with the mean where one is missing."""
    bands = with_nan(image)
    gone = np.isnan(bands) if np.isnan(bands.sum(dtype=np.float64)) else None
    if gone is not None:
        known = np.where(gone, 0, bands).sum((0, 1), dtype=np.float64) / np.maximum((~gone).sum((0, 1)), 1)
        bands = np.where(gone, known.astype(np.float32), bands)
    if image.dtype == np.uint8:
        return bands * np.float32(1 / 255)
    axes = (0, 1, 2) if image.shape[2] == 3 else (0, 1)
    low = bands.min(axes, keepdims=True).astype(np.float64)
    span = bands.max(axes, keepdims=True).astype(np.float64) - low
    return np.asarray((bands - low) / np.where(span > 0, span, 1), np.float32)
