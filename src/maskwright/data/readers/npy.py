"""NumPy's .npy files, never with pickled objects inside. Knows no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.readers.arrays import RawMask, bands_last, plain_mask, plain_pixels, require_room
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef


def size(ref: ImageRef, kind: str) -> tuple[int, int]:
    """Return (height, width) in pixels, from the header alone."""
    array = bands_last(_mapped(ref, kind))
    return array.shape[0], array.shape[1]


def image(ref: ImageRef, kind: str) -> NDArray[Any]:
    """Read (H, W), (H, W, C) or (C, H, W) as (H, W, C)."""
    # A copy: mapped pixels would change with the file.
    return plain_pixels(ref, bands_last(np.array(_mapped(ref, kind))))


def mask(ref: ImageRef, kind: str) -> RawMask:
    """Read values (H, W) or colours (H, W, 3)."""
    return plain_mask(ref, np.array(_mapped(ref, kind)))


def _mapped(ref: ImageRef, kind: str) -> NDArray[Any]:
    try:
        array = np.load(ref.path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DecodeError(
            "truncated" if "mmap length" in str(error) else "unreadable",
            ref,
            f"cannot be read as a {kind} array ({error})",
            "save it with numpy.save as plain numbers, or remove it",
        ) from None
    if array.ndim not in {2, 3}:
        message = f"has shape {'x'.join(str(length) for length in array.shape)}, but an image is HxW or HxWxC"
        raise DecodeError("unreadable", ref, message, "save it in one of these shapes")
    last = bands_last(array)
    require_room(ref, last.shape[:2], last.shape[2] * max(4, array.dtype.itemsize))
    return array
