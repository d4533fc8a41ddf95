"""One pass over a data set: decodes each image and mask once and summarises it. Knows no split and no plan.

Of an image only a `RecordSummary` of about a kilobyte stays in memory, and no pixels. Images are visited in a seeded
shuffled order, so that the images read before the time is up are an unbiased sample, and so are the first
`OBJECT_IMAGES` (fewer if they are large), on which the more costly statistics of objects are measured.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.annotations import mask_files
from maskwright.core.records import Fault
from maskwright.core.resources import Gate, cores, free_memory
from maskwright.core.seeds import generator
from maskwright.data import faults
from maskwright.data.edge_statistics import EdgeMeter
from maskwright.data.flip_symmetry import FlipMeter, flip_difference, occupancy
from maskwright.data.instance_statistics import InstanceMeter
from maskwright.data.labels import read_pair
from maskwright.data.object_search import Found, search
from maskwright.data.objects import LARGE_PIXELS, ObjectMeter
from maskwright.data.readers import DecodeError, image_size, is_lossy
from maskwright.data.similarity import SimilarityIndex, thumbnail
from maskwright.data.statistics import IntensityMeter, intensities
from maskwright.data.undeclared import undeclared, undeclared_faults
from maskwright.ops.images import count_labels
from maskwright.ops.no_data import no_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.events import OnProgress
    from maskwright.core.records import Dataset, Record
    from maskwright.data.flip_symmetry import FlipDifference
    from maskwright.data.similarity import Thumbnail
    from maskwright.data.statistics import Intensities
    from maskwright.data.undeclared import Undeclared

OBJECT_IMAGES = 200
_OBJECT_IMAGES_IN_ANY_CASE = 8
_OBJECT_WORK = 200e6  # pixels x classes: two or three seconds on two cores
_CLASSES_AN_IMAGE = 12
_FEWEST_SEEN = 8
_MOST_THREADS = 8
_BYTES_A_PIXEL = 16  # image, mask, and what is computed from them


@dataclass(frozen=True, eq=False)
class RecordSummary:
    """Summary of one image and its mask.

    Attributes:
        height, width, channels: of the image.
        dtype: name of the pixel type.
        pixels: (K + 1,) number of pixels by class index; the ignored ones last.
        thumbnail: to compare it with other images.
        seconds: to read and decode both.
        objects: (K,) number of objects by class index, in the searched part of the image.
        objects_share: area of the searched part as a share of the image, 0..1.
        no_data: number of pixels without data.
        label: CRC-32 of the mask as read, by class index; equal for equal masks.
    """

    height: int
    width: int
    channels: int
    dtype: str
    pixels: NDArray[np.int64]
    thumbnail: Thumbnail
    seconds: float
    objects: NDArray[np.int64]
    objects_share: float
    no_data: int = 0
    label: int = 0


@dataclass(frozen=True, eq=False)
class Survey:
    """Result of one pass over a data set.

    Attributes:
        dataset: the usable records (and those not read when time ran out), with all faults.
        summaries: by record id, of the records read.
        intensity: by (channels, pixel type).
        objects: by class index.
        scene: flip differences of whole masks.
        object_images: number of images searched for objects; a partly searched image counts by its share.
        annotated: number of records with an annotation, usable or not.
        instances: the objects of annotations that tell objects.
        edges: those that people drew.
    """

    dataset: Dataset
    summaries: dict[str, RecordSummary]
    intensity: dict[tuple[int, str], IntensityMeter]
    objects: tuple[ObjectMeter, ...]
    scene: FlipMeter
    object_images: float
    annotated: int
    instances: InstanceMeter = field(default_factory=InstanceMeter)
    edges: EdgeMeter = field(default_factory=EdgeMeter)

    @cached_property
    def similarity(self) -> SimilarityIndex:
        """The images read, compared with one another."""
        return SimilarityIndex({name: entry.thumbnail for name, entry in self.summaries.items()})

    def shown(self, name: str) -> NDArray[np.bool_]:
        """Return which classes (K,) a record shows; all False for a record that was not read."""
        entry = self.summaries.get(name)
        return np.zeros(len(self.dataset.classes), np.bool_) if entry is None else entry.pixels[:-1] > 0

    def present(self, name: str) -> frozenset[int]:
        """Return the indices of the classes that a record shows."""
        return frozenset(map(int, np.flatnonzero(self.shown(name))))


def survey(dataset: Dataset, seconds: float | None = None, on_progress: OnProgress | None = None) -> Survey:
    """Read every annotated image once.

    Args:
        dataset: as read from a layout.
        seconds: after this time no other image is started (a few are always read); None to read all images.
        on_progress: called with (images done, total images) after each image.

    Returns:
        The survey. An unusable image becomes a fault of `Survey.dataset` instead of a record.
    """
    records = sorted((record for record in dataset.records if record.annotation is not None), key=lambda item: item.id)
    order = generator(0, "survey").permutation(len(records))
    meters = _Meters(dataset)
    shuffled = [records[place] for place in order]
    for done, (record, found) in enumerate(_examined(dataset, shuffled, seconds), 1):
        meters.add(record, found)
        if on_progress is not None:
            on_progress(done, len(records))
    return meters.survey(records)


@dataclass(frozen=True, eq=False)
class _Examined:
    """All results from one image, without its pixels."""

    summary: RecordSummary
    intensities: Intensities
    scene: FlipDifference
    objects: Found
    faults: tuple[Fault, ...]
    jpegs: tuple[Path, ...]
    undeclared: Undeclared | None


def _examined(
    dataset: Dataset, records: Sequence[Record], seconds: float | None
) -> Iterator[tuple[Record, _Examined | Fault]]:
    """Yield the results in the order of `records`; only a few images are in memory at a time."""
    deadline = None if seconds is None else time.monotonic() + seconds
    threads = min(_MOST_THREADS, cores())
    gate = Gate(free_memory() // 2)
    with_objects = _object_images(records, len(dataset.classes))
    waiting: deque[tuple[Record, Future[_Examined | Fault]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for place, record in enumerate(records):
            if deadline is not None and place >= _FEWEST_SEEN and time.monotonic() > deadline:
                break
            waiting.append((record, pool.submit(_try_examine, dataset, record, gate, place < with_objects)))
            if len(waiting) > 2 * threads:
                earliest, future = waiting.popleft()
                yield earliest, future.result()
        while waiting:
            earliest, future = waiting.popleft()
            yield earliest, future.result()


def _object_images(records: Sequence[Record], classes: int) -> int:
    """Return how many of the first images to search for objects, which takes several times as long as decoding."""
    work = 0
    for place, record in enumerate(records[:OBJECT_IMAGES]):
        try:
            height, width = image_size(record.image)
        except DecodeError:  # reported when the pixels are asked for
            continue
        work += min(height * width, LARGE_PIXELS) * min(classes, _CLASSES_AN_IMAGE)
        if work > _OBJECT_WORK and place >= _OBJECT_IMAGES_IN_ANY_CASE:
            return place
    return OBJECT_IMAGES


def _try_examine(dataset: Dataset, record: Record, gate: Gate, with_objects: bool) -> _Examined | Fault:
    try:
        height, width = image_size(record.image)
        with gate.passing(_BYTES_A_PIXEL * height * width):
            return _examine(dataset, record, with_objects=with_objects)
    except DecodeError as error:
        return error.fault()


def _examine(dataset: Dataset, record: Record, *, with_objects: bool) -> _Examined:
    start = time.perf_counter()
    image, label = read_pair(dataset, record)
    seconds = time.perf_counter() - start
    gone = no_data(image)
    empty = 0 if gone is None else int(gone.sum())
    if empty == label.size:
        raise DecodeError("no-data", record.image, "has no data in any pixel", "remove it: there is nothing to learn")
    count = len(dataset.classes)
    by_value = count_labels(label)
    pixels = np.append(by_value[:count], by_value[count:].sum())
    mask = record.annotation.path if record.annotation is not None else record.image.path
    height, width, channels = image.shape
    objects = search(dataset, record, label) if with_objects else Found({}, 0.0)
    sizes = {index: len(part.sizes) for index, part in objects.classes.items()}
    counts = np.array([sizes.get(index, 0) for index in range(count)], np.int64)
    summary = RecordSummary(
        *(height, width, channels, str(image.dtype), pixels, thumbnail(image), seconds, counts, objects.share, empty),
        zlib.crc32(np.ascontiguousarray(label).data),
    )
    return _Examined(
        summary,
        intensities(image),
        flip_difference(occupancy(label, count)[None]),
        objects,
        tuple(faults.mask_faults(dataset, record, mask, pixels)),
        tuple(filter(is_lossy, mask_files(record.annotation))),
        undeclared(image),
    )


class _Meters:
    """Running sums of a survey."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._summaries: dict[str, RecordSummary] = {}
        self._intensity: dict[tuple[int, str], IntensityMeter] = {}
        self._objects = tuple(ObjectMeter() for _ in dataset.classes.names)
        self._scene = FlipMeter()
        self._object_images = 0.0
        self._instances, self._edges = InstanceMeter(), EdgeMeter()
        self._log = faults.FaultLog(dataset.faults)
        self._unusable: set[str] = set()
        self._jpegs: list[Path] = []
        self._undeclared: list[tuple[Path, Undeclared]] = []

    def add(self, record: Record, found: _Examined | Fault) -> None:
        """Add one image, or its fault."""
        if isinstance(found, Fault):
            self._unusable.add(record.id)
            self._log.add(found)
            return
        summary = found.summary
        self._summaries[record.id] = summary
        self._intensity.setdefault((summary.channels, summary.dtype), IntensityMeter()).add(found.intensities)
        self._scene.add(found.scene)
        for fault in found.faults:
            self._log.add(fault)
        self._jpegs += found.jpegs
        if found.undeclared is not None:
            self._undeclared.append((record.image.path, found.undeclared))
        self._object_images += summary.objects_share
        if found.objects.instances is not None:
            self._instances.add(found.objects.instances)
        if found.objects.edges is not None:
            self._edges.add(found.objects.edges)
        for index, part in found.objects.classes.items():
            self._objects[index].add(part)

    def survey(self, records: Sequence[Record]) -> Survey:
        """Return the result."""
        if self._jpegs:
            of = sum(len(mask_files(record.annotation)) for record in records if record.id in self._summaries)
            self._log.add(faults.jpeg_masks(self._jpegs, of, self._dataset.value_to_index))
        for fault in undeclared_faults(self._dataset.root, self._undeclared, len(self._summaries)):
            self._log.add(fault)
        usable = tuple(record for record in records if record.id not in self._unusable)
        dataset = replace(self._dataset, records=usable, faults=self._log.sorted())
        return Survey(
            dataset,
            self._summaries,
            self._intensity,
            self._objects,
            self._scene,
            self._object_images,
            len(records),
            self._instances,
            self._edges,
        )
