"""Channels of masks that are more than values or colours: one for each class (one-hot), and alpha.

Three channels may be one-hot or colours, which only all masks together tell (`data.formats.meaning.channels`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef

_OPAQUE = 128


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
        message = "is one-hot in four channels, but in such files the fourth cannot be distinguished from alpha"
        raise DecodeError("unreadable", ref, message, "save class ids instead: numpy.argmax(mask, axis=2), as uint8")
    return array if ids is None else ids


def require_shown(ref: ImageRef, colors: NDArray[Any], alpha: NDArray[Any]) -> None:
    """Refuse a mask whose objects differ from the ground in alpha alone, which masks are read without.

    Args:
        ref: the mask, for the message.
        colors: (H, W) or (H, W, 3).
        alpha: (H, W), 0 is transparent.

    Raises:
        DecodeError: the mask has one colour everywhere, and is opaque in some places only.
    """
    if alpha.min() < _OPAQUE <= alpha.max() and (colors == colors[0, 0]).all():
        message = "has one colour everywhere, and differs in its alpha channel only, which is not read"
        cure = (
            "save alpha as the mask: PIL.Image.open(FILE).getchannel('A').save(FILE); if the mask shows no object, "
            "save it without alpha"
        )
        raise DecodeError("unreadable", ref, message, cure)


def _ids(array: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return which channel of (H, W, C) alone is not 0; None if several are, or their values differ."""
    shown = array != 0
    if (np.count_nonzero(shown, axis=2) != 1).any() or (array[shown] != array[shown][0]).any():
        return None
    return np.asarray(shown.argmax(axis=2), np.uint8)
