"""Images that are read row by row, so that one larger than the memory can be used. Knows no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RowSource(Protocol):
    """An image of which any rows can be asked for; reading from the top to the bottom is fastest.

    Attributes:
        size: (height, width).
        channels: of every pixel.
        dtype: of the rows, masked or NaN where the image has no data (`ops.no_data`).
    """

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""

    @property
    def channels(self) -> int:
        """Channels of every pixel."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the rows."""

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows start..stop as (stop - start, width, channels)."""


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """An array (H, W) or (H, W, C) as a `RowSource`; its rows are views."""

    array: NDArray[Any]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.array.shape[0], self.array.shape[1]

    @property
    def channels(self) -> int:
        """Channels of every pixel."""
        return 1 if self.array.ndim == 2 else self.array.shape[2]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the array."""
        return self.array.dtype

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return a view of rows start..stop."""
        part = self.array[start:stop]
        return part[:, :, None] if part.ndim == 2 else part


@runtime_checkable
class InParts(Protocol):
    """An image by rows that spares the work on the columns that nobody wants."""

    def part(self, columns: range) -> RowSource:
        """Return some of the columns as an image."""


@dataclass(frozen=True, eq=False)
class ColumnRows:
    """Some columns of an image by rows, which gives all of them."""

    source: RowSource
    columns: range

    @property
    def size(self) -> tuple[int, int]:
        """Height, and number of the columns."""
        return self.source.size[0], len(self.columns)

    @property
    def channels(self) -> int:
        """Channels of every pixel."""
        return self.source.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the rows."""
        return self.source.dtype

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return the columns of rows start..stop."""
        return self.source.rows(start, stop)[:, self.columns.start : self.columns.stop]


def columns_of(source: RowSource, columns: range) -> RowSource:
    """Return some columns of an image that is read by rows as another one."""
    return source.part(columns) if isinstance(source, InParts) else ColumnRows(source, columns)


def as_rows(image: NDArray[Any] | RowSource) -> RowSource:
    """Return an image that is read by rows: an array as views of its rows."""
    return ArrayRows(image) if isinstance(image, np.ndarray) else image


def thinned(source: RowSource, step: int, band: int = 256) -> NDArray[Any]:
    """Return every `step`-th row and column, (h, w, channels), reading `band` rows at a time."""
    height = source.size[0]
    parts = []
    for start in range(0, height, band):
        rows = source.rows(start, min(start + band, height))
        parts.append(rows[-start % step :: step, ::step].copy())
    masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
    return np.ma.concatenate(parts) if masked else np.concatenate(parts)


class SlicedRows:
    """An image that is read by rows, sliced as an array (H, W, C): `image[rows, columns]`, or `image[::8, ::8]`."""

    ndim = 3

    def __init__(self, source: RowSource) -> None:
        self.source = source
        self.shape, self.dtype = (*source.size, source.channels), source.dtype

    def __getitem__(self, place: tuple[slice, slice]) -> NDArray[Any]:
        start, stop, step = place[0].indices(self.shape[0])
        if step == 1:
            return self.source.rows(start, stop)[:, place[1]]
        assert place[0] == place[1] == slice(None, None, step), place
        return thinned(self.source, step)
