"""Large TIFF images by rows: the tiles or strips that some rows need are decoded, and nothing else. Knows no labels.

tifffile decodes what is uncompressed, or compressed by deflate, LZMA or PackBits, and OpenCV what is compressed by
JPEG, as the scans of slides are. The levels of a pyramid are images of their own sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.data.readers import tiff as whole_tiff
from maskwright.data.readers.arrays import rgb_from_bgr, turn
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.geotiff import georeference
from maskwright.data.readers.tiff_file import COPY_AGAIN, ERRORS, JPEG, MIN_IS_WHITE, PALETTE, YCBCR, TiffImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef
    from maskwright.ops.rows import RowSource

_RGB, _MIN_IS_BLACK, _JPEG = 2, 1, 7
_LARGEST_SEGMENT = 1 << 28
"""Bytes of a compressed strip or tile, decoded: it has to be held whole."""


class TiffRows:
    """One image in a TIFF, read by rows; see `ops.rows.RowSource`.

    Args:
        ref: the file.
        level: of a pyramid; 0 is the largest.

    Attributes:
        levels: (height, width) of every level.
        place: where on Earth the pixels of the level lie, if the file says so.

    Raises:
        DecodeError: no such image or level, or one that cannot be read in parts; the message says why.
    """

    def __init__(self, ref: ImageRef, level: int = 0) -> None:
        self._tiff = TiffImage(ref, "tiff")
        try:
            page = _only_page(self._tiff, level)
            _check(self._tiff, page)
            self._pixels = _Segments(self._tiff, page)
            mask = self._tiff.mask_page() if level == 0 else None
            self._mask = None if mask is None else _Segments(self._tiff, mask)
            self.levels = [
                (int(each.keyframe.imagelength), int(each.keyframe.imagewidth)) for each in _levels(self._tiff)
            ]
            self.size: tuple[int, int] = self.levels[level]
            place = georeference(_levels(self._tiff)[0].keyframe)
            down, across = (whole / part for whole, part in zip(self.levels[0], self.size, strict=True))
            self.place = place if place is None or level == 0 else place.at_level(down, across)
            first = self.rows(0, 1)
        except BaseException:
            self.close()
            raise
        self.channels, self.dtype = int(first.shape[2]), first.dtype

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows start..stop as `data.readers.read_image` gives those of a whole image.

        Raises:
            DecodeError: damaged, or compressed in a way that tifffile does not decode.
        """
        return self.image(self._pixels, self._mask, start, stop)

    def part(self, columns: range) -> RowSource:
        """Return some columns as an image, for which no other tiles are decoded; it lives as long as this file."""
        mask = None if self._mask is None else self._mask.part(columns)
        return _Columns(self, columns, self._pixels.part(columns), mask)

    def image(self, pixels: _Segments, mask: _Segments | None, start: int, stop: int) -> NDArray[Any]:
        """Return rows of segments of this file."""
        gone = None if mask is None else mask.rows(start, stop)[..., 0] == 0
        return whole_tiff.rows_image(self._tiff, pixels.rows(start, stop), gone)

    def close(self) -> None:
        """Close the file."""
        self._tiff.__exit__()


class _Columns:
    """Some columns of a TIFF that is read by rows."""

    def __init__(self, whole: TiffRows, columns: range, pixels: _Segments, mask: _Segments | None) -> None:
        self._whole, self._pixels, self._mask = whole, pixels, mask
        self.size = whole.size[0], len(columns)
        self.channels, self.dtype = whole.channels, whole.dtype

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return the columns of rows start..stop."""
        return self._whole.image(self._pixels, self._mask, start, stop)


def _levels(tiff: TiffImage) -> list[Any]:
    return list(tiff.series.levels)


def _only_page(tiff: TiffImage, level: int) -> Any:
    """Return the page that is a level of the image.

    Raises:
        DecodeError: the image lies in several pages, or has no such level.
    """
    if len(tiff.frames) > 1 or tiff.pages.number > 1:
        message = f"holds its image in {max(len(tiff.frames), tiff.pages.number)} pages, and is too large to be decoded"
        raise DecodeError("bomb", tiff.ref, message, "save its channels in one page (planarconfig contig)")
    levels = _levels(tiff)
    if level >= len(levels):
        held = f"levels 0 to {len(levels) - 1}" if len(levels) > 1 else "level 0 only"
        raise DecodeError("unreadable", tiff.ref, f"has no level {level}, but {held}", "ask for one of these")
    return levels[level].keyframe


def _check(tiff: TiffImage, page: Any) -> None:
    """Refuse what cannot be read by rows."""
    ref = tiff.ref
    if turn(ref, tiff.orientation) != 1:
        raise DecodeError("unreadable", ref, f"has the orientation {tiff.orientation}", "save it upright")
    as_rgb = page.compression in JPEG and tiff.photometric == YCBCR
    if tiff.photometric not in {MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, PALETTE} and not as_rgb:
        message = f"holds colours of the kind {page.photometric.name}, which are not read in parts"
        raise DecodeError("unreadable", ref, message, "save it as RGB")
    length = page.tilelength if page.is_tiled else page.rowsperstrip
    width = page.tilewidth if page.is_tiled else page.imagewidth
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    size = min(length, page.imagelength) * width * samples * max(1, page.dtype.itemsize)
    if page.compression != 1 and size > _LARGEST_SEGMENT:
        message = f"is compressed in pieces of {size / 2**20:,.0f} MiB, each of which must be decoded whole"
        raise DecodeError("bomb", ref, message, "save it in tiles: tifffile.imwrite(name, array, tile=(512, 512))")


class _Segments:
    """The tiles or strips of one page, or of some columns of it. The row of them that was decoded last is kept."""

    def __init__(self, tiff: TiffImage, page: Any, columns: range | None = None) -> None:
        self._tiff, self._page = tiff, page
        self._columns = range(int(page.imagewidth)) if columns is None else columns
        self._width, self._height = int(page.imagewidth), int(page.imagelength)
        self._across = -(-self._width // page.tilewidth) if page.is_tiled else 1
        self._length = int(page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength))
        self._samples = int(page.samplesperpixel)
        self._planes = self._samples if page.planarconfig == 2 else 1
        self._dtype = np.dtype(page.dtype)
        self._kept: dict[int, NDArray[Any]] = {}

    def part(self, columns: range) -> _Segments:
        """Return some of the columns."""
        return _Segments(self._tiff, self._page, columns)

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return the columns of stored rows start..stop, (stop - start, width, samples)."""
        found = np.empty((stop - start, len(self._columns), self._samples), self._dtype)
        first, last = start // self._length, -(-stop // self._length)
        self._kept = {row: pixels for row, pixels in self._kept.items() if row >= first}
        for row in range(first, last):
            top = row * self._length
            begin, end = max(start, top), min(stop, top + self._length)
            if self._is_raw():
                pixels, left = self._raw(row, begin - top, end - top), 0
            else:
                pixels, left = self._decoded(row)
                pixels = pixels[begin - top : end - top]
            wanted = slice(self._columns.start - left, self._columns.stop - left)
            found[begin - start : end - start] = pixels[:, wanted]
        return found

    def _is_raw(self) -> bool:
        """Whether the bytes of a strip are those of its rows."""
        page = self._page
        plain = page.compression == 1 and page.predictor == 1 and page.fillorder == 1 and self._planes == 1
        return bool(plain and not page.is_tiled and page.bitspersample == 8 * self._dtype.itemsize)

    def _raw(self, row: int, begin: int, end: int) -> NDArray[Any]:
        """Read some rows of an uncompressed strip."""
        wide = self._width * self._samples * self._dtype.itemsize
        offset = self._page.dataoffsets[row] + begin * wide
        data = self._bytes(offset, (end - begin) * wide)
        stored = np.frombuffer(data, self._dtype.newbyteorder(self._tiff.byteorder))
        return stored.reshape(end - begin, self._width, self._samples)

    def _decoded(self, row: int) -> tuple[NDArray[Any], int]:
        """Decode those of a row of tiles that hold the columns, or a strip; also return its first column."""
        wide = int(self._page.tilewidth) if self._page.is_tiled else self._width
        first, last = self._columns.start // wide, -(-self._columns.stop // wide)
        if row in self._kept:
            return self._kept[row], first * wide
        width = min(last * wide, self._width) - first * wide
        found = np.zeros((self._length, width, self._samples), self._dtype)
        down = -(-self._height // self._length)
        for plane in range(self._planes):
            for column in range(first, last):
                index = (plane * down + row) * self._across + column
                self._decode(index, found[:, (column - first) * wide :, plane:])
        self._kept = {row: found}
        return found, first * wide

    def _decode(self, index: int, place: NDArray[Any]) -> None:
        """Decode one tile or strip into the corner of its place; what the file leaves out stays 0."""
        page = self._page
        count = page.databytecounts[index]
        if not count:
            return
        data = self._bytes(page.dataoffsets[index], count)
        try:
            if page.compression == _JPEG and page.bitspersample == 8:
                pixels = _from_jpeg(data, page.jpegtables, self._samples // self._planes, page.photometric == YCBCR)
            else:
                pixels = page.decode(data, index)[0][0]
        except (*ERRORS, cv2.error) as error:
            raise _undecodable(self._tiff, page, error) from None
        part = place[: pixels.shape[0], : pixels.shape[1], : pixels.shape[2]]
        part[:] = pixels[: part.shape[0], : part.shape[1]]  # tiles at the edges reach beyond the image

    def _bytes(self, offset: int, count: int) -> bytes:
        data = self._tiff.read(offset, count)
        if len(data) < count:
            raise DecodeError("truncated", self._tiff.ref, "ends before its last pixels", COPY_AGAIN)
        return data


def _from_jpeg(data: bytes, tables: bytes | None, samples: int, as_ycbcr: bool) -> NDArray[np.uint8]:
    """Decode a tile to (h, w, samples).

    The tables of all tiles stand apart; and where no JFIF marker says what colours they are, Adobe's does: 1 means
    YCbCr, 0 none.
    """
    start, adobe = b"\xff\xd8", b"\xff\xee\x00\x0eAdobe\x00d\x00\x00\x00\x00" + bytes([int(as_ycbcr)])
    whole = start + (adobe if samples == 3 else b"") + (tables or start + b"\xff\xd9")[2:-2] + data[2:]
    found = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if found is None or (1 if found.ndim == 2 else found.shape[2]) != samples:
        raise ValueError(f"a tile is no JPEG of {samples} channels")
    return rgb_from_bgr(found)


def _undecodable(tiff: TiffImage, page: Any, error: Exception) -> DecodeError:
    if "imagecodecs" in str(error) or isinstance(error, ImportError):
        message = f"is compressed by {page.compression.name}, which is not decoded in parts"
        return DecodeError(
            "unreadable", tiff.ref, message, "run pip install imagecodecs, or save it compressed by deflate"
        )
    return DecodeError("unreadable", tiff.ref, f"cannot be decoded ({error})", COPY_AGAIN)
