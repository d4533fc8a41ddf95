"""MATLAB files of level 5 written by hand, in both orders of bytes, and with the faults that SciPy does not write."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

STORED = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
CLASSES = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14, "u8": 15}


class Writer:
    """Builds the bytes of a file from those of its elements."""

    def __init__(self, order: str = "<") -> None:
        self.order = order

    def element(self, kind: int, data: bytes) -> bytes:
        """Return an element; up to four bytes lie in its tag."""
        if 0 < len(data) <= 4:
            return struct.pack(self.order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
        return struct.pack(self.order + "2I", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    def numbers(self, values: Any, stored: str) -> bytes:
        array = np.asarray(values).ravel(order="F").astype(self.order + stored)
        return self.element(STORED[stored], array.tobytes())

    def matrix(self, kind: int, shape: tuple[int, ...], *parts: bytes, name: str = "", nonzeros: int = 0) -> bytes:
        """Return a matrix of class and flags `kind`, with elements after its name."""
        flags, lengths = self.numbers([kind, nonzeros], "u4"), self.numbers(shape, "i4")
        return self.element(14, flags + lengths + self.element(1, name.encode()) + b"".join(parts))

    def array(self, array: np.ndarray, stored: str | None = None, name: str = "") -> bytes:
        """Return numbers or truth values, stored as another type if that is given."""
        logical, kind = array.dtype == bool, "u1" if array.dtype == bool else array.dtype.str[1:]
        part = self.numbers(array, stored or kind)
        return self.matrix(CLASSES[kind] | (0x200 if logical else 0), array.shape, part, name=name)

    def cells(self, shape: tuple[int, ...], values: list[bytes], name: str = "") -> bytes:
        return self.matrix(1, shape, *values, name=name)

    def structure(self, shape: tuple[int, ...], names: list[str], values: list[bytes], name: str = "") -> bytes:
        text = b"".join(field.encode().ljust(16, b"\0") for field in names)
        return self.matrix(2, shape, self.numbers([16], "i4"), self.element(1, text), *values, name=name)

    def truth(self, *drawn: np.ndarray) -> bytes:
        """Return `groundTruth` with these maps `Boundaries`."""
        people = [self.structure((1, 1), ["Boundaries"], [self.array(edges)]) for edges in drawn]
        return self.cells((1, len(people)), people, name="groundTruth")

    def compressed(self, matrix: bytes) -> bytes:
        data = zlib.compress(matrix)
        return struct.pack(self.order + "2I", 15, len(data)) + data

    def file(self, *variables: bytes) -> bytes:
        header = b"MATLAB 5.0 MAT-file, written by hand".ljust(124)
        return (
            header
            + struct.pack(self.order + "H", 0x0100)
            + (b"IM" if self.order == "<" else b"MI")
            + b"".join(variables)
        )

    def save(self, path: Path, *variables: bytes) -> Path:
        path.write_bytes(self.file(*variables))
        return path
