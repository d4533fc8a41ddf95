"""Videos and cameras to frames, in the order in which they are shown. Knows no model, and writes nothing.

OpenCV decodes, with the FFmpeg (LGPL) in its package; it turns frames by the rotation that the file states. It leaves
out frames that cannot be decoded without a word. A second pass over the packets, which are not decoded, tells which:
each packet has the time at which its frame is shown. A damaged frame that decodes to something is not found.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import ImageRef
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

# FFmpeg prints what it meets to stderr; what matters of it is reported here.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts", ".m2ts", ".ogv"}
)
AHEAD = 64  # packets; a frame is stored at most 16 frames away from its place
FASTEST = 240.0  # frames a second
_SAME = 5e-4  # seconds: two times closer than this are those of one frame


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        number: counted from 0, frames that cannot be decoded included.
        seconds: when it is shown, after the start of the video.
        pixels: RGB uint8 (H, W, 3), upright; None if it cannot be decoded.
    """

    number: int
    seconds: float
    pixels: NDArray[np.uint8] | None


class Video:
    """A video file, opened; its frames can be iterated once.

    Attributes:
        path: of the file.
        rate: frames a second; of a variable rate the highest near the start, if it is far from the average.
        length: number of frames as far as the file tells; an estimate in some formats.

    Raises:
        DecodeError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise DecodeError("unreadable", ImageRef(path), "does not exist", "check the path")
        with quiet():
            self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
            self._packets = _Packets(path)
        if not self._capture.isOpened():
            message = "cannot be opened as a video: it is none, or it was cut before its end was written"
            raise DecodeError("unreadable", ImageRef(path), message, "copy it again from its source")
        average = _number(self._capture.get(cv2.CAP_PROP_FPS), 25.0)
        fastest = self._packets.fastest()
        self.rate = fastest if 1.2 * average < fastest < FASTEST else average
        self.length = max(1, int(_number(self._capture.get(cv2.CAP_PROP_FRAME_COUNT), 1)))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            DecodeError: no frame can be decoded.
        """
        number, last, failed, delay = 0, -1 / self.rate, 0, 0.0
        while failed <= len(self._packets.waiting) or self._packets.more():
            ok, pixels = self._capture.read()
            if not ok:
                failed += 1
                continue
            seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 - delay
            if last < 0 and not failed:  # AVI states when frames are decoded, which may be later than the first packet
                delay = max(0.0, seconds - self._packets.first())
                seconds -= delay
            failed = 0
            if not seconds > last:  # a stream without times
                seconds = last + 1 / self.rate
            for missed in self._packets.before(seconds):
                yield Frame(number, missed, None)
                number += 1
            yield Frame(number, seconds, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
            number, last = number + 1, seconds
        if last < 0:
            message = f"has no frame that can be decoded ({self._codec()})"
            raise DecodeError("unreadable", ImageRef(self.path), message, "convert it to H.264 in MP4")
        for missed in self._packets.before(np.inf):
            yield Frame(number, missed, None)
            number += 1

    def cut(self) -> str | None:
        """Say how many frames are missing at the end of an MP4 file that was iterated; None if all are there."""
        with self.path.open("rb") as stream:
            exact = stream.read(12)[4:8] == b"ftyp"
        if not exact or self._packets.count >= self.length:
            return None
        return f"{self.path} was cut: it holds {self._packets.count} of its {self.length} frames"

    def close(self) -> None:
        """Release the file."""
        self._capture.release()
        self._packets.release()

    def _codec(self) -> str:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
        return f"its codec is {code.decode('ascii', 'replace').strip()}" if code.strip(b"\0") else "unknown codec"


class Camera:
    """A camera, whose frames can be iterated until the caller stops.

    Attributes:
        rate: frames a second, as the driver says.
        length: 0, since nobody knows it.

    Raises:
        MaskwrightError: there is no such camera.
    """

    length = 0

    def __init__(self, number: int) -> None:
        self._number = number
        with quiet():
            self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise MaskwrightError(
                f"camera {number} cannot be opened: check that it is connected, that no other program uses it, and "
                "that you may read it (on Linux: your user is in the group video)"
            )
        self.rate = _number(self._capture.get(cv2.CAP_PROP_FPS), 25.0)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames with the time of this machine's clock."""
        started, number = time.monotonic(), 0
        while True:
            ok, pixels = self._capture.read()
            if not ok:
                raise MaskwrightError(f"camera {self._number} gives no more frames after {number}: connect it again")
            yield Frame(number, time.monotonic() - started, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
            number += 1

    def cut(self) -> None:
        """Return None: a camera has no end."""

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()


class _Packets:
    """The times of the frames in a file, read from its packets a little ahead of the decoder.

    Attributes:
        waiting: times of frames that were not asked for yet, a heap.
        count: packets read.
    """

    def __init__(self, path: Path) -> None:
        self._capture: Any = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
        self.waiting: list[float] = []
        self.count = 0
        self._last = -2 * _SAME

    def more(self) -> bool:
        """Read one packet; False at the end of the file."""
        if not self._capture.grab():
            return False
        self.count += 1
        heapq.heappush(self.waiting, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        return True

    def fastest(self) -> float:
        """Return the frames a second of the two frames near the start that are closest in time; 0 for one frame."""
        while len(self.waiting) < AHEAD and self.more():
            pass
        gaps = np.diff(np.sort(self.waiting))
        return float(1 / gaps.min()) if gaps.size and gaps.min() > _SAME else 0.0

    def first(self) -> float:
        """Return the time of the first frame that is shown; infinite if there is none."""
        return min((seconds for seconds in self.waiting if seconds > -_SAME), default=np.inf)

    def before(self, seconds: float) -> Iterator[float]:
        """Yield the times of frames between that of the last call and `seconds`, which now is the last.

        Times below 0 are those of frames that the file says not to show.
        """
        while (len(self.waiting) < AHEAD or seconds == np.inf) and self.more():
            pass
        while self.waiting and self.waiting[0] < seconds + _SAME:
            found = heapq.heappop(self.waiting)
            if self._last + _SAME < found < seconds - _SAME:
                self._last = found
                yield found
        self._last = seconds

    def release(self) -> None:
        self._capture.release()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV from printing what is reported here."""
    log = cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(before)


def camera_number(path: Path) -> int | None:
    """Return the 2 of `camera:2`; None for anything else."""
    found = re.fullmatch(r"camera:(\d+)", str(path))
    return int(found[1]) if found else None


def _number(value: float, otherwise: float) -> float:
    """Return a property of a video, or what to take where the file does not tell it."""
    return value if np.isfinite(value) and value > 0 else otherwise
