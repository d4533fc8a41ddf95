"""Cloud-optimised GeoTIFF of a label map, written row by row of tiles. Knows no model.

The layout that makes a TIFF cloud-optimised (OGC 21-026): all directories lie at the start of the file, that of the
image first and those of its overviews from large to small; the tiles of the smallest overview follow, then those of
the next larger one, and those of the image come last. So a reader gets an overview with the first bytes of the file.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from maskwright.ops.rows import ArrayRows, thinned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.ops.rows import RowSource

TILE = 512
_IN_MEMORY = 8
"""Every so many rows and columns, a label map is small enough to be held."""
_LARGEST_CLASSIC = 3 << 30
"""Bytes of an image, uncompressed, up to which offsets have 32 bits, as every program reads them."""
ASCII, SHORT, LONG, DOUBLE, LONG8 = 2, 3, 4, 12, 16
_LETTERS = {ASCII: "s", SHORT: "H", LONG: "I", DOUBLE: "d", LONG8: "Q"}


class Tag(NamedTuple):
    """One entry of a directory: its code, its type, and its values; text for ASCII."""

    code: int
    kind: int
    values: Sequence[float] | str

    def packed(self) -> tuple[int, bytes]:
        """Return the count and the bytes."""
        if isinstance(self.values, str):
            text = self.values.encode("ascii", "replace") + b"\0"
            return len(text), text
        return len(self.values), struct.pack(f"<{len(self.values)}{_LETTERS[self.kind]}", *self.values)


def write_cog(path: Path, labels: RowSource, palette: NDArray[np.uint8], described: str, extra: Sequence[Tag]) -> None:
    """Write a label map.

    Args:
        path: of the file.
        labels: uint8 of one channel.
        palette: colour table (256, 3).
        described: text that is found near the start of the file.
        extra: further tags of the image: where it lies, and what stands for no data.
    """
    height, width = labels.size
    big = height * width > _LARGEST_CLASSIC
    with path.open("wb") as stream:
        levels = [_Level(labels, step, described, palette, extra) for step in _steps(labels.size)]
        places, end = [], 16 if big else 8
        for level in levels:
            places.append(end)
            end += len(level.directory(end, 0, big=big))
        stream.seek(end)
        for level in reversed(levels):
            level.write(stream)
        stream.seek(0)
        stream.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8))
        for level, place, following in zip(levels, places, [*places[1:], 0], strict=True):
            stream.write(level.directory(place, following, big=big))


def _steps(size: tuple[int, int]) -> list[int]:
    """Return 1 for the image, and for overviews every how many rows and columns they have, until one is one tile."""
    steps = [1]
    while max(size) > TILE * steps[-1]:
        steps.append(2 * steps[-1])
    return steps


class _Level:
    """The image, or an overview: every `step`-th row and column of it, so that no class is invented."""

    def __init__(
        self, labels: RowSource, step: int, described: str, palette: NDArray[np.uint8], extra: Sequence[Tag]
    ) -> None:
        self._labels, self._step, self._palette = labels, step, palette
        self._own = [Tag(270, ASCII, described), *extra] if step == 1 else []
        self._height, self._width = (-(-side // step) for side in labels.size)
        tiles = -(-self._height // TILE) * -(-self._width // TILE)
        self._offsets, self._counts = [0] * tiles, [0] * tiles

    def write(self, stream: BinaryIO) -> None:
        """Write the tiles."""
        for number, tile in enumerate(self._tiles()):
            data = zlib.compress(tile, level=6)
            self._offsets[number], self._counts[number] = stream.tell(), len(data)
            stream.write(data)

    def _tiles(self) -> Iterator[bytes]:
        small = self._step >= _IN_MEMORY
        source: RowSource = ArrayRows(thinned(self._labels, self._step)) if small else self._labels
        step = 1 if small else self._step
        for top in range(0, self._height, TILE):
            rows = source.rows(top * step, min((top + TILE) * step, source.size[0]))[::step, ::step, 0]
            for left in range(0, self._width, TILE):
                part = rows[:, left : left + TILE]
                tile = np.zeros((TILE, TILE), np.uint8)
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile.tobytes()

    def directory(self, place: int, following: int, *, big: bool) -> bytes:
        """Return the directory with the values of its tags, for a place in the file."""
        tags = sorted([*self._common(big=big), *self._own])
        number, entry, inline, letter = ("Q", "HHQ", 8, "Q") if big else ("H", "HHI", 4, "I")
        size = struct.calcsize(f"<{number}") + len(tags) * (struct.calcsize(f"<{entry}") + inline) + inline
        entries, values = struct.pack(f"<{number}", len(tags)), b""
        for tag in tags:
            count, data = tag.packed()
            if len(data) <= inline:
                held = data.ljust(inline, b"\0")
            else:
                values += b"\0" * (-(place + size + len(values)) % 8)
                held = struct.pack(f"<{letter}", place + size + len(values))
                values += data
            entries += struct.pack(f"<{entry}", tag.code, tag.kind, count) + held
        values += b"\0" * (-(place + size + len(values)) % 8)
        return entries + struct.pack(f"<{letter}", following) + values

    def _common(self, *, big: bool) -> list[Tag]:
        colors = (self._palette.astype(np.uint16).T * 257).ravel().tolist()
        return [
            Tag(254, LONG, [int(self._step > 1)]),
            Tag(256, LONG, [self._width]),
            Tag(257, LONG, [self._height]),
            Tag(258, SHORT, [8]),
            Tag(259, SHORT, [8]),  # deflate
            Tag(262, SHORT, [3]),  # palette
            Tag(277, SHORT, [1]),
            Tag(320, SHORT, colors),
            Tag(322, LONG, [TILE]),
            Tag(323, LONG, [TILE]),
            Tag(324, LONG8 if big else LONG, self._offsets),
            Tag(325, LONG, self._counts),
        ]
