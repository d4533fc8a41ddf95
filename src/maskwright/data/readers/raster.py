"""PNG, JPEG, BMP, WebP and GIF: Pillow reads the header, OpenCV the pixels if it loses none. Knows no labels.

OpenCV decodes JPEG faster and keeps 16-bit RGB, which Pillow does not; but it decodes truncated JPEGs to half-grey
images without an error and drops palette indices. So each file goes to the library that reads it correctly.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from maskwright.data.readers.arrays import (
    RawMask,
    exif_orientation,
    plain_pixels,
    require_room,
    rgb_from_bgr,
    turn,
    upright,
    upright_size,
)
from maskwright.data.readers.errors import DecodeError, without_transparency
from maskwright.data.readers.gdal import declared_beside
from maskwright.data.readers.jpeg import end_of_image
from maskwright.data.readers.mask_channels import require_shown, without_one_hot

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    from maskwright.core.records import ImageRef

# Opened by class and not by `Image.open`, which warns or fails above a process-wide number of pixels: 20,000 x 20,000
# must be readable, and we have our own limit (`arrays.require_room`).
_OPENERS: dict[str, Callable[[Any], ImageFile]] = {
    "png": PngImagePlugin.PngImageFile,
    "jpeg": JpegImagePlugin.JpegImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
}
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_WEBP_PIXELS = (b"VP8 ", b"VP8L")
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_SAVE_AGAIN = "open it in an image editor and save it again, or remove it"
_COPY_AGAIN = "copy it again from its source, or remove it"


@dataclass(frozen=True)
class _Opened:
    """A file whose header has been read: `picture` is Pillow's image, its pixels not yet decoded."""

    ref: ImageRef
    kind: str
    data: bytes
    picture: ImageFile
    orientation: int


def size(ref: ImageRef, kind: str) -> tuple[int, int]:
    """Return (height, width) in pixels after the EXIF orientation is applied, from the header alone."""
    with ref.path.open("rb") as stream:
        picture = _header(ref, kind, stream)
        width, height = picture.size
        return upright_size((height, width), turn(ref, exif_orientation(picture.info.get("exif"))))


def orientation(ref: ImageRef, kind: str) -> int:
    """Return the EXIF orientation 1..8 that the header names."""
    with ref.path.open("rb") as stream:
        return exif_orientation(_header(ref, kind, stream).info.get("exif"))


def is_lossy(ref: ImageRef, kind: str) -> bool:
    """Tell whether a file is compressed with loss: JPEG always is, and WebP is if its pixels are in a chunk `VP8 `."""
    if kind != "webp":
        return kind == "jpeg"
    with ref.path.open("rb") as stream:
        stream.seek(12)
        while len(head := stream.read(8)) == 8 and head[:4] not in _WEBP_PIXELS:
            length = int.from_bytes(head[4:], "little")
            stream.seek(length + length % 2, io.SEEK_CUR)
    return head[:4] == _WEBP_PIXELS[0]


def image(ref: ImageRef, kind: str) -> NDArray[Any]:
    """Decode to (H, W, C) in uint8 or uint16, upright; palette, 1-bit and CMYK images become RGB.

    In these formats a fourth channel is always alpha, which describes how to display an image and not its content. It
    is dropped; grey with alpha, which OpenCV decodes to four channels, becomes grey again.
    """
    opened = _open(ref, kind)
    mode = opened.picture.mode
    if mode == "CMYK" or kind == "gif":
        pixels = np.asarray(_decoded(opened).convert("RGB"))
    elif mode in {"P", "PA", "1"}:
        pixels = _by_opencv(opened, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    else:
        pixels = _by_opencv(opened, cv2.IMREAD_UNCHANGED)
        if pixels.shape[2] in {2, 4}:
            pixels = pixels[..., : 1 if mode[0] in "LI" else 3]
    declared = declared_beside(ref) if mode in {"L", "I", "I;16", "RGB", "LA", "RGBA"} else None
    return plain_pixels(ref, upright(pixels, opened.orientation), declared)


def mask(ref: ImageRef, kind: str) -> RawMask:
    """Decode to values (H, W) or colours (H, W, 3) as stored: palette images give their indices, 1-bit ones 0 and 1."""
    opened = _open(ref, kind)
    mode = opened.picture.mode
    if mode in {"CMYK", "PA", "LA", "La", "RGBa", "RGBX", "F"}:
        picture = _decoded(opened).convert(
            {"PA": "RGB", "CMYK": "RGB", "LA": "L", "La": "L", "F": "I"}.get(mode, "RGB")
        )
    else:
        picture = _decoded(opened)
    array = np.array(picture)
    if array.ndim == 3:
        array = without_one_hot(ref, array, alpha=True)[..., :3]
    if mode in {"LA", "PA", "RGBA"}:
        require_shown(ref, array, np.asarray(opened.picture.getchannel("A")))
    palette = _palette(picture.getpalette("RGB")) if mode == "P" else None
    array = _unscaled(array.astype(np.uint8) if array.dtype == bool else array, opened)
    array = np.ascontiguousarray(upright(array, opened.orientation))
    raw = RawMask.with_palette(array, palette, lossy=is_lossy(ref, kind))
    declared = declared_beside(ref)
    if declared is None or not declared.is_integer() or raw.inverted:
        return raw
    return replace(raw, nodata=frozenset({int(declared)}))


def alpha(ref: ImageRef, kind: str) -> RawMask:
    """Decode the alpha channel, or the transparency of a palette, to (H, W) in uint8: 0 is transparent."""
    opened = _open(ref, kind) if kind in _OPENERS else None
    if opened is None or not opened.picture.has_transparency_data:
        raise without_transparency(ref)
    array = np.asarray(_decoded(opened).convert("RGBA"))[..., 3]
    return RawMask(np.ascontiguousarray(upright(array, opened.orientation)))


def _open(ref: ImageRef, kind: str) -> _Opened:
    data = ref.path.read_bytes()
    picture = _header(ref, kind, io.BytesIO(data))
    width, height = picture.size
    item_bytes = 4 if picture.mode in {"I", "F"} else 2 if kind == "png" and data[24] == 16 else 1
    require_room(ref, (height, width), item_bytes * len(picture.getbands()))
    data = _whole(ref, kind, data)
    _require_one_frame(ref, kind, picture)
    return _Opened(ref, kind, data, picture, turn(ref, exif_orientation(picture.info.get("exif"))))


def _header(ref: ImageRef, kind: str, stream: Any) -> ImageFile:
    try:
        return _OPENERS[kind](stream)
    except _PILLOW_ERRORS as error:
        stream.seek(len(_PNG_START) - 4)
        if "truncated" in str(error).lower() and stream.read(4) == _PNG_START[-4:]:
            raise DecodeError("truncated", ref, "is truncated: its PNG header does not end", _COPY_AGAIN) from None
        raise DecodeError("unreadable", ref, f"cannot be read as {kind.upper()} ({error})", _SAVE_AGAIN) from None


def _whole(ref: ImageRef, kind: str, data: bytes) -> bytes:
    """Return the bytes of the image alone; refuse a file without its end marker: decoders hide that."""
    if kind == "jpeg":
        end = end_of_image(data)
    elif kind == "png":
        end = len(data) if b"IEND" in data else None
    else:
        return data
    if end is None:
        raise DecodeError(
            "truncated",
            ref,
            f"is truncated after {len(data):,} bytes: the end marker of a {kind.upper()} is missing",
            _COPY_AGAIN,
        )
    return data[:end]


def _require_one_frame(ref: ImageRef, kind: str, picture: ImageFile) -> None:
    """Refuse an animation: which of its frames the annotation belongs to is not known."""
    frames = 1 if kind == "jpeg" else getattr(picture, "n_frames", 1)
    if frames > 1:
        message = f"is an animation of {frames} frames, but an image is one"
        raise DecodeError("unreadable", ref, message, "save each frame as its own file, or only the one to use")


def _decoded(opened: _Opened) -> ImageFile:
    try:
        opened.picture.load()
    except _PILLOW_ERRORS as error:
        kind = "truncated" if "truncated" in str(error) else "unreadable"
        raise DecodeError(kind, opened.ref, f"cannot be decoded ({error})", _COPY_AGAIN) from None  # type: ignore[arg-type]
    return opened.picture


def _by_opencv(opened: _Opened, flags: int) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(opened.data, np.uint8), flags)
    except cv2.error as error:
        raise DecodeError("unreadable", opened.ref, f"cannot be decoded ({error.err})", _SAVE_AGAIN) from None
    if pixels is None:
        _decoded(opened)  # If Pillow fails too, its error says why.
        raise DecodeError("unreadable", opened.ref, "cannot be decoded", _SAVE_AGAIN)
    return rgb_from_bgr(pixels)


def _palette(flat: list[int] | None) -> NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    colors = np.array(flat or [], np.uint8).reshape(-1, 3)[:256]
    table[: len(colors)] = colors
    return table


def _unscaled(array: NDArray[Any], opened: _Opened) -> NDArray[Any]:
    """Undo the scaling to 0..255 that decoders apply to grey PNGs of 2 and 4 bits: a mask needs the stored values."""
    if opened.kind != "png" or array.ndim != 2:
        return array
    depth, color_type = opened.data[24], opened.data[25]
    return array // (255 // (2**depth - 1)) if color_type == 0 and depth in {2, 4} else array
