"""Values in MATLAB's files of level 5: numbers, text, cells and structures. Opens no file.

A value is a matrix: an element that holds others, which are flags, dimensions, a name and the data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.readers.mat_elements import (
    INT32,
    MATRIX,
    Elements,
    Header,
    MalformedError,
    NotReadError,
    Order,
    TooLargeError,
    read_header,
    require_room,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Value = NDArray[Any] | dict[str, NDArray[np.object_]]
    """Numbers, or text as characters `U1`, in MATLAB's shape; cells as an array of values; a structure as such an array
    for each field."""

_CHARACTERS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_BYTES, _WIDE = {1, 2}, {4, 17, 18}
_CELL, _STRUCT, _CHAR, _SPARSE = 1, 2, 4, 5
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX, _LOGICAL = 0x800, 0x200
_MOST_MATRICES, _DEEPEST = 100_000, 32
_LONGEST_NAME = 64


class Matrices:
    """Reads matrices, and what lies in them, into at most `room` bytes."""

    def __init__(self, order: Order, room: int) -> None:
        self._order: Order = order
        self._room, self._count = room, 0

    def read(self, data: memoryview, depth: int = 0) -> Value:
        """Read the matrix in `data`.

        Raises:
            MalformedError: it is damaged, of a class that is not read, or too large.
        """
        self._count += 1
        if self._count > _MOST_MATRICES or depth > _DEEPEST:
            message = f"more than {_MOST_MATRICES:,} matrices, or more than {_DEEPEST} inside each other, are not read"
            raise TooLargeError(message)
        if not data:
            return np.zeros((0, 0))
        elements = Elements(data, self._order)
        header = read_header(elements)
        value: Value
        if header.kind == _CELL:
            value = self._values(elements, header, 1, depth)[0]
        elif header.kind == _STRUCT:
            value = self._structure(elements, header, depth)
        elif header.kind == _CHAR:
            value = self._text(elements, header)
        elif header.kind == _SPARSE:
            value = self._sparse(elements, header)
        elif header.kind in _CLASSES:
            value = self._array(elements, header)
        else:
            message = f"a value has class {header.kind}, and only numbers, text, cells and structures are read"
            raise NotReadError(message)
        elements.end()
        return value

    def _take(self, shape: Iterable[int], bytes_each: int) -> None:
        """Take the room for an array; empty axes count as 1, because NumPy multiplies the others."""
        needed = math.prod(max(length, 1) for length in shape) * bytes_each
        require_room("an array", needed, self._room)
        self._room -= needed

    def _values(self, elements: Elements, header: Header, fields: int, depth: int) -> list[NDArray[np.object_]]:
        """Read cells, or the fields of structures, as one array of values for each field."""
        if not fields:
            return []
        count, left = math.prod(header.shape), len(elements.data) - elements.at
        if 8 * count * fields > left:
            raise MalformedError(f"{count * fields:,} values of a cell or structure do not fit into {left:,} bytes")
        self._take(header.shape, 8 * fields)
        arrays = [np.empty(count, np.object_) for _ in range(fields)]
        for place in range(count):
            for array in arrays:
                kind, data = elements.next()
                if kind != MATRIX:
                    raise MalformedError(f"an element has type {kind}, where a matrix is expected")
                array[place] = self.read(data, depth + 1)
        return [array.reshape(header.shape, order="F") for array in arrays]

    def _structure(self, elements: Elements, header: Header, depth: int) -> dict[str, NDArray[np.object_]]:
        lengths, text = elements.numbers(INT32), elements.text()
        length = int(lengths[0]) if len(lengths) == 1 else 0
        if not 1 <= length <= _LONGEST_NAME or len(text) % length or len(text) > _MOST_MATRICES * length:
            raise MalformedError(f"{len(text)} bytes of field names are not names of {length} bytes")
        names = [text[at : at + length].partition("\0")[0] for at in range(0, len(text), length)]
        if len(set(names)) < len(names) or "" in names:
            raise MalformedError(f"the fields of a structure are named {names}, which are not different names")
        return dict(zip(names, self._values(elements, header, len(names), depth), strict=True))

    def _text(self, elements: Elements, header: Header) -> NDArray[np.str_]:
        """Read text, whose length MATLAB counts in units of UTF-16, and others in characters."""
        kind, data = elements.next()
        if kind not in _CHARACTERS:
            raise MalformedError(f"an element has type {kind}, where text is expected")
        coding = _CHARACTERS[kind] + ("" if kind not in _WIDE else "-le" if self._order == "<" else "-be")
        self._take(header.shape, 4)
        if len(data) > 4 * math.prod(header.shape):
            raise MalformedError(f"{len(data):,} bytes of text are stored for {math.prod(header.shape):,} characters")
        try:
            text = str(data, coding, "surrogatepass" if kind not in _BYTES else "strict")
        except UnicodeDecodeError as error:
            raise MalformedError(f"text is not coded as {coding} ({error.reason})") from None
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        if len(codes) != math.prod(header.shape):
            codes = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")
        return _shaped(codes.astype(np.uint32), header.shape).view("U1")

    def _array(self, elements: Elements, header: Header) -> NDArray[Any]:
        target = np.dtype(_CLASSES[header.kind])
        self._take(header.shape, target.itemsize)
        values = _converted(_counted(elements.numbers(), header.shape), target)
        if header.flags & _COMPLEX:
            self._take(header.shape, 16)
            values = _complex(values, _converted(_counted(elements.numbers(), header.shape), target))
        return _shaped(values != 0 if header.flags & _LOGICAL else values, header.shape)

    def _sparse(self, elements: Elements, header: Header) -> NDArray[Any]:
        """Read a matrix of which only some values are stored, column by column, as one of which all are."""
        rows, starts = elements.numbers(INT32), elements.numbers(INT32)
        values = elements.marks(len(rows)) if header.flags & _LOGICAL else elements.numbers()
        if header.flags & _COMPLEX:
            values = _complex(values, elements.numbers())
        logical = values.dtype == bool
        self._take(header.shape, 1 if logical else 16)
        self._take((len(starts) + len(rows),), 32)
        complete = len(header.shape) == 2 and len(starts) == header.shape[1] + 1
        lengths: NDArray[np.int64] = starts[1:].astype(np.int64) - starts[:-1]
        if not complete or starts[0] != 0 or (lengths < 0).any():
            raise MalformedError("the columns of a sparse matrix do not follow one another")
        stored = int(starts[-1])
        if min(len(rows), len(values)) < stored:
            raise MalformedError(f"a sparse matrix holds {min(len(rows), len(values)):,} of {stored:,} values")
        rows, values = rows[:stored].astype(np.int64), values[:stored]
        places = rows + header.shape[0] * np.repeat(np.arange(len(lengths)), lengths)
        if ((rows < 0) | (rows >= header.shape[0])).any() or (np.diff(places) <= 0).any():
            raise MalformedError("the values of a sparse matrix are not in order of their rows and columns")
        values = values if logical else values.astype(np.result_type(values.dtype, np.float64))
        dense = np.zeros(math.prod(header.shape), values.dtype)
        dense[places] = values
        return _shaped(dense, header.shape)


def _converted(stored: NDArray[Any], target: np.dtype[Any]) -> NDArray[Any]:
    """Return numbers in their class: they may be stored in another type that holds all of them."""
    with np.errstate(all="ignore"):
        values = stored.astype(target, copy=False)
        if not np.can_cast(stored.dtype, target) and not np.array_equal(values.astype(stored.dtype), stored):
            raise MalformedError(f"numbers stored as {stored.dtype.name} do not fit into the class {target.name}")
    return values


def _complex(real: NDArray[Any], imaginary: NDArray[Any]) -> NDArray[Any]:
    if len(real) != len(imaginary):
        raise MalformedError(f"complex numbers have {len(real):,} real and {len(imaginary):,} imaginary parts")
    values = np.empty(len(real), np.complex64 if real.dtype == np.float32 else np.complex128)
    values.real, values.imag = real, imaginary
    return values


def _counted(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Refuse another number of values than a shape has, before they are converted."""
    if len(values) != math.prod(shape):
        wanted = " x ".join(map(str, shape))
        raise MalformedError(f"{len(values):,} numbers or characters are stored for a matrix of {wanted}")
    return values


def _shaped(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return _counted(values, shape).reshape(shape, order="F")
