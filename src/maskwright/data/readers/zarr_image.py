"""The pixels of an image in a Zarr store, whole or by rows. Knows no labels.

zarr-python decodes the chunks. What it could run is limited first: of its codecs, one unpickles.
"""

from __future__ import annotations

import lzma
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.optional import optional
from maskwright.core.pixel_size import UNIT_NAMES, UNITS, PixelSize
from maskwright.data.readers.arrays import RawMask, plain_mask, plain_pixels, require_room
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.mask_channels import without_one_hot
from maskwright.data.readers.tiff_file import ERRORS, Pages
from maskwright.data.readers.zarr_chunks import TooLargeError, bounded_store, chain_of
from maskwright.data.readers.zarr_store import COPY_AGAIN, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef
    from maskwright.data.readers.zarr_store import Layout

_ERRORS = (*ERRORS, lzma.LZMAError, EOFError, ArithmeticError, AttributeError, AssertionError, NotImplementedError)
_CUT = ("truncated", "incomplete", "cannot reshape", "buffer", "not enough", "end of")
_CODECS = frozenset(
    {"bytes", "transpose", "sharding_indexed", "blosc", "gzip", "zlib", "zstd", "bz2", "lzma", "lz4", "packbits"}
    | {"crc32c", "crc32", "adler32", "fletcher32", "shuffle", "delta", "astype", "bitround", "fixedscaleoffset"}
    | {"quantize"}
)
"""Those that compress or rearrange numbers. Others run code that is stored (pickle), or hold no numbers."""
_LARGEST_CHUNK, _LARGEST_ROW = 1 << 28, 1 << 30
"""Bytes of a chunk as it is declared, and of the chunks beside one another: they have to be held."""
_MOST_CHUNKS, _MOST_PIXELS = 1 << 22, 1 << 36
"""Of one page; and of chunks in a shard. A store need not hold what it claims, so nothing else limits it."""
_SAVE_AGAIN = "save it again compressed by zstd, blosc or gzip alone, or remove it"
_SHORT = {name: unit for unit, name in UNIT_NAMES.items()}


def size(ref: ImageRef, _kind: str) -> tuple[int, int]:
    """Return (height, width) in pixels, from the metadata alone."""
    return layout_of(ref).size()


def pages(ref: ImageRef) -> Pages:
    """Count the times and slices, from the metadata alone."""
    return Pages(max(1, math.prod(layout_of(ref).pages)))


def pixel_size(ref: ImageRef, level: int = 0) -> PixelSize | None:
    """Return the size of the pixels of a level; None where nobody says, or they are not square.

    Raises:
        DecodeError: no image.
    """
    layout = layout_of(ref)
    if not layout.scales or level >= len(layout.scales):
        return None
    places = [layout.axes.index(axis) for axis in "yx"]
    (height, width), units = (layout.scales[level][place] for place in places), {layout.units[p] for p in places}
    unit = _unit(units.pop()) if len(units) == 1 else None
    if unit is None or not 0 < width < math.inf or abs(width - height) > 1e-3 * width:
        return None
    return PixelSize(width, unit)


def _unit(name: object) -> str | None:
    short = _SHORT.get(str(name), str(name).replace("\N{MICRO SIGN}", "u"))
    return short if short in UNITS else None


def image(ref: ImageRef, _kind: str) -> NDArray[Any]:
    """Decode to (H, W, C)."""
    return plain_pixels(ref, _whole(ref))


def mask(ref: ImageRef, _kind: str) -> RawMask:
    """Decode to values (H, W), colours (H, W, 3), or one-hot channels (H, W, C)."""
    array = _whole(ref)
    return plain_mask(ref, array[..., 0] if array.shape[2] == 1 else without_one_hot(ref, array, alpha=False))


def _whole(ref: ImageRef) -> NDArray[Any]:
    stored = _Stored(ref, layout_of(ref), 0)
    require_room(ref, stored.size, stored.channels * max(4, stored.dtype.itemsize))
    return stored.rows(0, stored.size[0])


class ZarrRows:
    """One image in a Zarr store, read by rows; see `ops.rows.RowSource`.

    Args:
        ref: the folder of the image.
        level: of a pyramid; 0 is the largest.

    Attributes:
        levels: (height, width) of every level.
        place: None: Zarr does not say where on Earth an image lies.

    Raises:
        DecodeError: no such image, page or level, or one that cannot be read in parts; the message says why.
    """

    place = None

    def __init__(self, ref: ImageRef, level: int = 0) -> None:
        layout = layout_of(ref)
        self.levels = [layout.size(number) for number in range(len(layout.levels))]
        self._ref, self._stored = ref, _Stored(ref, layout, level)
        self.size = self._stored.size
        self._top, self._kept = 0, self._stored.rows(0, 0)
        first = self.rows(0, 1)
        self.channels, self.dtype = int(first.shape[2]), first.dtype

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows start..stop as `data.readers.read_image` gives those of a whole image.

        Raises:
            DecodeError: damaged.
        """
        length, height = self._stored.chunk_height, self.size[0]
        if not self._top <= start <= self._top + len(self._kept):
            self._top, self._kept = start // length * length, self._kept[:0]
        first, bottom = start // length * length, self._top + len(self._kept)
        self._kept, self._top = self._kept[min(first, bottom) - self._top :], min(first, bottom)
        if stop > bottom:
            below = self._stored.rows(bottom, min(-(-stop // length) * length, height))
            self._kept = np.concatenate([self._kept, below]) if len(self._kept) else below
        return plain_pixels(self._ref, self._kept[start - self._top : stop - self._top])

    def close(self) -> None:
        """Do nothing: no file stays open."""


class _Stored:
    """The numbers of one page of one level, as they are stored."""

    def __init__(self, ref: ImageRef, layout: Layout, level: int) -> None:
        if level >= len(layout.levels):
            count = len(layout.levels)
            held = f"levels 0 to {count - 1}" if count > 1 else "level 0 only"
            raise DecodeError("unreadable", ref, f"has no level {level}, but {held}", "ask for one of these")
        self._ref, self._axes, self._shape = ref, layout.axes, layout.shape(level)
        self._page = _page(ref, layout)
        self._check_pages(layout)
        self.size: tuple[int, int] = layout.size(level)
        self.channels = self._shape[self._axes.index("c")] if "c" in self._axes else 1
        _check_codecs(ref, layout.levels[level].metadata)
        zarr = optional("zarr", "zarr")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what the standard does not allow, though it can be read
                store = bounded_store(layout.levels[level].folder, chain_of(layout.levels[level].metadata))
                self._array = zarr.open_array(store=store, mode="r")
            self._chunks = tuple(int(length) for length in self._array.chunks)
            self.dtype = np.dtype(self._array.dtype)
            store.bound(self._chunks, self._array.shards, self.dtype.itemsize)
        except TooLargeError as error:
            raise DecodeError("bomb", ref, str(error), _SAVE_AGAIN) from None
        except _ERRORS as error:
            message = f"cannot be read as Zarr ({_first_line(error)})"
            raise DecodeError("unreadable", ref, message, COPY_AGAIN) from None
        self._check_room()
        self.chunk_height = max(1, self._chunks[self._axes.index("y")])

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return (stop - start, width, channels)."""
        page = iter(self._page)
        rows = {"y": slice(start, stop)}
        place = tuple(next(page) if axis in "tz" else rows.get(axis, slice(None)) for axis in self._axes)
        if start == stop:
            return np.empty((0, self.size[1], self.channels), self.dtype)
        try:
            found = np.asarray(self._array[place])
        except TooLargeError as error:
            raise DecodeError("bomb", self._ref, str(error), _SAVE_AGAIN) from None
        except _ERRORS as error:
            cut = any(word in str(error).lower() for word in _CUT)
            message = f"cannot be decoded in rows {start} to {stop - 1} ({_first_line(error)})"
            raise DecodeError("truncated" if cut else "unreadable", self._ref, message, COPY_AGAIN) from None
        left = [axis for axis in self._axes if axis not in "tz"]
        if "c" not in left:
            found, left = found[..., None], [*left, "c"]
        return found.transpose([left.index(axis) for axis in "yxc"])

    def _check_pages(self, layout: Layout) -> None:
        """Refuse levels of which each has other pages: they are no pyramid of one page."""
        same = [
            axis in "yx" or own == first
            for axis, own, first in zip(self._axes, self._shape, layout.shape(), strict=True)
        ]
        if not all(same):
            message = (
                f"has a level of {'x'.join(map(str, self._shape))} beside one of {'x'.join(map(str, layout.shape()))}"
            )
            cure = "save a pyramid whose levels differ in y and x alone, or predict level 0"
            raise DecodeError("unreadable", self._ref, message, cure)

    def _check_room(self) -> None:
        """Refuse what is too large, whatever its files hold."""
        (height, width), itemsize = self.size, max(1, self.dtype.itemsize)
        if height < 1 or width < 1 or self.channels < 1:
            message = f"is {width}x{height} pixels of {self.channels} channels"
            raise DecodeError("unreadable", self._ref, message, "save it again with at least one pixel")
        tall, wide = (
            min(self._chunks[self._axes.index(axis)], side) for axis, side in zip("yx", self.size, strict=True)
        )
        chunks = math.ceil(height / max(1, tall)) * math.ceil(width / max(1, wide))
        if height * width > _MOST_PIXELS or chunks > _MOST_CHUNKS:
            message = f"claims to hold {width}x{height} pixels in {chunks:,} chunks"
            cure = f"save it in larger chunks, with at most {_MOST_PIXELS:,} pixels, or remove it"
            raise DecodeError("bomb", self._ref, message, cure)
        chunk, row = itemsize * math.prod(self._chunks), itemsize * self.channels * tall * width
        if chunk > _LARGEST_CHUNK or row > _LARGEST_ROW:
            shape = "x".join(map(str, self._chunks))
            message = f"is stored in chunks of {shape}: {chunk / 2**20:,.0f} MiB each, {row / 2**20:,.0f} MiB in a row"
            raise DecodeError("bomb", self._ref, message, "save it in smaller chunks, such as 1024x1024")


def _page(ref: ImageRef, layout: Layout) -> tuple[int, ...]:
    """Return the place of the page along the axes of times and slices."""
    count = math.prod(layout.pages)
    if ref.page is None and count > 1:
        axes = "".join(axis for axis in layout.axes if axis in "tz")
        message = f"holds {count} pages (axes {axes}), but an image is one page with its channels"
        raise DecodeError("unreadable", ref, message, "name the page")
    page = ref.page or 0
    if not 0 <= page < count:
        held = f"pages 0 to {count - 1}" if count > 1 else "page 0 only" if count else "no page"
        raise DecodeError("unreadable", ref, f"does not exist: the store holds {held}", "ask for one of these")
    return tuple(int(place) for place in np.unravel_index(page, layout.pages)) if layout.pages else ()


def _check_codecs(ref: ImageRef, metadata: dict[str, Any]) -> None:
    """Refuse codecs that nothing here decodes, or that would run what is stored."""
    for name in _codec_names(metadata.get("compressor"), metadata.get("filters"), metadata.get("codecs")):
        if name.removeprefix("numcodecs.") not in _CODECS:
            message = f"is stored with the codec {name!r}, which is not read"
            raise DecodeError("unreadable", ref, message, "save it compressed by zstd, blosc or gzip")


def _codec_names(*found: Any) -> Iterator[str]:
    for entry in found:
        if isinstance(entry, list):
            yield from _codec_names(*entry)
        elif isinstance(entry, dict):
            yield str(entry.get("id", entry.get("name")))
            inner = entry.get("configuration")
            if isinstance(inner, dict):
                yield from _codec_names(inner.get("codecs"), inner.get("index_codecs"))
        elif entry is not None:
            yield str(entry)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
