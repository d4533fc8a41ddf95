"""The pixels of a TIFF as they are stored, by the library that can decode them. Knows no colours and no labels.

tifffile decodes what is uncompressed, or compressed simply. OpenCV and Pillow, which include libtiff, do the others
(LZW, JPEG, fax, Zstandard), but they also interpret: both invert WhiteIsZero in some cases and stretch values of few
bits, and OpenCV multiplies colours of 8 bits by their alpha. So they are given the file with the photometric tag
changed to BlackIsZero, Pillow comes first for 8 bits, and the stretching is undone.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import TiffImagePlugin

from maskwright.data.readers.arrays import rgb_from_bgr
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.tiff_file import COPY_AGAIN, ERRORS, MIN_IS_WHITE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.data.readers.tiff_file import TiffImage

_MIN_IS_BLACK = 1


def stored(tiff: TiffImage) -> NDArray[Any]:
    """Decode to (H, W) or (H, W, C): the stored numbers, in the stored type.

    Raises:
        DecodeError: damaged, or compressed in a way that no library here decodes.
    """
    try:
        array = tiff.array()
    except ERRORS as error:
        if "imagecodecs" in str(error) or isinstance(error, ImportError):
            return _by_libtiff(tiff)
        cut = any(word in str(error) for word in ("failed to read", "truncated", "incomplete", "not enough"))
        raise DecodeError(
            "truncated" if cut else "unreadable", tiff.ref, f"cannot be decoded ({error})", COPY_AGAIN
        ) from None
    return array if tiff.band_axis is None else np.moveaxis(array, tiff.band_axis, 2)


def rgb(tiff: TiffImage) -> NDArray[np.uint8]:
    """Decode to (H, W, 3), converted from whatever colours they are stored in.

    Raises:
        DecodeError: damaged, or in no form that Pillow converts.
    """
    try:
        return np.asarray(_picture(tiff, tiff.ref.path.read_bytes()).convert("RGB"))
    except (*ERRORS, SyntaxError) as error:
        raise DecodeError("unreadable", tiff.ref, f"cannot be decoded ({error})", COPY_AGAIN) from None


def _by_libtiff(tiff: TiffImage) -> NDArray[Any]:
    data = bytearray(tiff.ref.path.read_bytes())
    if tiff.photometric == MIN_IS_WHITE and tiff.photometric_offset is not None:
        struct.pack_into(f"{tiff.byteorder}H", data, tiff.photometric_offset, _MIN_IS_BLACK)
    small = tiff.series.dtype.itemsize == 1
    for decoded in (_by_pillow, _by_opencv) if small else (_by_opencv, _by_pillow):
        pixels = decoded(tiff, data)
        if pixels is not None:
            return pixels
    bits = "" if tiff.bits in {1, 8, 16, 32, 64} else f" of {tiff.bits} bits"
    raise DecodeError(
        "unreadable",
        tiff.ref,
        f"holds {tiff.bands} bands{bits} with TIFF compression {tiff.compression}, which needs imagecodecs",
        "run pip install imagecodecs, or save it uncompressed or with deflate, as 8, 16 or 32 bits",
    )


def _by_pillow(tiff: TiffImage, data: bytearray) -> NDArray[Any] | None:
    """Decode, or return None where Pillow has no mode for such pixels."""
    try:
        pixels = np.array(_picture(tiff, data))
    except (*ERRORS, SyntaxError):
        return None
    if tiff.bits in {2, 4} and tiff.bands == 1 and pixels.dtype == np.uint8 and not tiff.has_palette:
        pixels //= 255 // (2**tiff.bits - 1)
    return _as_said(tiff, pixels)


def _picture(tiff: TiffImage, data: bytes | bytearray) -> TiffImagePlugin.TiffImageFile:
    picture = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    picture.seek(tiff.place)
    picture.load()
    return picture


def _by_opencv(tiff: TiffImage, data: bytearray) -> NDArray[Any] | None:
    """Decode, or return None where OpenCV cannot."""
    flags, place = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION, tiff.place
    try:
        _, found = cv2.imdecodemulti(np.frombuffer(data, np.uint8), flags, range=(place, place + 1))
    except cv2.error:
        return None
    if not found:
        return None
    pixels = rgb_from_bgr(found[0])
    if tiff.bits in {10, 12, 14} and pixels.dtype == np.uint16:
        pixels = pixels >> (16 - tiff.bits)
    return _as_said(tiff, pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _as_said(tiff: TiffImage, pixels: NDArray[Any]) -> NDArray[Any] | None:
    """Return the pixels in the type that the header says; None where size, bands or type are not as it says."""
    shape = tiff.size if tiff.bands == 1 else (*tiff.size, tiff.bands)
    wanted = tiff.series.dtype.newbyteorder("=")
    if pixels.shape != shape:
        return None
    if pixels.dtype == wanted:
        return pixels
    alike = pixels.dtype.kind in "iu" and wanted.kind in "iu" and pixels.dtype.itemsize == wanted.itemsize
    if not alike and np.can_cast(wanted, pixels.dtype) and pixels.dtype.kind in "iu":  # Pillow widens int16 to int32
        return pixels.astype(wanted)
    return pixels.view(wanted) if alike else None
