"""NumPy's .npy files, never with pickled objects inside. Knows no labels."""

from __future__ import annotations

from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.readers.arrays import RawMask, bands_last, channel_axis, plain_mask, plain_pixels, require_room
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.mask_channels import without_one_hot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef


def size(ref: ImageRef, kind: str) -> tuple[int, int]:
    """Return (height, width) in pixels, from the header alone."""
    array = bands_last(ref, _mapped(ref, kind))
    return array.shape[0], array.shape[1]


def image(ref: ImageRef, kind: str) -> NDArray[Any]:
    """Read (H, W), (H, W, C) or (C, H, W) as (H, W, C)."""
    # A copy: mapped pixels would change with the file.
    return plain_pixels(ref, bands_last(ref, np.array(_mapped(ref, kind))))


def mask(ref: ImageRef, kind: str) -> RawMask:
    """Read values (H, W), colours (H, W, 3), or one-hot channels (H, W, C)."""
    array = np.array(_mapped(ref, kind))
    return plain_mask(ref, array if array.ndim == 2 else without_one_hot(ref, bands_last(ref, array), alpha=False))


def _mapped(ref: ImageRef, kind: str) -> NDArray[Any]:
    try:
        array = np.load(ref.path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, TokenError) as error:  # the header is tokenised as Python, and not run
        if "Python objects" in str(error):
            message = "holds Python objects, which can run code when they are read, and are never read"
            cure = "save its masks alone, as PNG or TIFF (Cellpose: as NAME_cp_masks.png), and move it away"
            raise DecodeError("unreadable", ref, message, cure) from None
        raise DecodeError(
            "truncated" if "mmap length" in str(error) else "unreadable",
            ref,
            f"cannot be read as a {kind} array ({error})",
            "save it with numpy.save as plain numbers, or remove it",
        ) from None
    if array.ndim not in {2, 3}:
        message = f"has shape {'x'.join(str(length) for length in array.shape)}, but an image is HxW or HxWxC"
        raise DecodeError("unreadable", ref, message, "save it in one of these shapes")
    axis = channel_axis(array.shape) if array.ndim == 3 else None
    sides = [length for place, length in enumerate(array.shape) if place != (2 if axis is None else axis)]
    require_room(ref, (sides[0], sides[1]), array.size // max(1, sides[0] * sides[1]) * max(4, array.dtype.itemsize))
    return array
