"""Images to network input: value range, channels and working resolution. Knows no file and no network.

`prepare` is the only place where the pixels of an image file become network input (before normalisation by mean and
std). Training and prediction both call it, so that a model gets the same input in use as in training.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.text import plural
from maskwright.ops.no_data import missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import DataPlan
    from maskwright.core.plan_data import Resizing

# Some OpenCV functions accept at most 4 channels, others 128 or 512, depending on the version.
CHANNEL_GROUP = 4

# Just below a third, so that rounding in the mean of the area has no influence.
THIN_SHARE = 1 / 3 - 1e-4

COUNTED_AT_ONCE = 1 << 20

# ITU-R BT.601, as in Pillow and OpenCV.
LUMA = (0.299, 0.587, 0.114)


def prepare(image: NDArray[Any], data: DataPlan) -> NDArray[np.uint8]:
    """Turn a decoded image into network input: channels, then value range, then working resolution.

    The channels come first because `data.value_range` has one entry per channel of the network's input. Values that
    are missing (`ops.no_data`) become the mean of their channel, which normalisation makes 0.

    Args:
        image: (H, W) or (H, W, C), any real dtype, in the units of the file.
        data: the section `data` of the plan.

    Returns:
        uint8 (H', W', data.channels) with (H', W') = `working_size_of((H, W), data)`.

    Raises:
        MaskwrightError: the channels or values of the image do not fit the plan.
    """
    gone = missing(image)
    pixels = np.ascontiguousarray(to_uint8(to_channels(np.asarray(image), data.channels), data.value_range))
    if gone is not None:
        filling = np.clip(np.round(data.mean), 0, 255).astype(np.uint8)
        pixels = np.where(to_channels(gone, data.channels), filling, pixels)
    return resize_image(pixels, working_size_of((pixels.shape[0], pixels.shape[1]), data), data.resize)


def working_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Return (height, width) times `scale`, rounded half up, each at least 1."""
    return max(1, math.floor(height * scale + 0.5)), max(1, math.floor(width * scale + 0.5))


def working_size_of(size: tuple[int, int], data: DataPlan) -> tuple[int, int]:
    """Return the (height, width) at which the plan wants an image of `size`: by its scale, or by its sides."""
    if data.sides is None:
        return working_size(*size, data.scale)
    scale = min(data.sides[0] / min(size), data.sides[1] / max(size))
    return max(1, math.floor(size[0] * scale)), max(1, math.floor(size[1] * scale))


def to_channels(image: NDArray[Any], channels: int) -> NDArray[Any]:
    """Convert an image to a number of channels, in its own dtype.

    Grey becomes RGB by replication, RGB becomes grey by BT.601 luma, and alpha (the second of two channels, the
    fourth of four) is dropped. Every other conversion would invent or lose channels and is an error.

    Args:
        image: (H, W) or (H, W, C).
        channels: the number of channels to return.

    Returns:
        (H, W, channels), same dtype.

    Raises:
        MaskwrightError: there is no such conversion, or the array is not an image.
    """
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or 0 in image.shape:
        raise MaskwrightError(
            f"an array of shape {image.shape} is not an image: give (height, width, channels), all above 0"
        )
    count = image.shape[2]
    if count == channels:
        return image
    if count not in {1, 2, 3, 4} or channels not in {1, 3}:
        raise MaskwrightError(
            f"the image has {plural(count, 'channel')}, but the plan needs {channels}, and only grey and RGB, with "
            f"or without alpha, are converted into each other: use images with {plural(channels, 'channel')}, or "
            f"train with data.channels={count}"
        )
    opaque = image[:, :, : 1 if count <= 2 else 3]
    if opaque.shape[2] == channels:
        return np.ascontiguousarray(opaque)
    return np.repeat(opaque, 3, axis=2) if channels == 3 else _luma(opaque)


def to_uint8(image: NDArray[Any], value_range: Sequence[tuple[float, float]] | None) -> NDArray[np.uint8]:
    """Stretch each channel linearly so that (low, high) become 0 and 255; clip, and round half up.

    NaN becomes 0. An empty range (low = high, a constant channel) is
    treated as one unit wide.

    Args:
        image: (H, W, C), any real dtype.
        value_range: (low, high) per channel in the units of the image; None for 8-bit images, which do not change.

    Returns:
        uint8 (H, W, C).

    Raises:
        MaskwrightError: the image is not 8-bit and there is no range, or the ranges do not fit the channels, or high is
            below low.
    """
    if value_range is None:
        if image.dtype != np.uint8:
            raise MaskwrightError(
                f"the image holds {image.dtype} values, but the plan has no data.value_range, so it expects 8-bit "
                "values (0..255): convert the image to 8 bit, or train with data.value_range set to the values that "
                "become 0 and 255"
            )
        return image
    if len(value_range) != image.shape[2]:
        raise MaskwrightError(
            f"data.value_range has {plural(len(value_range), 'entry', 'entries')}, but the image has "
            f"{plural(image.shape[2], 'channel')}: give one "
            "entry for each channel"
        )
    low, high = np.asarray(value_range, np.float64).T
    if not np.all(high >= low):
        raise MaskwrightError(
            f"data.value_range is {list(value_range)}: each pair must be (low, high) with low <= high"
        )
    span = np.where(high > low, high - low, 1.0)
    if image.dtype in (np.uint8, np.uint16):
        return _stretch_by_table(image, low, span)
    return _stretched(image, low, span)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int], how: Resizing = "area") -> NDArray[np.uint8]:
    """Resize an image: average the covered area to shrink it, interpolate linearly to enlarge it.

    Args:
        image: uint8 (H, W, C), any number of channels.
        size: new (height, width).
        how: `bilinear` interpolates linearly to shrink it too.

    Returns:
        uint8 (height, width, C); the image itself if the size does not change.
    """
    if image.shape[:2] == size:
        return image
    if how == "bilinear":
        return _interpolated(image, size)
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    flag = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    groups = channel_groups(image)
    return joined([cv2.resize(group, size[::-1], interpolation=flag) for group in groups])


def _interpolated(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Interpolate linearly between pixel centres, as `torch.nn.functional.interpolate` does, and round half up.

    OpenCV has this too, but its weights for 8-bit images are so coarse that values differ by up to one and a quarter.
    """
    values: NDArray[Any] = image
    for axis in (0, 1):
        length = image.shape[axis]
        at = np.clip((np.arange(size[axis]) + 0.5) * (length / size[axis]) - 0.5, 0, length - 1)
        first = at.astype(np.intp)
        share = np.expand_dims((at - first).astype(np.float32), (1, 2) if axis == 0 else (0, 2))
        before, after = (values.take(np.minimum(place, length - 1), axis) for place in (first, first + 1))
        values = before * (1 - share) + after * share
    return np.asarray(np.floor(values + np.float32(0.5)), np.uint8)


def resize_labels(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a label map (H, W) to `size` = (height, width) by the nearest pixel centre; this invents no class."""
    if labels.shape == size:
        return labels
    return np.asarray(cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def count_labels(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the number of pixels (256,) with each of the values 0..255 in a label map (H, W).

    Counts in bands of rows, because NumPy counts 8-byte numbers only and would convert the whole map.
    """
    rows = max(COUNTED_AT_ONCE // max(labels.shape[1], 1), 1)
    bands = (labels[start : start + rows] for start in range(0, labels.shape[0], rows))
    return sum((np.bincount(band.ravel(), minlength=256) for band in bands), np.zeros(256, np.int64))


def shrink_labels(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Shrink a label map and keep thin structures: a rarer class gets a pixel if it covers a third of its area.

    Sampling the nearest pixel breaks thin lines. Measured on 118 photographs of cracks at half (a quarter of) their
    size: the nearest pixel leaves 3.7 (11) pieces of each crack and, enlarged again, agrees with the original at 0.71
    (0.53) IoU; this rule leaves 1.2 (4.7) pieces at 0.77 (0.58); the majority of the area does as well at half, but
    leaves 9 pieces at a quarter.
    The disadvantage is that a rarer class grows, by up to a sixth of a new pixel along its edges.

    Args:
        labels: uint8 (H, W), with `IGNORE`, over which every class has priority.
        size: new (height, width); if it is not smaller, this is `resize_labels`.

    Returns:
        uint8 (height, width).
    """
    shrunk = resize_labels(labels, size)
    if size[0] * size[1] >= labels.size:
        return shrunk
    counts = count_labels(labels)
    present = [int(index) for index in np.argsort(-counts[:IGNORE], kind="stable") if counts[index]]
    for index in [IGNORE, *present] if counts[IGNORE] else present:
        where = np.asarray(labels == index, np.float32)
        share = cv2.resize(where, size[::-1], interpolation=cv2.INTER_AREA)
        shrunk[share > THIN_SHARE] = index
    return shrunk


def channel_groups(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Split (H, W, C) into pieces (H, W, <= 4), which every OpenCV function accepts."""
    if image.shape[2] <= CHANNEL_GROUP:
        return [image]
    starts = range(0, image.shape[2], CHANNEL_GROUP)
    return [np.ascontiguousarray(image[:, :, start : start + CHANNEL_GROUP]) for start in starts]


def joined(groups: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Join the pieces of `channel_groups` to (H, W, C), with the channel axis that OpenCV drops for one channel."""
    pieces = [group[:, :, None] if group.ndim == 2 else group for group in groups]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=2)


def _luma(image: NDArray[Any]) -> NDArray[Any]:
    """Convert RGB (H, W, 3) to grey (H, W, 1) in the same dtype, rounded for integers."""
    grey = image.astype(np.float64) @ np.asarray(LUMA)
    if np.issubdtype(image.dtype, np.integer):
        grey = np.floor(grey + 0.5)
    return np.asarray(grey[:, :, None], image.dtype)


def _stretched(
    values: NDArray[Any], low: NDArray[np.float64] | np.float64, span: NDArray[np.float64] | np.float64
) -> NDArray[np.uint8]:
    """Map low..low + span to 0..255; both are numbers, or (C,) for the last axis."""
    stretched = (
        (np.nan_to_num(values.astype(np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf) - low) * 255.0 / span
    )
    return np.asarray(np.floor(np.clip(stretched, 0.0, 255.0) + 0.5), np.uint8)


def _stretch_by_table(image: NDArray[Any], low: NDArray[np.float64], span: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Do the same for integers (H, W, C) with a table of all values: an eighth of the computation and memory."""
    values = np.arange(np.iinfo(image.dtype).max + 1)
    stretched = np.empty(image.shape, np.uint8)
    for channel in range(image.shape[2]):
        stretched[:, :, channel] = _stretched(values, low[channel], span[channel])[image[:, :, channel]]
    return stretched
