"""The finished rows of a label map on disk, so that no image is too large, and none has to be begun again.

A folder beside the result holds one compressed file for each band of rows of each panel of columns, and what they
belong to. A band is written whole or not at all, so whatever stops the process, the bands that are there are right.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.files import write_bytes, write_error, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

KEY = "prediction.txt"
"""File in the folder that says what its rows belong to."""
SUMS = ".json"


class PanelBands:
    """Rows of some columns of a label map, from the top down to `end`.

    Args:
        folder: of the files.
        number: of the panel.
        columns: of the label map.

    Attributes:
        columns: see above.
    """

    def __init__(self, folder: Path, number: int, columns: range) -> None:
        self._folder, self._number, self.columns = folder, number, columns
        self._edges = [0]
        self._last: tuple[int, NDArray[np.uint8]] | None = None
        found = (file.stem.split("-") for file in folder.glob(f"{number:03d}-*.z"))
        stops = {int(start): int(stop) for _, start, stop in found}
        while self.end in stops:
            self._edges.append(stops[self.end])

    @property
    def end(self) -> int:
        """The first row that is not there."""
        return self._edges[-1]

    def put(self, labels: NDArray[np.uint8]) -> None:
        """Add the next rows (h, w)."""
        stop = self.end + len(labels)
        write_bytes(self._path(self.end, stop), zlib.compress(labels.tobytes(), level=1))
        self._edges.append(stop)

    def put_sums(self, rows: int, sums: NDArray[np.float64]) -> None:
        """Keep sums (n, K) over the rows that are put next; they are of no use without these."""
        path = self._path(self.end, self.end + rows).with_suffix(SUMS)
        write_text(path, json.dumps(sums.tolist()))

    def sums(self) -> NDArray[np.float64]:
        """Return the sums over all rows (n, K), which must all have been put."""
        pairs = pairwise(self._edges)
        texts = (self._path(start, stop).with_suffix(SUMS).read_text(encoding="utf-8") for start, stop in pairs)
        return np.sum([json.loads(text) for text in texts], axis=0)

    def copy(self, start: int, found: NDArray[np.uint8]) -> None:
        """Copy rows from `start` on to an array (h, w); from the top to the bottom no band is read twice."""
        stop = start + len(found)
        place = int(np.searchsorted(self._edges, start, side="right")) - 1
        for number in range(place, len(self._edges) - 1):
            top = self._edges[number]
            if top >= stop:
                break
            band = self._band(number)
            first, last = max(start, top), min(stop, top + len(band))
            found[first - start : last - start] = band[first - top : last - top]

    def counts(self) -> NDArray[np.int64]:
        """Return how many pixels have each of the values 0..255."""
        return sum(
            (np.bincount(self._band(number).ravel(), minlength=256) for number in range(len(self._edges) - 1)),
            np.zeros(256, np.int64),
        )

    def _band(self, number: int) -> NDArray[np.uint8]:
        if self._last is None or self._last[0] != number:
            content = zlib.decompress(self._path(*self._edges[number : number + 2]).read_bytes())
            self._last = number, np.frombuffer(content, np.uint8).reshape(-1, len(self.columns))
        return self._last[1]

    def _path(self, start: int, stop: int) -> Path:
        return self._folder / f"{self._number:03d}-{start:08d}-{stop:08d}.z"


class LabelBands:
    """A label map as bands of rows; a `ops.rows.RowSource` of one channel as soon as all are there.

    Args:
        folder: of its own; what it holds for the same `key` is kept, and anything else of ours is removed.
        size: (height, width) of the image.
        key: says which model predicts which image in which panels; see above.
        panels: columns that are computed one part after the other, from left to right.

    Attributes:
        panels: the rows of each.

    Raises:
        MaskwrightError: the folder cannot be written.
    """

    channels = 1
    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, size: tuple[int, int], key: str, panels: Sequence[range]) -> None:
        self.size = size
        try:
            if not _has(folder / KEY, key):
                remove(folder)
                folder.mkdir(parents=True)
                write_text(folder / KEY, key)
        except OSError as error:
            raise write_error(folder, error) from error
        self.panels = [PanelBands(folder, number, columns) for number, columns in enumerate(panels)]

    @property
    def done(self) -> float:
        """Share of the pixels that are there."""
        there = sum(panel.end * len(panel.columns) for panel in self.panels)
        return there / (self.size[0] * self.size[1])

    def place(self) -> str:
        """Say which row is the first that is not there, and of which panel."""
        number = next((number for number, panel in enumerate(self.panels) if panel.end < self.size[0]), -1)
        said = f"row {self.panels[number].end:,} of {self.size[0]:,}"
        return said if len(self.panels) == 1 else f"{said}, in panel {number % len(self.panels) + 1}"

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return rows start..stop as (stop - start, W, 1)."""
        found = np.empty((stop - start, self.size[1]), np.uint8)
        for panel in self.panels:
            panel.copy(start, found[:, panel.columns.start : panel.columns.stop])
        return found[..., None]

    def counts(self) -> NDArray[np.int64]:
        """Return how many pixels have each of the values 0..255."""
        return sum((panel.counts() for panel in self.panels), np.zeros(256, np.int64))

    def sums(self) -> NDArray[np.float64]:
        """Return what `PanelBands.put_sums` was given (n, K), added up over the image."""
        return np.sum([panel.sums() for panel in self.panels], axis=0)


def remove(folder: Path) -> None:
    """Remove the bands of a finished prediction; a folder that is not one stays."""
    if (folder / KEY).is_file():
        shutil.rmtree(folder)
    else:
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()


def _has(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except FileNotFoundError:
        return False
