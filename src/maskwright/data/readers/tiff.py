"""TIFF of any kind that images come in: 8, 16 and 32 bits, floats, many bands, palettes, pages. Knows no labels.

tifffile reads the layout and the simple codecs; OpenCV and Pillow, which include libtiff, decode LZW, JPEG and fax.

The pages of a stack are counted over its axes of slices, times and positions, in the order of the file; the axes of
rows, columns, channels and samples belong to one page. Pages of equal size and type that each stand alone are a stack
too; pages of other sizes (thumbnails, the levels of a pyramid) are not.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from PIL import TiffImagePlugin

from maskwright.data.readers.arrays import (
    RawMask,
    bands_last,
    number,
    plain_mask,
    plain_pixels,
    require_room,
    rgb_from_bgr,
    upright,
    upright_size,
)
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef

_ERRORS = (OSError, ValueError, IndexError, KeyError, TypeError, RuntimeError, struct.error, zlib.error)
_MIN_IS_WHITE, _PALETTE, _SEPARATED, _YCBCR = 0, 3, 5, 6
_ALPHA = {1, 2}  # values of the tag ExtraSamples: associated and unassociated alpha; 0 is an ordinary channel
_GDAL_NODATA = 42113
_COPY_AGAIN = "copy it again from its source, or remove it"


# Unnamed pages are at most so many channels of one image; more of them are a stack.
_MOST_CHANNELS = 32


class Pages(NamedTuple):
    """How many images a file may hold.

    Attributes:
        number: of pages, 1 or more.
        may_be_channels: the pages may instead be the channels of one image: the file does not call them slices or
            times.
    """

    number: int
    may_be_channels: bool = False


def pages(ref: ImageRef, kind: str) -> Pages:
    """Count the pages of a file from its header alone."""
    with _Tiff(ref, kind) as tiff:
        return tiff.pages


def size(ref: ImageRef, kind: str) -> tuple[int, int]:
    """Return (height, width) in pixels after the orientation is applied, from the header alone."""
    with _Tiff(ref, kind) as tiff:
        tiff.check()
        return upright_size(tiff.size, tiff.orientation)


def image(ref: ImageRef, kind: str) -> NDArray[Any]:
    """Decode to (H, W, C), upright; palette, 1-bit and CMYK images become RGB.

    The pages of a whole file become channels. Alpha channels are dropped: they describe how to display an image and
    not its content.
    """
    with _Tiff(ref, kind) as tiff:
        tiff.check()
        if tiff.photometric == _SEPARATED:
            pixels = np.asarray(_by_pillow(tiff, "RGB"))
        elif tiff.photometric == _PALETTE:
            pixels = tiff.palette()[_values(tiff)]
        else:
            pixels = tiff.without_alpha(bands_last(_values(tiff)))
            if pixels.dtype == bool:
                pixels = np.repeat(pixels, 3, axis=2)
            if tiff.photometric == _MIN_IS_WHITE and pixels.dtype.kind in "bu":
                pixels = ~pixels
        return plain_pixels(ref, upright(pixels, tiff.orientation))


def mask(ref: ImageRef, kind: str) -> RawMask:
    """Decode to values (H, W) or colours (H, W, 3) as stored; palette images give their indices."""
    with _Tiff(ref, kind) as tiff:
        tiff.check()
        raw = plain_mask(ref, _values(tiff), tiff.nodata)
        palette = tiff.palette() if tiff.photometric == _PALETTE else None
        array = np.ascontiguousarray(upright(raw.array, tiff.orientation))
        return replace(RawMask.with_palette(array, palette, lossy=tiff.lossy), nodata=raw.nodata)


class _Tiff:
    """An open TIFF, a whole file or one page of it: its header is read, its pixels are not."""

    def __init__(self, ref: ImageRef, kind: str) -> None:
        # Imported here, because importing tifffile takes longer than most commands take to answer.
        import tifffile

        self.ref = ref
        # Opened here, because TiffFile does not close a file that it cannot read.
        self._stream = ref.path.open("rb")
        try:
            self._file = tifffile.TiffFile(self._stream)
            self.series, self.frames = self._file.series[0], [0]
            self.axes, self.shape = self.series.axes, self.series.shape
            self.pages, self._grid = _pages(self._file.series)
            page = self._file.pages[0]
            self.photometric, self.compression = int(page.photometric), int(page.compression)
            self._colormap = page.colormap
            self._extra = tuple(int(kind) for kind in page.extrasamples) if page.samplesperpixel > 1 else ()
            self.nodata = number(getattr(page.tags.get(_GDAL_NODATA), "value", None))
            tag = page.tags.get(274)
            turned = int(tag.value) if tag is not None else 1
            self._whole = ref.page is None or (ref.page == 0 and self.pages.number == 1)
            if not self._whole:
                self._select(int(ref.page or 0))
        except DecodeError:
            self._stream.close()
            raise
        except (*_ERRORS, tifffile.TiffFileError) as error:
            self._stream.close()
            raise DecodeError("unreadable", ref, f"cannot be read as {kind.upper()} ({error})", _COPY_AGAIN) from None
        self.orientation = turned if 1 <= turned <= 8 else 1
        self.lossy = self.compression in {6, 7}

    def __enter__(self) -> _Tiff:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _select(self, page: int) -> None:
        """Take one page of the stack for the image."""
        if not 0 <= page < self.pages.number:
            count = self.pages.number
            held = f"pages 0 to {count - 1}" if count > 1 else "page 0 only"
            raise DecodeError("unreadable", self.ref, f"does not exist: the file holds {held}", "ask for one of these")
        self.series = self._file.series[page // len(self._grid)]
        self.frames = self._grid[page % len(self._grid)].tolist()
        inner = len(self.series.keyframe.shape)
        channels = len(self.frames)
        self.axes = ("C" if channels > 1 else "") + self.axes[-inner:]
        self.shape = ((channels,) if channels > 1 else ()) + self.shape[-inner:]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as stored."""
        if "Q" in self.axes and len(self.shape) == 3:
            return self.shape[:2] if _channels_last(self.axes, self.shape) else self.shape[1:]
        return self.shape[self.axes.index("Y")], self.shape[self.axes.index("X")]

    def array(self) -> NDArray[Any]:
        """Decode the pixels as stored, by tifffile alone."""
        if self._whole:
            return np.asarray(self.series.asarray())
        offset, size = self.series.dataoffset, int(np.prod(self.series.keyframe.shape))
        if offset is None:
            found = self._file.asarray(key=self.frames, series=self.series)
        else:  # Uncompressed and contiguous: the file may describe the first page only (ImageJ above 4 GB).
            dtype, file = np.dtype(self._file.byteorder + self.series.dtype.char), self._file.filehandle
            starts = [offset + frame * size * dtype.itemsize for frame in self.frames]
            found = np.stack([file.read_array(dtype, size, start) for start in starts])
        return np.asarray(found).reshape(self.shape)

    def place(self) -> int:
        """Return the number of the (first) frame in the file, as libtiff counts them."""
        return int(self.series.pages[self.frames[0]].index)

    def palette(self) -> NDArray[np.uint8]:
        """Return the colour table (256, 3)."""
        table = np.zeros((256, 3), np.uint8)
        colors = (np.asarray(self._colormap).T >> 8).astype(np.uint8)[:256]
        table[: len(colors)] = colors
        return table

    def without_alpha(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return (H, W, C) without the channels that the tag ExtraSamples, which lists the last ones, calls alpha."""
        first = pixels.shape[2] - len(self._extra)
        alpha = [first + place for place, kind in enumerate(self._extra) if kind in _ALPHA]
        return np.delete(pixels, alpha, axis=2) if alpha and first > 0 else pixels

    def check(self) -> None:
        """Refuse what is not one image, or too large to decode.

        Raises:
            DecodeError: the file is a stack, or too large.
        """
        stack = self._whole and self.pages.number > 1 and not self.pages.may_be_channels
        if stack or len(self.shape) not in {2, 3} or "Y" not in self.axes or "X" not in self.axes:
            shape = "x".join(str(length) for length in self.series.shape)
            raise DecodeError(
                "unreadable",
                self.ref,
                f"holds a stack of {self.pages.number} pages (axes {self.series.axes}, {shape}), but an image is one "
                "page with its channels",
                "save each page as its own file",
            )
        height, width = self.size
        bands = int(np.prod(self.shape)) // max(1, height * width)
        require_room(self.ref, (height, width), bands * max(1, self.series.dtype.itemsize))


def _pages(series: list[Any]) -> tuple[Pages, NDArray[np.intp]]:
    """Count the pages of all series, and number the frames (pages, channels) of each page of one series."""
    first = series[0]
    alike = all((other.shape, other.axes, other.dtype) == (first.shape, first.axes, first.dtype) for other in series)
    inner = len(first.keyframe.shape)
    outer, axes = first.shape[:-inner], first.axes[: len(first.shape) - inner]
    if first.shape[-inner:] != first.keyframe.shape:
        outer, axes = (), ""
    named = [place for place, axis in enumerate(axes) if axis != "C"]
    stacked = named or list(range(len(axes)))
    rest = [place for place in range(len(axes)) if place not in stacked]
    count = math.prod(outer[place] for place in stacked)
    grid = np.arange(math.prod(outer)).reshape(outer).transpose(*stacked, *rest).reshape(count, -1)
    if len(series) > 1 and alike:
        return Pages(count * len(series)), grid
    if _channels_last(first.axes, first.shape):
        return Pages(1), grid
    few = len(first.shape) == 3 and (axes == "C" or (axes in {"I", "Q"} and count <= _MOST_CHANNELS))
    return Pages(count, may_be_channels=few), grid


def _channels_last(axes: str, shape: tuple[int, ...]) -> bool:
    """Tell whether three axes of which the writer did not name the first are rows, columns and channels."""
    if "Q" not in axes or len(shape) != 3:
        return False
    first, _, last = shape
    return last <= _MOST_CHANNELS and not (first <= _MOST_CHANNELS and first < last)


def _values(tiff: _Tiff) -> NDArray[Any]:
    """Decode the pixels as stored, (H, W) or (H, W, C), with the library that can."""
    try:
        array = tiff.array()
    except _ERRORS as error:
        if "imagecodecs" in str(error):
            return _by_libtiff(tiff)
        cut = any(word in str(error) for word in ("failed to read", "truncated", "incomplete", "not enough"))
        raise DecodeError(
            "truncated" if cut else "unreadable", tiff.ref, f"cannot be decoded ({error})", _COPY_AGAIN
        ) from None
    return np.moveaxis(array, tiff.axes.index("C"), 2) if array.ndim == 3 and "C" in tiff.axes else array


def _by_libtiff(tiff: _Tiff) -> NDArray[Any]:
    if tiff.photometric == _PALETTE or tiff.series.dtype == bool:
        return np.array(_by_pillow(tiff, None))
    with tiff.ref.path.open("rb") as stream:
        data = np.frombuffer(stream.read(), np.uint8)
    flags, place = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION, tiff.place()
    try:
        if place:
            _, found = cv2.imdecodemulti(data, flags, range=(place, place + 1))
            pixels = found[0] if found else None
        else:
            pixels = cv2.imdecode(data, flags)
    except cv2.error:
        pixels = None
    bands = int(np.prod(tiff.shape)) // max(1, tiff.size[0] * tiff.size[1])
    if pixels is None or pixels.shape[:2] != tiff.size or rgb_from_bgr(pixels).shape[2] != bands:
        raise DecodeError(
            "unreadable",
            tiff.ref,
            f"holds {bands} bands with TIFF compression {tiff.compression}, which needs imagecodecs",
            "run pip install imagecodecs, or save it uncompressed or with deflate",
        )
    pixels = rgb_from_bgr(pixels)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _by_pillow(tiff: _Tiff, mode: str | None) -> Any:
    try:
        with tiff.ref.path.open("rb") as stream:
            picture = TiffImagePlugin.TiffImageFile(stream)
            picture.seek(tiff.place())
            picture.load()
    except (*_ERRORS, SyntaxError) as error:
        raise DecodeError("unreadable", tiff.ref, f"cannot be decoded ({error})", _COPY_AGAIN) from None
    return picture.convert(mode) if mode else picture
