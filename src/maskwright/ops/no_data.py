"""Pixels without data: where nothing was measured. Knows no file.

An image says so by NaN or infinity, or, if its numbers are integers, by the mask of a NumPy masked array, as rasterio
gives them. A pixel has no data if no channel has any. A single value that is missing is filled, and its pixel counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def with_holes(image: NDArray[Any], *values: float | None) -> NDArray[Any]:
    """Mark what equals one of the values as missing.

    Of unsigned integers, where the value is often a colour too (0, 255), only pixels that have it in all channels are
    missing.

    Args:
        image: (H, W) or (H, W, C), any real dtype.
        values: that stand for "no data"; None, and what the dtype cannot hold, are skipped.

    Returns:
        The image itself if nothing equals them; else floats with NaN, or a masked array of integers.
    """
    equal = [found for value in values if value is not None and (found := _equal(image, value)) is not None]
    if not equal:
        return image
    holes = np.logical_or.reduce(equal)
    if image.dtype.kind == "u" and image.ndim == 3:
        holes = np.repeat(holes.all(axis=2, keepdims=True), image.shape[2], axis=2)
    if not holes.any():
        return image
    if image.dtype.kind == "f":
        return np.where(holes, image.dtype.type(np.nan), image)
    return np.ma.masked_array(image, holes)


def without(image: NDArray[Any], holes: NDArray[np.bool_]) -> NDArray[Any]:
    """Mark the pixels `holes` (H, W) of an image (H, W, C) as missing, beside those that are missing already."""
    everywhere = np.repeat(holes[..., None], image.shape[2], axis=2)
    if image.dtype.kind == "f":
        return np.where(everywhere, image.dtype.type(np.nan), image)
    return np.ma.masked_array(np.asarray(image), np.ma.getmaskarray(image) | everywhere)


def with_nan(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image as contiguous float32, with NaN wherever a value is missing."""
    gone = missing(image)
    with np.errstate(over="ignore"):  # What does not fit becomes infinite, and so missing.
        numbers = np.ascontiguousarray(np.asarray(image), dtype=np.float32)
    more = missing(numbers) if gone is None else gone
    if more is None:
        return numbers
    return np.where(more, np.float32(np.nan), numbers)


def missing(image: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which values of an image, (H, W) or (H, W, C), are missing; None if none is."""
    found: NDArray[np.bool_] | None = np.ma.getmaskarray(image) if isinstance(image, np.ma.MaskedArray) else None
    numbers = np.asarray(image)
    if numbers.dtype.kind == "f" and not _all_finite(numbers):
        found = ~np.isfinite(numbers) if found is None else found | ~np.isfinite(numbers)
    return found if found is not None and found.any() else None


def no_data(image: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which pixels (H, W) of an image have no data in any channel; None if there are none."""
    found = missing(image)
    if found is not None and found.ndim == 3:
        found = np.asarray(found.all(axis=2))
    return found if found is not None and found.any() else None


def _all_finite(numbers: NDArray[Any]) -> bool:
    # The sum is finite only if every value is, short of overflow; it costs a fraction of an element-wise test.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(numbers.sum(dtype=np.float64)) or np.isfinite(numbers).all())


def _equal(image: NDArray[Any], value: float) -> NDArray[np.bool_] | None:
    """Compare with a value in the image's own dtype; None if the dtype cannot hold it."""
    if image.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(image == image.dtype.type(value))
    limits = np.iinfo(image.dtype)
    if not limits.min <= value <= limits.max or value != int(value):  # NaN fails the first comparison
        return None
    return np.asarray(image == int(value))
