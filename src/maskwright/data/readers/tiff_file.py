"""What the header of a TIFF says: its pages, the axes of one of them, its colours. Decodes no pixel but plain ones.

The pages of a stack are counted over its axes of slices, times and positions, in the order of the file; the axes of
rows, columns, channels and samples belong to one page. Pages of equal size and type that each stand alone are a stack
too; pages of other sizes (thumbnails, the levels of a pyramid) are not.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.data.readers.arrays import number, require_room
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef

# A codec that this Python lacks is an ImportError.
ERRORS = (*(OSError, ValueError, IndexError, KeyError, TypeError, RuntimeError, ImportError, struct.error, zlib.error),)
COPY_AGAIN = "copy it again from its source, or remove it"
MIN_IS_WHITE, PALETTE, SEPARATED, YCBCR = 0, 3, 5, 6
JPEG = {6, 7}
_COLOURS = {8: "CIELab", 9: "ICCLab", 10: "ITULab", 32844: "LogL", 32845: "LogLuv"}
_ALPHA = {1, 2}  # values of the tag ExtraSamples: associated and unassociated alpha; 0 is an ordinary channel
_PHOTOMETRIC, _ORIENTATION, _GDAL_NODATA = 262, 274, 42113

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


class TiffImage:
    """An open TIFF, a whole file or one page of it: its header is read, its pixels are not."""

    def __init__(self, ref: ImageRef, kind: str) -> None:
        # Imported here, because importing tifffile takes longer than most commands take to answer.
        import tifffile

        self.ref = ref
        # Opened here, because TiffFile does not close a file that it cannot read.
        self._stream = ref.path.open("rb")
        try:
            self._file = tifffile.TiffFile(self._stream)
            if not self._file.series:
                raise DecodeError("unreadable", ref, "holds no page: it is damaged, or was cut off", COPY_AGAIN)
            self.series, self.frames = self._file.series[0], [0]
            self.axes, self.shape = self.series.axes, self.series.shape
            self.pages, self._grid = _pages(self._file.series)
            self._whole = ref.page is None or (ref.page == 0 and self.pages.number == 1)
            if not self._whole:
                self._select(int(ref.page or 0))
            self._read_tags(self._first_frame())
        except DecodeError:
            self._stream.close()
            raise
        except (*ERRORS, tifffile.TiffFileError) as error:
            self._stream.close()
            raise DecodeError("unreadable", ref, f"cannot be read as {kind.upper()} ({error})", COPY_AGAIN) from None

    def __enter__(self) -> TiffImage:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _first_frame(self) -> Any:
        """Return the (first) frame of the image with all its tags.

        Frames that follow one another uncompressed are like the first of them, which may be the only one in the header.
        """
        if self.series.dataoffset is not None:
            return self.series.keyframe
        return self._file.pages.get(self.series.pages[self.frames[0]].index, aspage=True)

    def _read_tags(self, page: Any) -> None:
        """Keep what the tags of a frame say about its pixels, and its place in the file, as libtiff counts them."""
        self.place = int(page.index)
        photometric, turned, nodata = (page.tags.get(code) for code in (_PHOTOMETRIC, _ORIENTATION, _GDAL_NODATA))
        # Without the tag, which is required, values are taken as they are.
        self.photometric = int(page.photometric) if photometric is not None else 1
        self.photometric_offset = photometric.valueoffset if photometric is not None else None
        self.compression, self.bits = int(page.compression), int(page.bitspersample)
        self.orientation = int(turned.value) if turned is not None and 1 <= int(turned.value) <= 8 else 1
        self.nodata = number(getattr(nodata, "value", None))
        self.lossy = self.compression in JPEG
        self._colormap = page.colormap
        self._extra = tuple(int(kind) for kind in page.extrasamples) if page.samplesperpixel > 1 else ()

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
    def band_axis(self) -> int | None:
        """The axis that is neither rows nor columns, by its name; None for an image of two axes."""
        if len(self.shape) == 2:
            return None
        if _channels_last(self.axes, self.shape):
            return 2
        return next(place for place, axis in enumerate(self.axes) if axis not in "YX")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as stored."""
        sides = [length for place, length in enumerate(self.shape) if place != self.band_axis]
        return sides[0], sides[1]

    @property
    def bands(self) -> int:
        """Number of channels as stored, alpha included."""
        return 1 if self.band_axis is None else self.shape[self.band_axis]

    @property
    def byteorder(self) -> str:
        """`<` or `>`, as `struct` takes it."""
        return str(self._file.byteorder)

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

    def read(self, offset: int, count: int) -> bytes:
        """Return bytes of the file, fewer at its end."""
        self._stream.seek(offset)
        return self._stream.read(count)

    def mask_page(self) -> Any:
        """Return the page that marks the valid pixels of a single image, as GDAL writes it; None without one."""
        if not self._whole or self.pages.number > 1:
            return None
        masks = (other.keyframe for other in self._file.series if other.keyframe.is_mask)
        return next((page for page in masks if tuple(page.shape) == self.size), None)

    @property
    def has_palette(self) -> bool:
        """Whether values are indices of a table of colours."""
        return self.photometric == PALETTE

    def palette(self) -> NDArray[np.uint8]:
        """Return the colour table (256, 3)."""
        table = np.zeros((256, 3), np.uint8)
        colors = (np.asarray(self._colormap).T >> 8).astype(np.uint8)[:256]
        table[: len(colors)] = colors
        return table

    def without_alpha(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return (H, W, C) without its channels of alpha."""
        return np.delete(pixels, self.alpha_of(pixels), axis=2)

    def alpha_of(self, pixels: NDArray[Any]) -> list[int]:
        """Return which channels of (H, W, C) the tag ExtraSamples, which lists the last ones, calls alpha."""
        first = pixels.shape[2] - len(self._extra)
        return [first + place for place, kind in enumerate(self._extra) if kind in _ALPHA] if first > 0 else []

    def check(self) -> None:
        """Refuse what is not one image, or too large to decode.

        Raises:
            DecodeError: the file is a stack, too large, or in colours that nothing here converts to RGB.
        """
        stack = self._whole and self.pages.number > 1 and not self.pages.may_be_channels
        if stack or len(self.shape) not in {2, 3} or "Y" not in self.axes or "X" not in self.axes:
            shape = "x".join(str(length) for length in self.series.shape)
            raise DecodeError(
                "unreadable",
                self.ref,
                f"holds a stack of {self.pages.number} pages (axes {self.series.axes}, {shape}), and an image is one "
                "page with its channels",
                "save each page as its own file",
            )
        if self.photometric in _COLOURS:
            colours = _COLOURS[self.photometric]
            raise DecodeError("unreadable", self.ref, f"holds {colours} colours, not RGB", "save it as RGB")
        require_room(self.ref, self.size, self.bands * max(1, self.series.dtype.itemsize))


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
