"""The finished rows of a label map on disk, so that no image is too large, and none has to be begun again.

A folder beside the result holds one compressed file for each band of rows, and what they belong to. A band is written
whole or not at all, so whatever stops the process, the bands that are there are right.
"""

from __future__ import annotations

import contextlib
import shutil
import zlib
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.files import write_bytes, write_error, write_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_KEY = "prediction.txt"


class LabelBands:
    """Rows of a label map, from the top down to `end`; a `ops.rows.RowSource` of one channel.

    Args:
        folder: of its own; what it holds for the same `key` is kept, and anything else of ours is removed.
        size: (height, width) of the image.
        key: says which model predicts which image; see above.

    Attributes:
        end: the first row that is not there.

    Raises:
        MaskwrightError: the folder cannot be written.
    """

    channels = 1
    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, size: tuple[int, int], key: str) -> None:
        self.folder, self.size = folder, size
        self.end = 0
        self._starts: list[int] = []
        self._last: tuple[int, NDArray[np.uint8]] | None = None
        try:
            if not _has(folder / _KEY, key):
                remove(folder)
                folder.mkdir(parents=True)
                write_text(folder / _KEY, key)
        except OSError as error:
            raise write_error(folder, error) from error
        while (following := self._stop_of(self.end)) is not None:
            self._starts.append(self.end)
            self.end = following

    def put(self, labels: NDArray[np.uint8]) -> None:
        """Add the next rows (h, W)."""
        stop = self.end + len(labels)
        name = f"{self.end:08d}-{stop:08d}.z"
        write_bytes(self.folder / name, zlib.compress(labels.tobytes(), level=1))
        self._starts.append(self.end)
        self.end = stop

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return rows start..stop as (stop - start, W, 1); from the top to the bottom no band is read twice."""
        found = np.empty((stop - start, self.size[1]), np.uint8)
        place = int(np.searchsorted(self._starts, start, side="right")) - 1
        for number in range(place, len(self._starts)):
            top = self._starts[number]
            if top >= stop:
                break
            band = self._band(number)
            first, last = max(start, top), min(stop, top + len(band))
            found[first - start : last - start] = band[first - top : last - top]
        return found[..., None]

    def counts(self) -> NDArray[np.int64]:
        """Return how many pixels have each of the values 0..255."""
        return sum(
            (np.bincount(self._band(number).ravel(), minlength=256) for number in range(len(self._starts))),
            np.zeros(256, np.int64),
        )

    def _band(self, number: int) -> NDArray[np.uint8]:
        if self._last is None or self._last[0] != number:
            start = self._starts[number]
            stop = self._stop_of(start)
            content = zlib.decompress((self.folder / f"{start:08d}-{stop:08d}.z").read_bytes())
            self._last = number, np.frombuffer(content, np.uint8).reshape(-1, self.size[1])
        return self._last[1]

    def _stop_of(self, start: int) -> int | None:
        """Return where the band that begins at a row ends; None without such a band."""
        found = next(self.folder.glob(f"{start:08d}-*.z"), None)
        return None if found is None else int(found.stem.partition("-")[2])


def remove(folder: Path) -> None:
    """Remove the bands of a finished prediction; a folder that is not one stays."""
    if (folder / _KEY).is_file():
        shutil.rmtree(folder)
    else:
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()


def _has(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except FileNotFoundError:
        return False
