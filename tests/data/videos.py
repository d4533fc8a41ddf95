"""Small videos for tests, and what cameras and damage do to them, patched into the boxes of the MP4 by hand.

The layout of the boxes is that of ISO/IEC 14496-12: size (4 bytes), kind (4 bytes), content.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.data.readers.video import Video

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.data.readers.video import Frame

Above = tuple[int, ...]
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


def picture(number: int, size: tuple[int, int] = (64, 96)) -> NDArray[np.uint8]:
    """Return frame `number`, RGB: its shade of red is 20 + 8 * number, and its left half is blue."""
    image = np.zeros((*size, 3), np.uint8)
    image[..., 0] = 20 + 8 * number % 230
    image[:, : size[1] // 2, 2] = 200
    return image


def write_clip(
    path: Path, frames: int, size: tuple[int, int] = (64, 96), rate: float = 10, codec: str = "mp4v"
) -> Path:
    """Write a clip of `picture`."""
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, (size[1], size[0]))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(cv2.cvtColor(picture(number, size), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def frames_of(path: Path) -> list[Frame]:
    """Return the frames of a video."""
    video = Video(path)
    try:
        return list(video)
    finally:
        video.close()


def number_of(pixels: NDArray[np.uint8]) -> int:
    """Return the number of a frame by its shade, which coding changes a little."""
    return round((float(np.median(pixels[..., 0])) - 20) / 8)


def damage(path: Path, *numbers: int) -> Path:
    """Overwrite the frames with these numbers with zeros; MP4 and Motion JPEG in AVI."""
    content = bytearray(path.read_bytes())
    places = _samples(bytes(content)) if content[4:8] == b"ftyp" else list(_chunks(bytes(content)))
    for number in numbers:
        start, length = places[number]
        content[start : start + length] = bytes(length)
    path.write_bytes(content)
    return path


def with_times(path: Path, ticks: Sequence[int]) -> Path:
    """Show frame i of an MP4 for `ticks[i]` times the duration of one frame."""
    content = path.read_bytes().replace(b"edts", b"free")  # which would end the video where it ended
    start, end, above = _find(content, b"stts")
    delta = struct.unpack(">I", content[start + 20 : start + 24])[0]
    entries = b"".join(struct.pack(">II", 1, delta * each) for each in ticks)
    box = struct.pack(">I4sII", 16 + len(entries), b"stts", 0, len(ticks)) + entries
    grown = bytearray(content[:start] + box + content[end:])
    for place in above:
        size = struct.unpack(">I", grown[place : place + 4])[0]
        grown[place : place + 4] = struct.pack(">I", size + len(box) - (end - start))
    path.write_bytes(grown)
    return path


def turned(path: Path) -> Path:
    """State in an MP4 that it is shown turned by 90 degrees clockwise, as a telephone held upright does."""
    content = bytearray(path.read_bytes())
    start = _find(bytes(content), b"tkhd")[0]
    one = 1 << 16
    content[start + 48 : start + 84] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def _boxes(
    content: bytes, start: int, end: int, above: tuple[int, ...] = ()
) -> Iterator[tuple[bytes, int, int, tuple]]:
    while start + 8 <= end:
        size, kind = struct.unpack(">I4s", content[start : start + 8])
        yield kind, start, start + size, above
        if kind in _PARENTS:
            yield from _boxes(content, start + 8, start + size, (*above, start))
        start += size


def _find(content: bytes, kind: bytes) -> tuple[int, int, Above]:
    return next((start, end, above) for name, start, end, above in _boxes(content, 0, len(content)) if name == kind)


def _samples(content: bytes) -> list[tuple[int, int]]:
    """Return (start, length) of each frame; those of a file with one track lie in a row."""
    sizes, chunks = _find(content, b"stsz")[0], _find(content, b"stco")[0]
    count = struct.unpack(">I", content[sizes + 16 : sizes + 20])[0]
    lengths = struct.unpack(f">{count}I", content[sizes + 20 : sizes + 20 + 4 * count])
    first = struct.unpack(">I", content[chunks + 16 : chunks + 20])[0]
    return [(first + sum(lengths[:number]), length) for number, length in enumerate(lengths)]


def _chunks(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, length) of each frame of an AVI."""
    start = content.index(b"movi") + 4
    while content[start : start + 4] == b"00dc":
        (length,) = struct.unpack("<I", content[start + 4 : start + 8])
        yield start + 8, length
        start += 8 + length + length % 2
