"""MATLAB's files of level 5 (saved with -v6 or -v7): which variables they hold, and one of them. Runs no code.

MathWorks, "MAT-File Format", chapter 1: 128 bytes of header, then a matrix for each variable, compressed or not. We
read it ourselves, because a single wrong byte can end SciPy's reader, and the process with it. What is not asked for
is skipped, and nothing is decompressed that is larger than it may be.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.mat_elements import (
    COMPRESSED,
    MATRIX,
    Elements,
    MalformedError,
    Order,
    read_header,
    require_room,
)
from maskwright.data.readers.mat_values import Matrices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from maskwright.core.records import ImageRef
    from maskwright.data.readers.mat_values import Value

MOST_BYTES = 1 << 30
"""Of a variable after decompression, and of its values."""
_HEADER, _HDF5 = 128, b"\x89HDF\r\n\x1a\n"
_ORDERS: dict[bytes, Order] = {b"IM": "<", b"MI": ">"}
_LEVEL_5, _LEVEL_7_3 = 0x0100, 0x0200
_BEGIN = 1024  # bytes of a matrix, more than its flags, dimensions and name take
_LARGEST_RATIO = 1032  # of zlib


@dataclass(frozen=True)
class _Variable:
    """Where a variable lies: `size` bytes from byte `start` of the file."""

    name: str
    compressed: bool
    start: int
    size: int


def variable_names(file: ImageRef) -> tuple[str, ...]:
    """List the variables of a file; one without a name is MATLAB's own.

    Raises:
        DecodeError: as of `read_variable`.
    """
    with _opened(file) as (stream, order):
        return tuple(variable.name for variable in _variables(stream, order))


def read_variable(file: ImageRef, name: str) -> Value | None:
    """Read the variable `name`; None if there is none. Arrays may be read-only.

    Raises:
        DecodeError: the file is missing, damaged, too large to decode, or of version 4 or 7.3; or the variable holds an
            object or a function.
    """
    with _opened(file) as (stream, order):
        found = [variable for variable in _variables(stream, order) if variable.name == name]
        if not found:
            return None
        if len(found) > 1:
            raise MalformedError(f"it holds {len(found)} variables named {name}")
        return Matrices(order, MOST_BYTES).read(_matrix(stream, order, found[0]))


@contextmanager
def _opened(file: ImageRef) -> Iterator[tuple[BinaryIO, Order]]:
    """Open a file and read its header."""
    try:
        with file.path.open("rb") as stream:
            yield stream, _order(file, stream.read(_HEADER))
    except FileNotFoundError:
        raise DecodeError("unreadable", file, "does not exist", "check the path") from None
    except OSError as error:
        message = f"cannot be read ({error.strerror or error})"
        raise DecodeError("unreadable", file, message, "check its permissions and its disk") from None
    except MalformedError as error:
        raise DecodeError(error.kind, file, f"cannot be read as a MATLAB file ({error})", error.cure) from None


def _order(file: ImageRef, header: bytes) -> Order:
    """Return the order of bytes, and refuse files of another level."""
    order = _ORDERS.get(header[126:128])
    level = struct.unpack(order + "H", header[124:126])[0] if order else None
    if level == _LEVEL_5 and order:
        return order
    if level == _LEVEL_7_3 or header.startswith(_HDF5):
        message = "is a MATLAB file of version 7.3, which is not read"
    elif _is_level_4(header):
        message = "is a MATLAB file of version 4, which is not read"
    else:
        raise MalformedError("its first 128 bytes are no header of one" if header else "it is empty")
    raise DecodeError("unreadable", file, message, "save it with -v7 in MATLAB")


def _is_level_4(header: bytes) -> bool:
    """Whether a file begins as those of level 4 do: five numbers, of which the first tells machine and type."""
    if len(header) < 20:
        return False
    for order in "<>":
        kind, rows, columns, imaginary, length = struct.unpack(order + "5i", header[:20])
        machine, reserved, precision, matrix = kind // 1000, kind // 100 % 10, kind // 10 % 10, kind % 10
        if 0 <= machine <= 4 and reserved == 0 and precision <= 5 and matrix <= 2:
            return rows >= 0 and columns >= 0 and imaginary in {0, 1} and 1 <= length <= 64
    return False


def _variables(stream: BinaryIO, order: Order) -> Iterator[_Variable]:
    """Find the variables, of which only the beginnings are read."""
    end, at = os.fstat(stream.fileno()).st_size, _HEADER
    while at < end:
        stream.seek(at)
        tag = stream.read(8)
        kind, size = struct.unpack(order + "2I", tag) if len(tag) == 8 else (0, 0)
        if kind not in {MATRIX, COMPRESSED}:
            raise MalformedError(f"at byte {at:,} there is no variable")
        if size > end - at - 8:
            raise MalformedError(f"a variable at byte {at:,} claims {size:,} bytes, and {end - at - 8:,} follow")
        begin = stream.read(min(size, 2 * _BEGIN))
        if kind == COMPRESSED:
            begin = _matrix_begin(begin, order)[1]
        name = read_header(Elements(memoryview(begin)[:_BEGIN], order)).name
        yield _Variable(name, kind == COMPRESSED, at + 8, size)
        at += 8 + size


def _matrix_begin(compressed: bytes, order: Order) -> tuple[int, bytes]:
    """Return the size that a compressed matrix claims, and its first bytes."""
    try:
        begin = zlib.decompressobj().decompress(compressed, _BEGIN)
    except zlib.error as error:
        raise MalformedError(f"a variable cannot be decompressed: {error}") from None
    kind, size = struct.unpack(order + "2I", begin[:8]) if len(begin) >= 8 else (0, 0)
    if kind != MATRIX:
        raise MalformedError("there is no matrix in a compressed variable")
    return size, begin[8:]


def _matrix(stream: BinaryIO, order: Order, variable: _Variable) -> memoryview:
    """Read the bytes of a matrix, decompressed."""
    require_room("a variable", variable.size, MOST_BYTES)
    stream.seek(variable.start)
    data = stream.read(variable.size)
    if len(data) < variable.size:
        raise MalformedError("it became shorter while it was read")
    if not variable.compressed:
        return memoryview(data)
    size, _ = _matrix_begin(data[: 2 * _BEGIN], order)
    if size + 8 > _LARGEST_RATIO * len(data):
        raise MalformedError(f"a variable of {len(data):,} bytes cannot become {size:,} bytes")
    require_room("a variable", size, MOST_BYTES)
    stream_of_bytes = zlib.decompressobj()
    try:
        matrix = stream_of_bytes.decompress(data, size + 9)
    except zlib.error as error:
        raise MalformedError(f"a variable cannot be decompressed: {error}") from None
    if len(matrix) != size + 8 or not stream_of_bytes.eof or stream_of_bytes.unused_data:
        raise MalformedError(f"a compressed variable does not end after the {size:,} bytes that it claims")
    return memoryview(matrix)[8:]
