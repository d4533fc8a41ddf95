"""An image as rows of network input, prepared no earlier than they are needed. Knows no network and no file."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.ops.images import prepare, resize_image, working_size_of
from maskwright.ops.no_data import missing, no_data
from maskwright.ops.resize_rows import ResizedRows
from maskwright.ops.rows import as_rows, columns_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from maskwright.core.plan import DataPlan
    from maskwright.ops.rows import RowSource

BAND = 256  # rows of the image that are converted at a time


class PreparedImage:
    """An image of any dtype and size, seen as uint8 rows at working resolution.

    At scale 1 the rows are prepared on demand, so that no second copy of the image is made. At any other scale the
    whole working image of an array is kept as uint8; that of an image which is read by rows is made by bands
    (`ops.resize_rows`), which may differ from it by one of 255 levels.

    Attributes:
        size: (height, width) of the image itself.
        working: (height, width) of what the network sees.
        on_demand: the image is read by rows, and is no array.

    Args:
        image: the image.
        data: how it is prepared.
        columns: of the working resolution that `rows` gives; None for all. At scale 1 no others are read.
    """

    def __init__(self, image: NDArray[Any] | RowSource, data: DataPlan, columns: range | None = None) -> None:
        self._source = whole = as_rows(image)
        self.size: tuple[int, int] = whole.size
        self.working = working_size_of(self.size, data)
        self._left, self._chosen = 0, slice(None)
        if columns is not None and self.working == self.size:
            self._source = columns_of(whole, columns)
            self._left = columns.start
        elif columns is not None:
            self._chosen = slice(columns.start, columns.stop)
        self.on_demand = not isinstance(image, np.ndarray)
        if isinstance(image, np.ndarray):
            self._left, self._holes = 0, Holes(whole, no_data(image))
        else:
            self._source = self._holes = Holes(self._source)
        self._points = data.unscaled()
        self._prepared = self._at_working_resolution(image, data)

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return working rows start..stop as uint8 (stop - start, width, channels).

        Raises:
            MaskwrightError: channels or values that the plan does not fit.
        """
        return self._prepared(start, stop)[:, self._chosen]

    def gone(self, rows: slice, columns: slice) -> NDArray[np.bool_] | None:
        """Return which pixels of a part of the image have no data; None if all have some.

        Of an image that is read by rows, only what `rows` has needed and `finished` has not let go is known.
        """
        return self._holes.within(rows, slice(columns.start - self._left, columns.stop - self._left))

    def finished(self, row: int) -> None:
        """Say that the pixels above a row of the image are not asked for any more."""
        self._holes.drop(row)

    def _at_working_resolution(
        self, image: NDArray[Any] | RowSource, data: DataPlan
    ) -> Callable[[int, int], NDArray[np.uint8]]:
        if self.working == self.size:
            return self._plain
        if not isinstance(image, np.ndarray):
            return ResizedRows(self._by_bands, self.size, self.working, data.resize).rows
        plain = image.dtype == np.uint8 and self._points.value_range is None and missing(image) is None
        whole = self._source.rows(0, self.size[0])
        if not (plain and self._source.channels == self._points.channels):
            whole = self._by_bands(0, self.size[0])
        resized = resize_image(np.asarray(whole), self.working, data.resize)
        return lambda start, stop: resized[start:stop]

    def _plain(self, start: int, stop: int) -> NDArray[np.uint8]:
        return prepare(self._source.rows(start, stop), self._points)

    def _by_bands(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return rows of the image as uint8, a band at a time: no float array of their size."""
        pixels = np.empty((stop - start, self.size[1], self._points.channels), np.uint8)
        for first in range(start, stop, BAND):
            last = min(first + BAND, stop)
            pixels[first - start : last - start] = self._plain(first, last)
        return pixels


class Holes:
    """An image that is read by rows, which remembers where the rows read last have no data.

    It stands between an image and its preparation, so that rows are read once.

    Args:
        source: the image.
        known: the pixels (H, W) of the whole image that have no data, if it is an array that is not read through this.
    """

    def __init__(self, source: RowSource, known: NDArray[np.bool_] | None = None) -> None:
        self._source = source
        self.size, self.channels, self.dtype = source.size, source.channels, source.dtype
        self._bands = [] if known is None else [(0, self.size[0], known)]
        self._lock = Lock()  # rows are read ahead in another thread

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows start..stop of the image."""
        found = self._source.rows(start, stop)
        gone = no_data(found)
        if gone is not None:
            with self._lock:
                self._bands.append((start, stop, gone))
        return found

    def drop(self, above: int) -> None:
        """Forget the rows above a row."""
        with self._lock:
            self._bands = [band for band in self._bands if band[1] > above]

    def within(self, rows: slice, columns: slice) -> NDArray[np.bool_] | None:
        """Return which pixels of a part have no data; None if all have some."""
        with self._lock:
            bands = [band for band in self._bands if band[0] < rows.stop and band[1] > rows.start]
        if not bands:
            return None
        found = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
        for start, stop, gone in bands:
            first, last = max(start, rows.start), min(stop, rows.stop)
            found[first - rows.start : last - rows.start] |= gone[first - start : last - start, columns]
        return found
