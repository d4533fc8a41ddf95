"""TIFF of any kind that images come in: 8, 16 and 32 bits, floats, many bands, palettes, pages. Knows no labels.

tifffile reads the layout and the plain codecs; LZW, JPEG and fax codecs go to OpenCV or Pillow, which carry libtiff.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import TiffImagePlugin

from maskwright.data.readers.arrays import (
    RawMask,
    bands_last,
    plain_mask,
    plain_pixels,
    require_room,
    rgb_from_bgr,
    upright,
    upright_size,
)
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_ERRORS = (OSError, ValueError, IndexError, KeyError, TypeError, RuntimeError, struct.error, zlib.error)
_MIN_IS_WHITE, _PALETTE, _SEPARATED, _YCBCR = 0, 3, 5, 6
_ALPHA = {1, 2}  # of the tag ExtraSamples: associated and unassociated; 0 is a band like any other
_COPY_AGAIN = "copy it again from where it came from, or remove it"


def size(path: Path, kind: str) -> tuple[int, int]:
    """Return (height, width) as displayed, from the header alone."""
    with _Tiff(path, kind) as tiff:
        return upright_size(tiff.size, tiff.orientation)


def image(path: Path, kind: str) -> NDArray[Any]:
    """Decode to (H, W, C), upright; palette, 1-bit and CMYK pictures become RGB, pages of one size become channels.

    A band that the file calls alpha is left out: it says how to show a picture and not what is in it.
    """
    with _Tiff(path, kind) as tiff:
        if tiff.photometric == _SEPARATED:
            pixels = np.asarray(_by_pillow(path, "RGB"))
        elif tiff.photometric == _PALETTE:
            pixels = tiff.palette()[_values(tiff)]
        else:
            pixels = tiff.without_alpha(bands_last(_values(tiff)))
            if pixels.dtype == bool:
                pixels = np.repeat(pixels, 3, axis=2)
            if tiff.photometric == _MIN_IS_WHITE and pixels.dtype.kind in "bu":
                pixels = ~pixels
        return plain_pixels(path, upright(pixels, tiff.orientation))


def mask(path: Path, kind: str) -> RawMask:
    """Decode to values or colours as stored; palette pictures give their indices."""
    with _Tiff(path, kind) as tiff:
        array = plain_mask(path, _values(tiff))
        palette = tiff.palette() if tiff.photometric == _PALETTE else None
        return RawMask(np.ascontiguousarray(upright(array, tiff.orientation)), palette, lossy=tiff.lossy)


class _Tiff:
    """An open TIFF: its first series of pages, header read, pixels not yet."""

    def __init__(self, path: Path, kind: str) -> None:
        # Here and not above: tifffile takes longer to import than most commands to answer.
        import tifffile

        self.path = path
        # Opened here, because TiffFile leaves a file that it cannot read open behind it.
        self._stream = path.open("rb")
        try:
            self._file = tifffile.TiffFile(self._stream)
            self.series = self._file.series[0]
            page = self._file.pages[0]
            self.axes, self.shape = self.series.axes, self.series.shape
            self.photometric, self.compression = int(page.photometric), int(page.compression)
            self._colormap = page.colormap
            self._extra = tuple(int(kind) for kind in page.extrasamples) if page.samplesperpixel > 1 else ()
            tag = page.tags.get(274)
            turned = int(tag.value) if tag is not None else 1
        except (*_ERRORS, tifffile.TiffFileError) as error:
            self._stream.close()
            raise DecodeError("unreadable", path, f"is no readable {kind.upper()} ({error})", _COPY_AGAIN) from None
        self.orientation = turned if 1 <= turned <= 8 else 1
        self.lossy = self.compression in {6, 7}
        try:
            self._check()
        except DecodeError:
            self._stream.close()
            raise

    def __enter__(self) -> _Tiff:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as stored."""
        if "Q" in self.axes and len(self.shape) == 3:  # an axis that the writer did not name
            first, _, last = self.shape
            return self.shape[1:] if first <= 32 and first < last else self.shape[:2]
        return self.shape[self.axes.index("Y")], self.shape[self.axes.index("X")]

    def palette(self) -> NDArray[np.uint8]:
        """Return the colour table (256, 3)."""
        table = np.zeros((256, 3), np.uint8)
        colors = (np.asarray(self._colormap).T >> 8).astype(np.uint8)[:256]
        table[: len(colors)] = colors
        return table

    def without_alpha(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return (H, W, C) without the bands that the tag ExtraSamples, which speaks of the last ones, calls alpha."""
        first = pixels.shape[2] - len(self._extra)
        alpha = [first + place for place, kind in enumerate(self._extra) if kind in _ALPHA]
        return np.delete(pixels, alpha, axis=2) if alpha and first > 0 else pixels

    def _check(self) -> None:
        if len(self.shape) not in {2, 3} or "Y" not in self.axes or "X" not in self.axes or set(self.axes) & set("ZT"):
            shape = "x".join(str(length) for length in self.shape)
            raise DecodeError(
                "unreadable",
                self.path,
                f"holds a stack (axes {self.axes}, {shape}), and an image is one plane with its channels",
                "save each plane as its own file",
            )
        height, width = self.size
        bands = int(np.prod(self.shape)) // max(1, height * width)
        require_room(self.path, (height, width), bands * max(1, self.series.dtype.itemsize))


def _values(tiff: _Tiff) -> NDArray[Any]:
    """Decode the pixels as stored, whichever library can."""
    try:
        array = tiff.series.asarray()
    except _ERRORS as error:
        if "imagecodecs" in str(error):
            return _by_libtiff(tiff)
        cut = any(word in str(error) for word in ("failed to read", "truncated", "incomplete", "not enough"))
        raise DecodeError(
            "truncated" if cut else "unreadable", tiff.path, f"cannot be decoded ({error})", _COPY_AGAIN
        ) from None
    return np.moveaxis(array, tiff.axes.index("C"), 2) if array.ndim == 3 and "C" in tiff.axes else array


def _by_libtiff(tiff: _Tiff) -> NDArray[Any]:
    if tiff.photometric == _PALETTE or tiff.series.dtype == bool:
        return np.array(_by_pillow(tiff.path, None))
    with tiff.path.open("rb") as stream:
        data = np.frombuffer(stream.read(), np.uint8)
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(data, flags)
    except cv2.error:
        pixels = None
    bands = int(np.prod(tiff.shape)) // max(1, tiff.size[0] * tiff.size[1])
    if pixels is None or pixels.shape[:2] != tiff.size or rgb_from_bgr(pixels).shape[2] != bands:
        raise DecodeError(
            "unreadable",
            tiff.path,
            f"is {bands} bands under TIFF compression {tiff.compression}, which is not read here",
            "run pip install imagecodecs, or save it without compression, or with deflate",
        )
    pixels = rgb_from_bgr(pixels)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _by_pillow(path: Path, mode: str | None) -> Any:
    try:
        with path.open("rb") as stream:
            picture = TiffImagePlugin.TiffImageFile(stream)
            picture.load()
    except (*_ERRORS, SyntaxError) as error:
        raise DecodeError("unreadable", path, f"cannot be decoded ({error})", _COPY_AGAIN) from None
    return picture.convert(mode) if mode else picture
