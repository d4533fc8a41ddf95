"""Elements of MATLAB's files of level 5: tags, numbers and names, and the header of a matrix. Opens no file.

MathWorks, "MAT-File Format", chapter 1, "Level 5 MAT-File Format". Nothing that an element says is believed before it
is compared with the bytes that there are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from maskwright.core.resources import free_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.data.readers.errors import DecodeKind

Order = Literal["<", ">"]
MATRIX, COMPRESSED = 14, 15
INT32 = 5
_INT8, _UINT32, _UTF8 = 1, 6, 16
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_OPAQUE, _MOST_AXES = 17, 32
_SMALL_BYTES = 1 << 26


class MalformedError(Exception):
    """What contradicts the format, or is not read, in a clause; with a cure."""

    kind: DecodeKind = "unreadable"
    cure = "copy it again from its source, or remove it"


class NotReadError(MalformedError):
    """A class of MATLAB that is not read."""

    cure = "save numbers, text, cells and structures alone"


class TooLargeError(MalformedError):
    """More than may be decoded."""

    kind = "bomb"
    cure = "save a smaller one, or remove it"


def require_room(name: str, needed: int, room: int) -> None:
    """Refuse what needs more bytes than `room`, or than the machine has."""
    if needed > _SMALL_BYTES:
        room = min(room, free_memory() // 2)
    if needed > room:
        message = f"{name} of {needed / 2**20:,.0f} MiB is more than the {room / 2**20:,.0f} MiB that there is room for"
        raise TooLargeError(message)


class Header(NamedTuple):
    """What a matrix says of itself: its class and flags, shape and name."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str


@dataclass
class Elements:
    """The elements in some bytes, one after another, from the byte `at` on."""

    data: memoryview
    order: Order
    at: int = 0

    def next(self) -> tuple[int, memoryview]:
        """Return the type of the next element and its bytes."""
        start, left = self.at, len(self.data) - self.at
        if left < 8:
            raise MalformedError("a matrix ends before its last element")
        kind, size = struct.unpack_from(self.order + "2I", self.data, start)
        if small := kind >> 16:
            if small > 4:
                raise MalformedError(f"a small element has {small} bytes, not 1 to 4")
            self.at = start + 8
            return kind & 0xFFFF, self.data[start + 4 : start + 4 + small]
        if size > left - 8:
            raise MalformedError(f"an element claims {size:,} bytes, and {left - 8:,} follow")
        # Bytes that fill the last element up to a multiple of 8 may be missing.
        self.at = min(start + 8 + -(-size // 8) * 8, len(self.data))
        return kind, self.data[start + 8 : start + 8 + size]

    def numbers(self, *kinds: int) -> NDArray[Any]:
        """Return the next element as numbers (n,), of one of the types `kinds`, all types of numbers by default."""
        kind, data = self.next()
        if kind not in (kinds or _NUMBERS):
            raise MalformedError(f"an element has type {kind}, where numbers are expected")
        return _decoded(data, np.dtype(self.order + _NUMBERS[kind]))

    def marks(self, count: int) -> NDArray[np.bool_]:
        """Return the next element as `count` or more truth values: MATLAB calls single bytes numbers of 8 bytes."""
        start = self.at
        _, data = self.next()
        if len(data) != count:
            self.at = start
            return self.numbers() != 0
        return _decoded(data, np.dtype(np.uint8)) != 0

    def text(self) -> str:
        """Return the next element as a name, or as several of them."""
        kind, data = self.next()
        if kind not in {_INT8, _UTF8}:
            raise MalformedError(f"an element has type {kind}, where a name is expected")
        return str(data, "latin-1")

    def end(self) -> None:
        """Refuse bytes after the last element."""
        if self.at < len(self.data):
            raise MalformedError(f"a matrix has {len(self.data) - self.at:,} bytes after its last element")


def read_header(elements: Elements) -> Header:
    """Read the first elements of a matrix.

    Raises:
        MalformedError: they are none.
    """
    words = elements.numbers(_UINT32)
    if len(words) != 2:
        raise MalformedError(f"the flags of a matrix are {len(words)} numbers, not 2")
    kind, flags = int(words[0]) & 0xFF, int(words[0])
    # Objects of MATLAB's own classes, as tables are, have no dimensions.
    lengths = np.zeros(2, np.int64) if kind == _OPAQUE else elements.numbers(INT32, _UINT32)
    if not 2 <= len(lengths) <= _MOST_AXES or lengths.min() < 0:
        found = ", ".join(map(str, lengths[: _MOST_AXES + 1]))
        raise MalformedError(f"a matrix has the dimensions {found}, which are not 2 to {_MOST_AXES} lengths")
    shape = tuple(int(length) for length in lengths)
    return Header(kind, flags, shape, elements.text())


def _decoded(data: memoryview, dtype: np.dtype[Any]) -> NDArray[Any]:
    if len(data) % dtype.itemsize:
        raise MalformedError(f"an element of {len(data):,} bytes holds numbers of {dtype.itemsize} bytes")
    return np.frombuffer(data, dtype)
