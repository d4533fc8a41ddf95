"""Swaps of a part of an image for that of another image: corners, frame, background, colour. Knows no model.

A swap leaves the objects as they are, so a model that looks at the objects says the same as before. Where the two
images differ in size, the other one is stretched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.ops.draw import to_rgb8
from maskwright.ops.images import resize_image
from maskwright.ops.no_data import no_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CORNER = 0.2
"""Side of the square in each corner, as a share of the shorter side of the image."""
STRIP = 0.1
"""Width of the strip along the frame, as a share of the shorter side."""
AWAY = 0.03
"""Distance that swapped background keeps from objects, as a share of the shorter side."""
CORNERS = ("top left", "top right", "bottom left", "bottom right")
SIDES = ("top", "bottom", "left", "right")


def corner(size: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of one corner of an image of `size` (height, width)."""
    side = max(1, round(CORNER * min(size)))
    mask = np.zeros(size, np.bool_)
    rows = slice(None, side) if "top" in name else slice(-side, None)
    columns = slice(None, side) if "left" in name else slice(-side, None)
    mask[rows, columns] = True
    return mask


def corners(size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of all four corners."""
    return np.logical_or.reduce([corner(size, name) for name in CORNERS])


def side(size: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of the strip along one side, but for those of the corners."""
    width = max(1, round(STRIP * min(size)))
    mask = np.zeros(size, np.bool_)
    turned = mask.T if name in {"left", "right"} else mask
    turned[slice(None, width) if name in {"top", "left"} else slice(-width, None)] = True
    return mask & ~corners(size)


def frame(size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of the strip along the whole frame, but for those of the corners."""
    return np.logical_or.reduce([side(size, name) for name in SIDES])


def background(truth: NDArray[np.uint8], donor: NDArray[np.uint8], index: int) -> NDArray[np.bool_]:
    """Return the pixels (H, W) that show background in both images, away from objects, corners and frame.

    Args:
        truth: class indices (H, W).
        donor: class indices of the other image, of any size.
        index: of the background.
    """
    size = truth.shape[0], truth.shape[1]
    other = cv2.resize(donor, size[::-1], interpolation=cv2.INTER_NEAREST)
    plain = ((truth == index) & (other == index)).astype(np.uint8)
    reach = 2 * max(1, round(AWAY * min(size))) + 1
    plain = cv2.erode(plain, np.ones((reach, reach), np.uint8))
    return (plain > 0) & ~corners(size) & ~frame(size)


def pasted(image: NDArray[Any], donor: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Return an image with the pixels `mask` (H, W) of another, which has the same dtype and channels."""
    other = resize_image(np.asarray(donor), (image.shape[0], image.shape[1]))
    changed = image.copy()
    changed[mask] = other.reshape(image.shape)[mask]
    return changed


def recoloured(
    image: NDArray[Any],
    donor: NDArray[Any],
    plain: NDArray[np.bool_] | None = None,
    donor_plain: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Return an image with the colours of another: mean and spread of each channel.

    Reinhard et al. 2001, "Color Transfer between Images", in the image's own channels instead of l-alpha-beta, since
    images may have any channels.

    Args:
        image: (H, W) or (H, W, C).
        donor: of the same dtype and channels, of any size.
        plain: pixels (H, W) to measure the colours on; None for all.
        donor_plain: those of the other image.
    """
    mean, spread = _colours(image, plain)
    other_mean, other_spread = _colours(donor, donor_plain)
    factor = np.clip(other_spread / np.maximum(spread, 1e-6), 0.5, 2.0)
    changed = (np.asarray(image, np.float32) - mean) * factor + other_mean
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        changed = np.clip(np.round(changed), limits.min, limits.max)
    return _like(image, changed)


def grey(image: NDArray[Any]) -> NDArray[Any] | None:
    """Return an image with the mean of its channels in each; None for an image that has no colours."""
    if image.ndim != 3 or image.shape[2] != 3:
        return None
    mean = np.asarray(image, np.float32).mean(2, keepdims=True)
    return _like(image, np.repeat(np.round(mean) if image.dtype.kind in "ui" else mean, 3, axis=2))


def _like(image: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return values in the dtype of an image, missing where its own are."""
    changed = values.astype(image.dtype)
    return np.ma.masked_array(changed, image.mask) if isinstance(image, np.ma.MaskedArray) else changed


def _colours(image: NDArray[Any], plain: NDArray[np.bool_] | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation (C,) of the channels over the pixels `plain` that have data."""
    gone = no_data(image)
    chosen = np.ones(image.shape[:2], np.bool_) if plain is None or not plain.any() else plain
    if gone is not None and (chosen & ~gone).any():
        chosen = chosen & ~gone
    values = np.asarray(image, np.float32)[chosen]
    return np.asarray(np.nanmean(values, axis=0)), np.asarray(np.nanstd(values, axis=0))


def side_by_side(pictures: list[NDArray[Any]]) -> NDArray[np.uint8]:
    """Return pictures of one height in a row, with a white gap between them, RGB (H, W, 3)."""
    gap = np.full((pictures[0].shape[0], max(2, pictures[0].shape[1] // 40), 3), 255, np.uint8)
    row: list[NDArray[np.uint8]] = []
    for picture in pictures:
        row += [to_rgb8(picture), gap]
    return np.concatenate(row[:-1], axis=1)


PARTS: dict[str, tuple[tuple[str, ...], Callable[[tuple[int, int], str], NDArray[np.bool_]]]] = {
    "corners": (CORNERS, corner),
    "frame": (SIDES, side),
}
"""Swap -> the parts that it is made of, and the pixels of each."""
