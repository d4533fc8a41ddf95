"""The fingerprint of a data set, from its survey. Opens no file and decides nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.fingerprint import ClassStats, Fingerprint
from maskwright.core.records import SPLITS
from maskwright.data import faults
from maskwright.data.faults_classes import class_faults
from maskwright.data.flip_symmetry import symmetry
from maskwright.data.statistics import spread
from maskwright.data.thing_classes import listed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.fingerprint import ChannelStats
    from maskwright.core.records import Dataset, Fault
    from maskwright.data.survey import Survey

_COMMONEST_SIZES = 10


def fingerprint(seen: Survey, dataset: Dataset | None = None, *, objects: bool = False) -> Fingerprint:
    """Return the fingerprint of a surveyed data set.

    Args:
        seen: the survey.
        dataset: the surveyed data set after `with_splits`; None for the splits of the layout.
        objects: objects are to be learnt, so it is an obstacle if there are none.

    Returns:
        The fingerprint. If only a sample was read, pixels, images by class and objects are scaled up to all images.
    """
    dataset = seen.dataset if dataset is None else dataset
    summaries = seen.summaries
    total = len(dataset.records)
    factor = total / len(summaries) if summaries else 1.0
    entries = list(summaries.values())
    pixels = _pixels(seen)
    images = _images_by_split(seen, dataset)
    everything = max(int(pixels.sum()), 1)
    missing = seen.instances.without_objects(dataset) if objects else ()
    found = _faults(seen, dataset, images, pixels, missing)
    return Fingerprint(
        root=str(dataset.root),
        format=dataset.format,
        layout=dataset.layout,
        images=total,
        splits=_split_sizes(dataset),
        heights=spread([entry.height for entry in entries]),
        widths=spread([entry.width for entry in entries]),
        sizes=dict(Counter(f"{entry.width}x{entry.height}" for entry in entries).most_common(_COMMONEST_SIZES)),
        channels=dict(Counter(entry.channels for entry in entries).most_common()),
        dtypes=dict(Counter(entry.dtype for entry in entries).most_common()),
        intensity=_intensity(seen),
        class_stats=_class_stats(seen, dataset, images, factor),
        ignore_share=float(pixels[-1] / everything),
        flip_horizontal=_flip(seen, "horizontal"),
        flip_vertical=_flip(seen, "vertical"),
        groups=len({record.group for record in dataset.records if record.group is not None}),
        near_duplicates=len({name for pair in seen.similarity.near_duplicates for name in pair}),
        decode_seconds=float(np.median([entry.seconds for entry in entries])) if entries else 0.0,
        faults=found,
        obstacle=faults.obstacle(found),
        annotated=seen.annotated,
        no_data_share=sum(entry.no_data for entry in entries) / everything,
        objects=seen.instances.stats(),
        edges=seen.edges.stats(),
    )


def for_training(found: Fingerprint, seen: Survey, dataset: Dataset) -> Fingerprint:
    """Return a fingerprint whose class frequencies come from the training images alone.

    Held-out labels must not influence the weights of the losses. Size, thickness and orientation of the objects, and
    the statistics of the pixels, are still those of all images.

    Args:
        found: of all images.
        seen: the survey.
        dataset: the surveyed data set with its splits.
    """
    chosen = [entry for record in dataset.part("train") if (entry := seen.summaries.get(record.id)) is not None]
    pixels = sum((entry.pixels for entry in chosen), np.zeros(len(dataset.classes) + 1, np.int64))
    if not pixels[:-1].any():  # only a sample of a large set was read, without any training image
        return found
    images = len(dataset.part("train"))
    factor, labelled = images / len(chosen), int(pixels[:-1].sum())
    objects = sum((entry.objects for entry in chosen), np.zeros(len(dataset.classes), np.int64))
    looked_at = sum(entry.objects_share for entry in chosen)
    counted = listed(dataset, dataset.part("train"))
    stats = tuple(
        replace(
            entry,
            pixels=round(factor * int(pixels[index])),
            share=float(pixels[index] / labelled),
            images={"train": entry.images.get("train", 0)},
            objects=_count(index, counted, images / looked_at * int(objects[index]) if looked_at else entry.objects),
        )
        for index, entry in enumerate(found.class_stats)
    )
    return replace(found, class_stats=stats)


def _split_sizes(dataset: Dataset) -> dict[str, int]:
    counts = Counter(record.split for record in dataset.records if record.split is not None)
    return {part: counts[part] for part in SPLITS if counts[part]}


def _pixels(seen: Survey) -> NDArray[np.int64]:
    """Return the number of pixels (K + 1,) by class in the images read, the ignored ones last."""
    total = np.zeros(len(seen.dataset.classes) + 1, np.int64)
    for entry in seen.summaries.values():
        total += entry.pixels
    return total


def _images_by_split(seen: Survey, dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """Return the number of read images (K,) that show each class, by split, or as `all` if there are no splits."""
    counts: dict[str, NDArray[np.int64]] = {}
    divided = any(record.split for record in dataset.records)
    for record in dataset.records:
        if divided and record.split is None:  # left out where a sequence was cut
            continue
        shown = counts.setdefault(record.split or "all", np.zeros(len(dataset.classes), np.int64))
        shown += seen.shown(record.id)
    return counts


def _class_stats(
    seen: Survey, dataset: Dataset, images: dict[str, NDArray[np.int64]], factor: float
) -> tuple[ClassStats, ...]:
    pixels = _pixels(seen)
    labelled = max(int(pixels[:-1].sum()), 1)
    object_factor = factor * len(seen.summaries) / (seen.object_images or 1)
    counted = listed(dataset, dataset.records)
    return tuple(
        ClassStats(
            name=name,
            pixels=round(factor * int(pixels[index])),
            share=float(pixels[index] / labelled),
            images={part: round(factor * int(counts[index])) for part, counts in sorted(images.items(), key=_by_part)},
            objects=_count(index, counted, object_factor * seen.objects[index].sizes.count),
            size=seen.objects[index].sizes.spread(),
            thickness=seen.objects[index].thickness.spread(),
            annotated=index in seen.instances.classes or bool(counted and counted[index]),
        )
        for index, name in enumerate(dataset.classes.names)
    )


def _count(index: int, counted: Counter[int] | None, estimate: float) -> int:
    """Return the number of objects of a class: of annotations that list them, they are counted."""
    return round(estimate) if counted is None else counted[index]


def _by_part(item: tuple[str, object]) -> int:
    return [*SPLITS, "all"].index(item[0])


def _intensity(seen: Survey) -> tuple[ChannelStats, ...]:
    """Return the statistics of the most common kind of image: by number of channels, then by pixel type."""
    if not seen.intensity:
        return ()
    by_channels: Counter[int] = Counter()
    for (channels, _), meter in seen.intensity.items():
        by_channels[channels] += meter.images
    commonest = by_channels.most_common(1)[0][0]
    meters = [meter for (channels, _), meter in sorted(seen.intensity.items()) if channels == commonest]
    return max(meters, key=lambda meter: meter.images).stats()


def _types(seen: Survey, dataset: Dataset) -> dict[Path, str]:
    return {
        record.image.path: seen.summaries[record.id].dtype for record in dataset.records if record.id in seen.summaries
    }


def _flip(seen: Survey, axis: str) -> float:
    """Return the flip symmetry 0..1 of the masks: that of whole scenes or of single objects, whichever is lower.

    One image tells nothing about orientation, so its symmetry is 0.
    """
    if len(seen.summaries) < 2:
        return 0.0
    nothing = seen.dataset.classes.background
    shapes = [meter.shapes for index, meter in enumerate(seen.objects) if index != nothing]
    return min(symmetry([seen.scene], axis), symmetry(shapes, axis))


def _faults(
    seen: Survey,
    dataset: Dataset,
    images: dict[str, NDArray[np.int64]],
    pixels: NDArray[np.int64],
    missing: Iterable[Fault],
) -> tuple[Fault, ...]:
    log = faults.FaultLog((*dataset.faults, *seen.dataset.faults))
    none = np.zeros(len(dataset.classes), np.int64)
    by_part = np.stack([images.get(part, none) for part in SPLITS], axis=1)
    found = (
        *faults.size_faults(dataset),
        *faults.type_faults(dataset.root, _types(seen, dataset)),
        *class_faults(dataset, by_part, pixels[:-1], whole=len(seen.summaries) >= len(dataset.records)),
        *faults.leaks(dataset.records, seen.dataset.records, seen.similarity.near_duplicates),
        *faults.contradictions(
            seen.dataset.records,
            seen.similarity.identical,
            {name: entry.label for name, entry in seen.summaries.items()},
        ),
        *seen.instances.faults(),
        *missing,
        *faults.sampled(dataset.root, len(seen.summaries), len(dataset.records), seen.object_images),
    )
    for fault in found:
        log.add(fault)
    return log.sorted()
