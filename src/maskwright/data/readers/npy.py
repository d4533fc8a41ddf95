"""NumPy's .npy files, never with pickled objects inside. Knows no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.readers.arrays import RawMask, bands_last, plain_mask, plain_pixels, require_room
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def size(path: Path, kind: str) -> tuple[int, int]:
    """Return (height, width) from the header alone."""
    array = bands_last(_mapped(path, kind))
    return array.shape[0], array.shape[1]


def image(path: Path, kind: str) -> NDArray[Any]:
    """Read (H, W), (H, W, C) or (C, H, W) as (H, W, C)."""
    # A copy: pixels that lived in the file would change with it.
    return plain_pixels(path, bands_last(np.array(_mapped(path, kind))))


def mask(path: Path, kind: str) -> RawMask:
    """Read values (H, W) or colours (H, W, 3)."""
    return RawMask(plain_mask(path, np.array(_mapped(path, kind))))


def _mapped(path: Path, kind: str) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DecodeError(
            "truncated" if "mmap length" in str(error) else "unreadable",
            path,
            f"is no readable {kind} array ({error})",
            "save it with numpy.save as plain numbers, or remove it",
        ) from None
    if array.ndim not in {2, 3}:
        shape = "x".join(str(length) for length in array.shape)
        raise DecodeError("unreadable", path, f"has shape {shape}", "save images as HxW or HxWxC")
    last = bands_last(array)
    require_room(path, last.shape[:2], last.shape[2] * max(4, array.dtype.itemsize))
    return array
