"""A baseline TIFF written by hand: what no library here writes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def packed(values: np.ndarray, bits: int) -> bytes:
    """Pack numbers (H, W) of a few bits, each row padded to whole bytes."""
    places = np.arange(bits - 1, -1, -1)
    return np.packbits((values[..., None] >> places & 1).reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


def write_tiff(path: Path, data: bytes, size: tuple[int, int], tags: dict[int, int | list[int] | str]) -> Path:
    """Write one strip of `data`; `tags` are added to, or replace, those of grey pixels of 8 bits."""
    usual = {256: size[1], 257: size[0], 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: size[0], 279: len(data)}
    start = 8 + len(data) + len(data) % 2
    entries = sorted({**usual, **tags}.items())
    extra_at = start + 2 + 12 * len(entries) + 4
    table, extra = struct.pack("<H", len(entries)), b""
    for tag, value in entries:
        if isinstance(value, str):
            kind, count, content = 2, len(value) + 1, value.encode() + b"\0"
        else:
            numbers = value if isinstance(value, list) else [value]
            kind = 4 if tag in {273, 279} else 3
            count, content = len(numbers), struct.pack("<" + "HI"[kind == 4] * len(numbers), *numbers)
        if len(content) <= 4:
            table += struct.pack("<HHI", tag, kind, count) + content.ljust(4, b"\0")
        else:
            table += struct.pack("<HHII", tag, kind, count, extra_at + len(extra))
            extra += content + b"\0" * (len(content) % 2)
    head = b"II*\0" + struct.pack("<I", start) + data + b"\0" * (len(data) % 2)
    path.write_bytes(head + table + struct.pack("<I", 0) + extra)
    return path
