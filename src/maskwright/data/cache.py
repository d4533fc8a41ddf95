"""Decoded images and targets at working resolution, in memory up to a limit. Knows no crops and no network.

Images are kept at exactly the working resolution, computed by the same `ops.images.prepare` that prediction uses, so a
crop without zoom is, pixel for pixel, the input of the trained network in use. A higher resolution, for sharper zoom,
would need up to (largest zoom)^2 times the memory and show the network images that do not occur in use.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.seeds import generator
from maskwright.data.targets import frozen, read_sample, shrunk
from maskwright.ops.images import count_labels, prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import DataPlan
    from maskwright.core.records import Dataset, Record
    from maskwright.core.targets import Target
    from maskwright.data.targets import ReadTarget

    Pair = tuple[NDArray[np.uint8], Target]
    Points = dict[int, NDArray[np.int32]]

# Number of pixels stored for each class of a record, for crops centred on a class.
POINTS = 64


class DecodedCache:
    """Decodes each record once and keeps it while there is memory; decodes the other records at each call.

    The first records that fit stay: every image is used equally often, so replacing one by another would gain nothing.
    All methods may be called from several threads at once.
    """

    def __init__(
        self, dataset: Dataset, records: Sequence[Record], data: DataPlan, max_bytes: int, read: ReadTarget
    ) -> None:
        """Start empty.

        Args:
            dataset: how annotations are read.
            records: the records to serve, by their index here.
            data: channels, value range and working resolution.
            max_bytes: of pixels and targets kept in memory.
            read: reads an annotation.
        """
        self.records = tuple(records)
        self._dataset = dataset
        self._data = data
        self._read = read
        self._room = max_bytes
        self._pairs: dict[int, Pair] = {}
        self._points: dict[int, Points] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def objects(self) -> tuple[int, ...]:
        """Indices of the classes that have objects."""
        return self._dataset.classes.objects

    @property
    def kept(self) -> int:
        """Number of records in memory."""
        return len(self._pairs)

    def get(self, number: int) -> Pair:
        """Return the image uint8 (H, W, C) and the target of a record, both read-only.

        Raises:
            MaskwrightError: a file cannot be read or does not fit the plan; the message names it.
        """
        pair = self._pairs.get(number)
        if pair is None:
            pair = self._decoded(number)
            self._keep(number, pair)
        return pair

    def points(self, number: int, index: int) -> NDArray[np.int32]:
        """Return up to `POINTS` pixels (n, 2) as (row, column) that show class `index`; n is 0 if it is absent.

        They are drawn uniformly from the pixels of the class and depend only on the record.
        """
        if number not in self._points:
            _, target = self.get(number)
            self._points.setdefault(number, class_points(target.labels, self.records[number].id))
        return self._points[number].get(index, np.empty((0, 2), np.int32))

    def _decoded(self, number: int) -> Pair:
        image, target = read_sample(self._dataset, self.records[number], self._read)
        pixels = prepare(image, self._data)
        pixels.flags.writeable = False
        return pixels, frozen(shrunk(target, (pixels.shape[0], pixels.shape[1])))

    def _keep(self, number: int, pair: Pair) -> None:
        size = pair[0].nbytes + pair[1].nbytes
        with self._lock:
            if number not in self._pairs and size <= self._room:
                self._room -= size
                self._pairs[number] = pair


def class_points(labels: NDArray[np.uint8], key: str) -> Points:
    """Draw up to `POINTS` pixels of each class in a label map (`IGNORE` left out).

    Args:
        labels: uint8 (H, W).
        key: seeds the draw, together with the labels.

    Returns:
        class index -> int32 (n, 2) of (row, column), n from 1 to `POINTS`.
    """
    counts = count_labels(labels)[:IGNORE]
    rng = generator(0, "points", key)
    points: Points = {}
    for index in np.flatnonzero(counts):
        chosen = np.arange(counts[index])
        if len(chosen) > POINTS:
            chosen = rng.integers(0, counts[index], POINTS)
        points[int(index)] = _ranked(labels == index, chosen)
    return points


def _ranked(where: NDArray[np.bool_], ranks: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return (row, column) (n, 2) of the set pixels with these ranks (n,), counted row by row, without listing all."""
    ends = np.cumsum(np.count_nonzero(where, axis=1))
    rows = np.searchsorted(ends, ranks, side="right")
    before = ends[rows] - np.count_nonzero(where[rows], axis=1)
    columns = [np.flatnonzero(where[row])[rank] for row, rank in zip(rows, ranks - before, strict=True)]
    return np.stack([rows, np.asarray(columns)], axis=1).astype(np.int32)
