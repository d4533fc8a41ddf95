"""Masks with a channel for each class, in which one channel alone is not 0 at each pixel, to class ids.

Three channels may be colours too, which only all masks together can tell (`data.formats.meaning.channels`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef


def without_one_hot(ref: ImageRef, array: NDArray[Any], *, alpha: bool) -> NDArray[Any]:
    """Return the number of the channel that is not 0, (H, W), or the array itself if it is not one-hot.

    Args:
        ref: the mask, for the message.
        array: (H, W) or (H, W, C), as stored.
        alpha: the last of two or four channels may be alpha.

    Raises:
        DecodeError: it is one-hot in four channels, and the fourth would be taken for alpha in other masks.
    """
    count = array.shape[2] if array.ndim == 3 else 1
    if count in {1, 3} or (alpha and count == 2):
        return array
    if alpha and count == 4 and array[..., 3].all():
        return array
    ids = _ids(array)
    if ids is not None and alpha and count == 4:
        message = "is one-hot in four channels, and files of this kind cannot tell the fourth from alpha"
        raise DecodeError("unreadable", ref, message, "save class ids instead: numpy.argmax(mask, axis=2), as uint8")
    return array if ids is None else ids


def _ids(array: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return which channel of (H, W, C) alone is not 0; None if several are, or their values differ."""
    shown = array != 0
    if (np.count_nonzero(shown, axis=2) != 1).any() or (array[shown] != array[shown][0]).any():
        return None
    return np.asarray(shown.argmax(axis=2), np.uint8)
