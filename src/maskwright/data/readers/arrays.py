"""What every reader shares: limits before decoding, orientation, channel axis, pixel types. Knows no file format."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.resources import free_memory
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.probabilities import above_half
from maskwright.ops.no_data import with_holes, with_nan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef

MAX_PIXELS = 1_000_000_000
_NEARLY_GREY = 8
_SMALL_BYTES = 1 << 26
_FEW_BANDS = 32
_ORIENTATION_TAG = 0x0112
_SWAPPED = frozenset({5, 6, 7, 8})
# What stands in a mask of whole numbers for NaN, and for a declared value that no 32-bit integer holds.
NO_DATA = -(2**31)


@dataclass(frozen=True)
class RawMask:
    """A mask as stored, before its values are mapped to classes.

    Attributes:
        array: integers (H, W), or colours (H, W, 3) in uint8.
        palette: colour table (256, 3) in uint8 of a palette image, whose indices `array` holds; None otherwise.
        lossy: compressed with loss (JPEG, WebP), so that values near edges differ from what was drawn.
        nodata: the values in `array` that mean "nothing was recorded here": the one that the file declares, and
            `NO_DATA` for NaN.
        inverted: the palette showed 0 in white and 1 in black, so `array` holds 1 where it is white.
        soft: the file holds fractions from 0 to 1, so `array` holds 1 from 0.5 on.
    """

    array: NDArray[Any]
    palette: NDArray[np.uint8] | None = None
    lossy: bool = False
    nodata: frozenset[int] = frozenset()
    inverted: bool = False
    soft: bool = False

    @classmethod
    def with_palette(cls, array: NDArray[Any], palette: NDArray[np.uint8] | None, *, lossy: bool = False) -> RawMask:
        """Make a mask of palette indices; those of two colours, white before black, become 1 for white."""
        if palette is not None and palette[0].min() == 255 and not palette[1].any() and array.max() <= 1:
            return cls(1 - array, lossy=lossy, inverted=True)
        return cls(array, palette, lossy)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.array.shape[0], self.array.shape[1]

    def indices(self) -> NDArray[Any] | None:
        """Return the values (H, W), or None for an image with real colours. Grey saved as RGB counts as values.

        Compression with loss makes channels of grey differ by a little.
        """
        if self.array.ndim == 2:
            return self.array
        red, green, blue = (self.array[..., channel] for channel in range(3))
        if self.lossy:
            spread = cv2.max(cv2.absdiff(red, green), cv2.absdiff(blue, green)).max()
            return np.ascontiguousarray(green) if spread <= _NEARLY_GREY else None
        return np.ascontiguousarray(red) if np.array_equal(red, green) and np.array_equal(red, blue) else None

    def colors(self) -> NDArray[np.uint8]:
        """Return the colours (H, W, 3) in uint8: those of the palette if there is one, grey otherwise."""
        if self.array.ndim == 3:
            return self.array
        values = self.array.astype(np.uint8, copy=False)
        if self.palette is not None:
            return self.palette[values]
        return np.repeat(values[..., None], 3, axis=2)


def require_room(ref: ImageRef, size: tuple[int, int], bytes_per_pixel: int) -> None:
    """Refuse an image that is too large to decode, given the size in its header.

    Args:
        ref: the image, for the message.
        size: (height, width) in pixels.
        bytes_per_pixel: after decoding.

    Raises:
        DecodeError: `bomb`: more pixels than `MAX_PIXELS`, or more bytes than are free. `unreadable`: no pixels.
    """
    height, width = size
    if height < 1 or width < 1:
        raise DecodeError("unreadable", ref, f"is {width}x{height} pixels", "save it again with at least one pixel")
    if height * width > MAX_PIXELS:
        raise DecodeError(
            "bomb",
            ref,
            f"claims to hold {width}x{height} pixels, but at most {MAX_PIXELS:,} are decoded",
            "cut it into tiles, or remove it if it is not one of your images",
        )
    needed = 2 * height * width * bytes_per_pixel
    if needed > _SMALL_BYTES and needed > (free := free_memory()):
        raise DecodeError(
            "bomb",
            ref,
            f"needs {needed / 2**30:.1f} GiB to decode, but only {free / 2**30:.1f} GiB of memory is free",
            "cut it into tiles, or use a machine with more memory",
        )


def upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation 1..8 to an array (H, W, ...), so that it is upright."""
    if orientation in _SWAPPED:
        array = np.swapaxes(array, 0, 1)
    if orientation in {3, 4, 7, 8}:
        array = array[::-1]
    if orientation in {2, 3, 6, 7}:
        array = array[:, ::-1]
    return array


def turn(ref: ImageRef, orientation: int) -> int:
    """Return the EXIF orientation to apply to an image: 1, for none, if it is read as stored."""
    return orientation if ref.reading.upright else 1


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return (height, width) after an EXIF orientation 1..8 is applied."""
    return (size[1], size[0]) if orientation in _SWAPPED else size


def exif_orientation(exif: bytes | None) -> int:
    """Read the orientation 1..8 from an EXIF block, which is built like a TIFF file; 1 if there is none.

    We parse these few bytes ourselves because libraries warn about, or fail on, damage in tags that we do not need.
    """
    block = (exif or b"").removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(order + "HHIH", block, start + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """Return which of three axes, 0 or 2, holds the channels of an array without names; None if that is unclear.

    They are few (at most 32), or fewer than rows and columns if they come last, or else the odd axis of a square image.
    """
    first, middle, last = shape
    if first <= _FEW_BANDS and first < last:
        return 0
    if last <= _FEW_BANDS or last < min(first, middle) or first == middle:
        return 2
    return 0 if middle == last else None


def bands_last(ref: ImageRef, array: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W, C) from (H, W), (H, W, C) or (C, H, W).

    Raises:
        DecodeError: it is unclear which axis holds the channels.
    """
    if array.ndim == 2:
        return array[..., None]
    axis = channel_axis(array.shape)
    if axis is None:
        shape = "x".join(map(str, array.shape))
        raise DecodeError(
            "unreadable",
            ref,
            f"has shape {shape}, and {array.shape[0]} as well as {array.shape[2]} may be the number of channels",
            "save it as TIFF, whose header says so: tifffile.imwrite(name, array, photometric='minisblack', "
            "planarconfig='separate'), for channels first, or 'contig', for channels last",
        )
    return np.moveaxis(array, axis, 2)


def plain_pixels(ref: ImageRef, array: NDArray[Any], declared: float | None = None) -> NDArray[Any]:
    """Return (H, W, C), contiguous, in uint8, uint16 or float32; every other pixel type becomes float32.

    Args:
        ref: the image; its `reading` may name a value for pixels without data.
        array: (H, W, C), as stored.
        declared: the value that the file itself declares for them.

    Returns:
        The pixels; where there are no data, floats are NaN, and integers a masked array (see `ops.no_data`).

    Raises:
        DecodeError: `unreadable` for pixel types that are not numbers.
    """
    if array.dtype == bool:
        return np.ascontiguousarray(array.astype(np.uint8) * 255)
    if array.dtype.kind not in "iuf":
        raise DecodeError("unreadable", ref, f"holds {array.dtype} values, not numbers", "save it as uint8 or float32")
    holed = with_holes(array, declared, ref.reading.nodata)
    if array.dtype in (np.dtype("u1"), np.dtype("u2"), np.dtype(">u2")):
        native = np.ascontiguousarray(holed.data if isinstance(holed, np.ma.MaskedArray) else holed)
        native = native.astype(array.dtype.newbyteorder("="), copy=False)
        return np.ma.masked_array(native, holed.mask) if isinstance(holed, np.ma.MaskedArray) else native
    return with_nan(holed)


def plain_mask(ref: ImageRef, array: NDArray[Any], declared: float | None = None) -> RawMask:
    """Return integers (H, W), or colours (H, W, 3) in uint8, from a decoded array.

    Args:
        ref: the mask, for the message.
        array: (H, W) or (H, W, C), as stored.
        declared: the value that the file declares to mean "no data", if any.

    Raises:
        DecodeError: `unreadable` for another number of channels, for fractions, and for colours of more than 8 bits.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 3:
        return RawMask(_colours(ref, array))
    fits = declared is not None and declared == np.rint(declared) and abs(declared) < -NO_DATA
    nodata = {int(declared)} if declared is not None and fits else set()
    soft = False
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype.kind == "f":
        array, soft = _whole(ref, array, declared, kept=fits)
        nodata |= {NO_DATA} if (array == NO_DATA).any() else set()
    if array.dtype.kind not in "iu":
        raise DecodeError("unreadable", ref, f"holds {array.dtype} values, not class ids", "save it as uint8")
    return RawMask(
        np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")), nodata=frozenset(nodata), soft=soft
    )


def _whole(ref: ImageRef, array: NDArray[Any], declared: float | None, *, kept: bool) -> tuple[NDArray[np.int64], bool]:
    """Return whole numbers from floats (H, W), and whether probabilities were cut at half.

    NaN is `NO_DATA`, and so is the declared value unless it is `kept`, as a whole number among others.
    """
    missing = hidden = np.isnan(array)
    if declared is not None:
        with np.errstate(over="ignore"):
            hidden = missing | (array == array.dtype.type(declared))
    missing = missing if kept else hidden
    known = np.where(missing, 0, array)
    if np.array_equal(np.rint(known), known) and np.abs(known).max() <= -NO_DATA:
        return np.where(missing, NO_DATA, known).astype(np.int64), False
    shown = above_half(np.where(hidden, 0, array))
    if shown is None:
        message = "holds fractions or infinite values, but a mask holds whole numbers"
        raise DecodeError("unreadable", ref, message, "save class ids as uint8, or ids of objects as uint16")
    return np.where(hidden, NO_DATA, shown).astype(np.int64), True


def number(text: object) -> float | None:
    """Read a number from a tag; None if it is absent or no number."""
    try:
        return None if text is None else float(str(text))
    except ValueError:
        return None


def _colours(ref: ImageRef, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return colours (H, W, 3) without their alpha."""
    if array.dtype.kind == "f" and (np.isfinite(array) & (array != np.rint(array))).any():
        message = f"holds fractions in {array.shape[2]} channels, as probabilities do, but a mask holds class ids"
        raise DecodeError("unreadable", ref, message, "save the index of the largest: numpy.argmax(ARRAY, axis=-1)")
    if array.shape[2] not in {3, 4}:
        message = f"has {array.shape[2]} channels, but a mask is HxW values or HxWx3 colours"
        cure = "save class ids (HxW), or a mask file for each channel, such as masks/CLASS/NAME.png, if these overlap"
        raise DecodeError("unreadable", ref, message, cure)
    colours = array[..., :3]
    if colours.dtype != np.uint8 and not np.array_equal(colours, colours.astype(np.uint8)):
        message = f"holds colours of type {array.dtype} beyond 0 to 255"
        raise DecodeError("unreadable", ref, message, "save it as PNG, with colours of 8 bits")
    return np.ascontiguousarray(colours.astype(np.uint8, copy=False))


def rgb_from_bgr(array: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W, C) with red first from an array that OpenCV decoded."""
    if array.ndim == 2:
        return array[..., None]
    code = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}.get(array.shape[2])
    return array if code is None else np.asarray(cv2.cvtColor(array, code))
