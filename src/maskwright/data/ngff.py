"""A label map as an OME-NGFF 0.4 label image in Zarr version 2, written by rows. Knows no model, and needs no package.

https://ngff.openmicroscopy.org/0.4: a pyramid of arrays, each in chunks that are files of their own. A level is every
second row and column of the one before it, so that no class is invented.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.core.files import replacing_folder
from maskwright.core.pixel_size import UNIT_NAMES
from maskwright.data.results import MARK, STORE_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.pixel_size import PixelSize
    from maskwright.ops.rows import RowSource

CHUNK = 1024


class Label(NamedTuple):
    """What one value in a label image stands for.

    Attributes:
        value: in the image.
        color: RGB or RGBA; None to leave it to the viewer.
        properties: such as the name of its class.
    """

    value: int
    color: Sequence[int] | None
    properties: dict[str, Any]


def write_labels(path: Path, source: RowSource, labels: Sequence[Label], scale: PixelSize | None) -> None:
    """Write a label image, whole or not at all.

    Args:
        path: of the folder.
        source: of one channel, unsigned.
        labels: its values.
        scale: size of a pixel; None if nobody knows it.

    Raises:
        MaskwrightError: the folder cannot be written.
    """
    with replacing_folder(path) as folder:
        whole = _Level(folder, 0, source.size, source.dtype)
        for start in range(0, source.size[0], CHUNK):
            whole.add(source.rows(start, min(start + CHUNK, source.size[0]))[..., 0])
        whole.finish()
        (folder / ".zgroup").write_text('{"zarr_format": 2}', encoding="ascii")
        described = _attributes(path.stem, whole.depth, labels, scale)
        (folder / STORE_FILE).write_text(json.dumps(described), encoding="ascii")


class _Level:
    """One array and those of the smaller levels: rows become chunks as soon as there are enough."""

    def __init__(self, folder: Path, number: int, size: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._folder, self._width, self._dtype = folder / str(number), size[1], dtype.newbyteorder("<")
        self._held: list[NDArray[Any]] = []
        self._rows = self._written = 0
        half = -(-size[0] // 2), -(-size[1] // 2)
        self._below = _Level(folder, number + 1, half, dtype) if max(size) > CHUNK else None
        self._folder.mkdir()
        metadata = {
            "zarr_format": 2,
            "shape": list(size),
            "chunks": [CHUNK, CHUNK],
            "dtype": self._dtype.str,
            "compressor": {"id": "zlib", "level": 6},
            "fill_value": 0,
            "order": "C",
            "filters": None,
            "dimension_separator": "/",
        }
        (self._folder / ".zarray").write_text(json.dumps(metadata), encoding="ascii")

    @property
    def depth(self) -> int:
        """How many levels there are from this one on."""
        return 1 + (0 if self._below is None else self._below.depth)

    def add(self, rows: NDArray[Any]) -> None:
        """Add the next rows (h, W): a divisor of `CHUNK`, or the last ones."""
        self._held.append(rows)
        self._rows += len(rows)
        if self._rows == CHUNK:
            self._write()

    def finish(self) -> None:
        """Write the last rows, of all levels."""
        if self._rows:
            self._write()
        if self._below is not None:
            self._below.finish()

    def _write(self) -> None:
        """Write what is held as a row of chunks, those at the edges filled up with 0, and hand it down."""
        rows = np.concatenate(self._held)
        self._held, self._rows = [], 0
        if self._below is not None:
            self._below.add(np.ascontiguousarray(rows[::2, ::2]))  # the number of rows is even, but for the last
        folder = self._folder / str(self._written)
        folder.mkdir()
        self._written += 1
        for column, left in enumerate(range(0, self._width, CHUNK)):
            part = rows[:, left : left + CHUNK]
            chunk = np.zeros((CHUNK, CHUNK), self._dtype)
            chunk[: part.shape[0], : part.shape[1]] = part
            (folder / str(column)).write_bytes(zlib.compress(chunk.tobytes(), level=6))


def _attributes(name: str, levels: int, labels: Sequence[Label], scale: PixelSize | None) -> dict[str, Any]:
    unit = {} if scale is None else {"unit": UNIT_NAMES[scale.unit]}
    length = 1.0 if scale is None else scale.length
    steps = [[length * 2**level] * 2 for level in range(levels)]
    multiscales = {
        "version": "0.4",
        "name": name,
        "axes": [{"name": axis, "type": "space", **unit} for axis in "yx"],
        "datasets": [
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": step}]}
            for level, step in enumerate(steps)
        ],
        "type": "nearest",
    }
    rgba = [(label.value, [*label.color, 255][:4]) for label in labels if label.color is not None]
    colors = [{"label-value": value, "rgba": color} for value, color in rgba]
    properties = [{"label-value": label.value, **label.properties} for label in labels]
    described = {key: found for key, found in (("colors", colors), ("properties", properties)) if found}
    return {"creator": MARK, "multiscales": [multiscales], "image-label": {"version": "0.4", **described}}
