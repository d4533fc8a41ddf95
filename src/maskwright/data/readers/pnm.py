"""PBM, PGM and PPM, plain (P1 to P3) and binary (P4 to P6): the stored numbers, whatever the largest one may be.

Other libraries stretch a maxval below 255 to 255, or one below 65535 to 65535, which changes class ids. In PBM, 1 is
black ink; here, as for every viewer, black is 0 and white is 1 (255 in an image). Knows no labels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.data.readers.arrays import RawMask, plain_pixels, require_room
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef

_COMMENT = re.compile(rb"#[^\r\n]*")
_TOKEN = re.compile(rb"(?:\s|#[^\r\n]*(?:[\r\n]|$))*([^\s#]+)")
_HEADER_BYTES = 1 << 16
_COPY_AGAIN = "copy it again from its source, or remove it"


class _Header(NamedTuple):
    """The numbers before the pixels; `start` is where these begin."""

    code: int
    width: int
    height: int
    maxval: int
    start: int

    @property
    def bands(self) -> int:
        return 3 if self.code in {3, 6} else 1

    @property
    def is_bits(self) -> bool:
        return self.code in {1, 4}


def size(ref: ImageRef, kind: str) -> tuple[int, int]:
    """Return (height, width) in pixels, from the header alone."""
    with ref.path.open("rb") as stream:
        header = _header(ref, kind, stream.read(_HEADER_BYTES))
    return header.height, header.width


def image(ref: ImageRef, kind: str) -> NDArray[Any]:
    """Decode to (H, W, C) in uint8 or uint16, as stored; a PBM becomes RGB, black and white."""
    values = _values(ref, kind)
    if values.dtype == bool:
        values = np.repeat(values[..., None], 3, axis=2)
    return plain_pixels(ref, np.atleast_3d(values))


def mask(ref: ImageRef, kind: str) -> RawMask:
    """Decode to values (H, W) or colours (H, W, 3); white is 1 in a PBM.

    Raises:
        DecodeError: colours of more than 8 bits.
    """
    values = _values(ref, kind)
    if values.ndim == 3 and values.dtype != np.uint8:
        raise DecodeError("unreadable", ref, "has colours of 16 bits, but a mask has 8", "save it as PNG of 8 bits")
    return RawMask(values.astype(np.uint8) if values.dtype == bool else values)


def _header(ref: ImageRef, kind: str, data: bytes) -> _Header:
    code = int(data[1:2])
    numbers, place = [], 2
    for _ in range(2 if code in {1, 4} else 3):
        found = _TOKEN.match(data, place)
        if found is None or not found[1].isdigit() or len(found[1]) > 9:
            message = f"cannot be read as {kind.upper()} (its header does not hold width, height and maxval)"
            raise DecodeError("unreadable", ref, message, _COPY_AGAIN)
        numbers.append(int(found[1]))
        place = found.end()
    width, height, maxval = numbers if len(numbers) == 3 else (*numbers, 1)
    if not 1 <= maxval <= 65535:
        raise DecodeError("unreadable", ref, f"has the maxval {maxval}, not 1 to 65535", _COPY_AGAIN)
    return _Header(code, width, height, maxval, place + 1)


def _values(ref: ImageRef, kind: str) -> NDArray[Any]:
    """Decode to (H, W), or (H, W, 3); bool, True for white, of a PBM."""
    data = ref.path.read_bytes()
    header = _header(ref, kind, data)
    require_room(ref, (header.height, header.width), header.bands * (2 if header.maxval > 255 else 1))
    values = _plain(ref, header, data) if header.code <= 3 else _binary(ref, header, data)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > header.maxval:
        message = f"holds the value {low if low < 0 else high}, but its header allows 0 to {header.maxval}"
        raise DecodeError("unreadable", ref, message, _COPY_AGAIN)
    values = values.astype(np.uint8 if header.maxval < 256 else np.uint16)
    shaped = values.reshape((header.height, header.width, 3) if header.bands == 3 else (header.height, header.width))
    return shaped == 0 if header.is_bits else shaped


def _plain(ref: ImageRef, header: _Header, data: bytes) -> NDArray[Any]:
    text = _COMMENT.sub(b"", data[header.start :])
    # The digits of a plain PBM need no blanks between them.
    words = list(b"".join(text.split())) if header.is_bits else text.split()
    count = header.height * header.width * header.bands
    _require(ref, len(words), count)
    try:
        return np.array(words[:count]) - ord("0") if header.is_bits else np.array(words[:count], dtype=np.int64)
    except (ValueError, OverflowError):
        raise DecodeError("unreadable", ref, "holds text where pixels should be", _COPY_AGAIN) from None


def _binary(ref: ImageRef, header: _Header, data: bytes) -> NDArray[Any]:
    kind = np.dtype(np.uint8 if header.maxval < 256 else ">u2")
    if header.is_bits:
        row = -(-header.width // 8)
        _require(ref, len(data) - header.start, row * header.height)
        packed = np.frombuffer(data, np.uint8, row * header.height, header.start).reshape(header.height, row)
        return np.unpackbits(packed, axis=1, count=header.width)
    count = header.height * header.width * header.bands
    _require(ref, (len(data) - header.start) // kind.itemsize, count)
    return np.frombuffer(data, kind, count, header.start)


def _require(ref: ImageRef, found: int, wanted: int) -> None:
    if found < wanted:
        message = f"is truncated: it holds {max(found, 0):,} of {wanted:,} values"
        raise DecodeError("truncated", ref, message, _COPY_AGAIN)
