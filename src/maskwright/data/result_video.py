"""Writes pictures as an MP4 video in which each is shown at its time. Draws nothing."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import cv2

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import replacing
from maskwright.data.readers.video import quiet
from maskwright.data.results import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SIDE = 4096  # the format ends at 8191 pixels, and most players earlier
PAUSE = 60.0  # seconds: times further apart than this are a clock that jumped, and become this long
CODEC = "mp4v"  # MPEG-4 part 2: the only codec for MP4 in OpenCV's package that is fast and free of the GPL


class VideoWriter:
    """Pictures of one size to frames of a constant rate.

    A picture is repeated until the next one is due, and left out if two are due in one frame, so that each is shown
    within half a frame of its time.

    Args:
        path: where it is written.
        rate: frames a second.
        name: what errors call it.
    """

    def __init__(self, path: Path, rate: float, name: Path) -> None:
        self._path, self._rate, self._name = path, rate, name
        self._writer: cv2.VideoWriter | None = None
        self._picture: NDArray[np.uint8] | None = None
        self._written = 0
        self._last, self._behind = 0.0, 0.0

    def put(self, picture: NDArray[np.uint8], seconds: float) -> None:
        """Take RGB (H, W, 3), shown from `seconds` on; later pictures have later times.

        Raises:
            MaskwrightError: the video cannot be written.
        """
        if self._picture is None:
            self._behind = seconds
        else:
            self._behind += max(0.0, seconds - self._last - PAUSE)
            self._fill(round((seconds - self._behind) * self._rate))
        self._last = seconds
        step = -(-max(picture.shape) // SIDE)
        self._picture = cv2.cvtColor(picture[::step, ::step], cv2.COLOR_RGB2BGR)

    def finish(self) -> None:
        """Show the last picture, and close the file.

        Raises:
            MaskwrightError: it was not written whole.
        """
        if self._picture is not None:
            self._fill(max(self._written + 1, round((self._last - self._behind) * self._rate) + 1))
        self.close()
        with quiet():
            found = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        count = max(0, round(found.get(cv2.CAP_PROP_FRAME_COUNT)))
        found.release()
        if count != self._written:  # OpenCV does not tell when writing fails
            raise MaskwrightError(
                f"{self._name} holds {count} of {self._written} frames: free some space on the disk, and predict again"
            )
        with self._path.open("ab") as stream:  # a box of the kind `free`, which players skip
            stream.write((8 + len(MARK)).to_bytes(4, "big") + b"free" + MARK.encode())

    def close(self) -> None:
        """Let go of the file."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _fill(self, frames: int) -> None:
        """Show the picture at hand until the video has this many frames."""
        assert self._picture is not None
        if self._writer is None and frames > self._written:
            height, width = self._picture.shape[:2]
            with quiet():
                self._writer = cv2.VideoWriter(
                    str(self._path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), self._rate, (width, height)
                )
            if not self._writer.isOpened():
                raise MaskwrightError(
                    f"{self._name} cannot be written as a video of {width}x{height} pixels and {self._rate:g} frames "
                    "a second: save other kinds than overlays"
                )
        for _ in range(self._written, frames):
            assert self._writer is not None
            self._writer.write(self._picture)
        self._written = max(self._written, frames)


@contextlib.contextmanager
def video_file(path: Path, rate: float) -> Iterator[VideoWriter]:
    """Yield a writer; on success `path` is an MP4 video, else it is as before.

    Raises:
        MaskwrightError: it cannot be written.
    """
    with replacing(path) as temporary:
        writer = VideoWriter(temporary, rate, path)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()
