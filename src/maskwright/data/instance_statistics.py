"""Annotated objects, counted: how many an image has, how large they are, which touch, overlap or are cut.

Knows no file and no class. Crowds are counted, and left out otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.fingerprint import ObjectStats
from maskwright.core.instances import Instances
from maskwright.core.records import Fault, MaskFile, MaskLayers
from maskwright.core.text import agree, plural
from maskwright.data.object_agreement import AgreementMeter
from maskwright.data.statistics import ValueSample, spread
from maskwright.ops.instance_maps import to_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.instances import Instance
    from maskwright.core.records import Annotation, Dataset
    from maskwright.data.object_agreement import ImageAgreement


# A part of an object is large if it has this share of the pixels of the largest part.
_PART = 0.1
# Ids that stand for several regions in more than this share of the objects are those of classes.
_MANY_TORN = 0.5
# The most objects that a map of 8 bits can number; an id may be missing where an object was cut off.
_FULL, _NEARLY_FULL = 255, range(250, 255)


@dataclass(frozen=True, eq=False)
class ImageInstances:
    """The annotated objects of one image.

    Attributes:
        source: the annotation file.
        by_id: an object is the pixels of one id, and not an outline.
        by_file: an object is what one mask file shows.
        areas: (n,) pixels of each object.
        touching: (n,) whether an object touches or overlaps another one.
        overlapping: (n,) whether it shares pixels with another one.
        cut: (n,) whether it reaches the image border.
        parted: (n,) whether it has several parts, none of which touches another at a corner.
        torn: (n,) whether the second largest part is no speck beside the largest.
        lost: pixels that a map of ids cannot hold.
        crowds: number of crowds.
        classes: indices of the classes of the objects.
        agreement: with the mask of classes beside them; None if there is none.
    """

    source: Path
    by_id: bool
    by_file: bool
    areas: NDArray[np.int64]
    touching: NDArray[np.bool_]
    overlapping: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    parted: NDArray[np.bool_]
    torn: NDArray[np.bool_]
    lost: int
    crowds: int
    classes: frozenset[int]
    agreement: ImageAgreement | None = None


def measured(found: Sequence[Instance], size: tuple[int, int], annotation: Annotation) -> ImageInstances:
    """Measure the objects of one image of `size` (height, width), which an annotation tells."""
    objects = tuple(entry for entry in found if not entry.crowd)
    areas = np.array([entry.area for entry in objects], np.int64)
    ids = to_map(Instances(size, objects))
    lost = int(areas.sum()) - int(np.count_nonzero(ids))
    claims = _claims(objects, size) if lost else None
    flags = np.zeros((5, len(objects)), np.bool_)
    for place, entry in enumerate(objects):
        shared = claims is not None and bool((claims[entry.rows, entry.columns][entry.mask] > 1).any())
        flags[:, place] = (
            shared or _touches(ids, entry, place + 1),
            shared,
            entry.reaches_border(size),
            *_parts(entry.mask),
        )
    by = isinstance(annotation, MaskFile), isinstance(annotation, MaskLayers)
    touching, overlapping, cut, parted, torn = flags
    counts = lost, len(found) - len(objects)
    classes = frozenset(entry.index for entry in found)
    return ImageInstances(annotation.path, *by, areas, touching, overlapping, cut, parted, torn, *counts, classes)


def _claims(objects: Sequence[Instance], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Count the objects of every pixel (H, W)."""
    claims = np.zeros(size, np.uint16)
    for entry in objects:
        claims[entry.rows, entry.columns] += entry.mask
    return claims


def _touches(ids: NDArray[np.int32], entry: Instance, own: int) -> bool:
    """Tell whether another id lies on an object or on one of the eight neighbours of its pixels."""
    top, left = max(entry.top - 1, 0), max(entry.left - 1, 0)
    window = ids[top : entry.top + entry.mask.shape[0] + 1, left : entry.left + entry.mask.shape[1] + 1]
    others = (window != 0) & (window != own)
    if not others.any():
        return False
    grown = cv2.dilate(np.pad(entry.mask.view(np.uint8), 1), np.ones((3, 3), np.uint8))
    rows, columns = top - entry.top + 1, left - entry.left + 1
    return bool(grown[rows : rows + window.shape[0], columns : columns + window.shape[1]][others].any())


def _parts(mask: NDArray[np.bool_]) -> tuple[bool, bool]:
    """Tell whether an object has several parts, and whether two of them are large."""
    parts, _, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    if parts < 3:
        return False, False
    *_, second, largest = sorted(stats[1:, cv2.CC_STAT_AREA].tolist())
    return True, second >= _PART * largest


class _Tally:
    """Counts objects, and keeps the first file with one."""

    def __init__(self) -> None:
        self.count = self.files = 0
        self.first: Path | None = None

    @property
    def example(self) -> str:
        """The first of several files, in words."""
        return "" if self.files < 2 or self.first is None else f", in {self.files} files such as {self.first.name}"

    def add(self, count: int, source: Path) -> None:
        if count and self.first is None:
            self.first = source
        self.count += count
        self.files += count > 0


class InstanceMeter:
    """Running sums over the images."""

    def __init__(self) -> None:
        self._counts: list[int] = []
        self._diameters = ValueSample()
        self._sums = np.zeros(4, np.int64)
        self._lost = self._crowds = 0
        self._by_id = self._torn = 0
        self._dots, self._parted, self._full = _Tally(), _Tally(), _Tally()
        self._single, self._alone = _Tally(), _Tally()
        self._agreement = AgreementMeter()
        self.classes: frozenset[int] = frozenset()

    @property
    def images(self) -> int:
        """Number of images added."""
        return len(self._counts)

    def add(self, part: ImageInstances) -> None:
        """Add one image."""
        self._counts.append(len(part.areas))
        self.classes |= part.classes
        self._diameters.add(np.sqrt(part.areas * (4 / np.pi)))
        self._sums += [flags.sum() for flags in (part.touching, part.overlapping, part.cut, part.parted)]
        self._lost, self._crowds = self._lost + part.lost, self._crowds + part.crowds
        self._dots.add(int(np.count_nonzero(part.areas == 1)), part.source)
        if part.agreement is not None:
            self._agreement.add(part.agreement)
        torn = int(np.count_nonzero(part.torn))
        single = int(torn == 1 == len(part.areas))
        if part.by_file:
            self._alone.add(single, part.source)
        if part.by_id:
            self._by_id, self._torn = self._by_id + len(part.areas), self._torn + torn
            self._parted.add(int(np.count_nonzero(part.parted)), part.source)
            self._single.add(single, part.source)
            self._full.add(int(len(part.areas) == _FULL or (torn and len(part.areas) in _NEARLY_FULL)), part.source)

    def faults(self) -> Iterator[Fault]:
        """Yield notes on objects that are probably errors of the annotation."""
        yield from self._agreement.faults()
        if self._dots.first is not None:
            dots = self._dots
            are = f"{plural(dots.count, 'object')} {agree(dots.count, 'is', 'are')}"
            message = f"{are} one pixel large{dots.example}"
            cure = "erase each that is a slip of the annotation: it counts as an object"
            yield Fault("one-pixel-object", "note", self._dots.first, message, cure)
        if self._parted.first is not None:
            yield self._parted_fault(self._parted.first)
        if self._single.first is not None and max(self._counts) > 1:
            count = self._single.count
            message = (
                f"{plural(count, 'map')} {agree(count, 'holds', 'hold')} one id for several regions"
                f"{self._single.example}, which other maps number one by one: each counts as one object"
            )
            cure = "save it like the other maps, unless something covers the middle of one object"
            yield Fault("one-id", "warning", self._single.first, message, cure)
        if self._alone.first is not None and max(self._counts) > 1:
            count = self._alone.count
            message = (
                f"{plural(count, 'mask file')} {agree(count, 'shows', 'show')} several regions{self._alone.example}, "
                f"alone for {agree(count, 'its image', 'their images')}, where other images have a file for each "
                "object: each counts as one object"
            )
            cure = "save a file for each object, unless something covers the middle of one object"
            yield Fault("one-id", "warning", self._alone.first, message, cure)
        if self._full.first is not None:
            count = self._full.count
            message = (
                f"{plural(count, 'map')} {agree(count, 'holds', 'hold')} about 255 objects{self._full.example}, the "
                "most that 8 bits can number: if there were more, their ids started again at 0, and one is missing"
            )
            cure = "save the maps with 16 bits, unless they have 16 bits or the images show no more objects"
            yield Fault("full-map", "warning", self._full.first, message, cure)

    def without_objects(self, dataset: Dataset) -> Iterator[Fault]:
        """Yield a fault if no image that was searched shows an object; an error if all were."""
        if not self._counts or any(self._counts):
            return
        whole = len(self._counts) >= len(dataset.records)
        crowds = f", only {plural(self._crowds, 'crowd')}" if self._crowds else ""
        message = f"none of {plural(len(self._counts), 'annotated image')} shows an object{crowds}"
        cure = "label some objects, check that maps hold an id for each, or learn the classes with `task` semantic"
        yield Fault("no-objects", "error" if whole else "warning", dataset.root, message, cure)

    def _parted_fault(self, first: Path) -> Fault:
        """Say how many objects have several parts, and that these are classes if most objects have."""
        count = self._parted.count
        of = f"{count} of {plural(self._by_id, 'object')}"
        message = f"{of} {agree(count, 'has', 'have')} one id in several parts{self._parted.example}"
        if self._torn <= _MANY_TORN * self._by_id:
            cure = "if the parts are several objects, give each its own id; if something covers the object, do nothing"
            return Fault("parted-object", "note", first, message, cure)
        cure = "if the values are classes, name the folder masks/; if they are ids, give each object its own"
        return Fault("parted-object", "warning", first, f"{message}, as classes do", cure)

    def stats(self) -> ObjectStats | None:
        """Return the result; None if no image tells objects."""
        if not self._counts:
            return None
        objects = sum(self._counts)
        touching, overlapping, cut, parted = (self._sums / max(objects, 1)).tolist()
        return ObjectStats(
            images=len(self._counts),
            objects=objects,
            crowds=self._crowds,
            per_image=spread(self._counts),
            diameter=self._diameters.spread(),
            touching=touching,
            overlapping=overlapping,
            lost=self._lost,
            cut=cut,
            parted=parted,
        )
