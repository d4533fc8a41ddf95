"""Faults of a data set: a log of bounded size, and the faults that numbers alone reveal. Opens no file."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.records import SPLITS, EdgeFiles, Fault, MaskEdges, MaskFile, Shapes
from maskwright.core.text import agree, plural, such_as

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.records import Dataset, Record

MOST_OF_A_KIND = 200
AREA_TOLERANCE = 0.05
"""Tools that compute the area of a segment from its outline differ from its pixels by less."""
_RANK = {"error": 0, "warning": 1, "note": 2}
OBSTACLES = ("no-images", "no-labels", "one-class", "no-objects", "too-few-images", "no-training-images")
"""Kinds of error that concern the whole data set: each of them makes training impossible."""


class FaultLog:
    """Collects faults: each message once per file; keeps at most `MOST_OF_A_KIND` of a kind and counts the rest."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._kept: dict[str, dict[tuple[Path, str], Fault]] = defaultdict(dict)
        self._more: Counter[str] = Counter()
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Keep or count a fault."""
        kept = self._kept[fault.kind]
        key = (fault.path, fault.message)
        if key in kept:
            return
        if len(kept) < MOST_OF_A_KIND:
            kept[key] = fault
        else:
            self._more[fault.kind] += 1

    def sorted(self) -> tuple[Fault, ...]:
        """Return the faults, worst first, then by kind and file; the last of a full kind tells how many follow."""
        found: list[Fault] = []
        for kind, kept in self._kept.items():
            ordered = sorted(kept.values(), key=_place)
            if self._more[kind]:
                last = ordered[-1]
                ordered[-1] = replace(last, message=f"{last.message} (and {self._more[kind]} more of this kind)")
            found.extend(ordered)
        return tuple(sorted(found, key=lambda fault: (_RANK[fault.severity], fault.kind, *_place(fault))))


def _place(fault: Fault) -> tuple[str, str]:
    return str(fault.path), fault.message


def mask_faults(dataset: Dataset, record: Record, mask: Path, pixels: NDArray[np.int64]) -> Iterator[Fault]:
    """Yield the faults of one mask, from its pixels by class (K + 1,), the ignored ones last."""
    classes = dataset.classes
    yield from _other_areas(dataset, record, pixels)
    labelled = int(pixels[:-1].sum())
    nothing = classes.background
    if not labelled:
        yield Fault(
            "all-ignore",
            "warning",
            mask,
            f"the mask of {record.image.name} labels no pixel: all are ignored",
            "label it or remove it: training cannot use it",
        )
    elif nothing is not None and pixels[nothing] == labelled:
        thing = "edge" if isinstance(record.annotation, EdgeFiles | MaskEdges) else "object"
        if isinstance(record.annotation, Shapes) and any(shape.index == IGNORE for shape in record.annotation.shapes):
            return  # it shows objects, which are ignored
        yield Fault(
            "empty-mask",
            "note",
            mask,
            f"the mask of {record.image.name} shows only {classes.names[nothing]}",
            f"check that the image shows no {thing}; if so, it is a useful negative example",
        )
    elif nothing is not None and pixels[:-1].max() == labelled:
        yield Fault(
            "full-mask",
            "note",
            mask,
            f"the mask of {record.image.name} shows only {classes.names[int(pixels[:-1].argmax())]}, and no "
            f"{classes.names[nothing]}",
            "check that the object fills the image; if the mask was not drawn, draw it or remove it",
        )


def _other_areas(dataset: Dataset, record: Record, pixels: NDArray[np.int64]) -> Iterator[Fault]:
    """Yield the fault of a mask that shows other areas than the file with its segments states."""
    mask = record.annotation
    if not isinstance(mask, MaskFile) or not mask.areas or len(mask.areas) < len(mask.values or ()):
        return
    stated = np.zeros(len(dataset.classes))
    of = dict(mask.values or ())
    for segment, area in mask.areas:
        index = of[segment]  # of the classes of the file, before the task merged some
        if index != IGNORE:
            stated[index if dataset.merged is None else dataset.merged[index]] += area
    away = np.abs(stated - pixels[:-1]) / np.maximum(np.maximum(stated, pixels[:-1]), 1)
    worst = int(away.argmax())
    if away[worst] > AREA_TOLERANCE:
        yield Fault(
            "other-area",
            "warning",
            mask.path,
            f"shows {plural(int(pixels[worst]), 'pixel')} of {dataset.classes.names[worst]}, but the areas of its "
            f"segments in the JSON file are {stated[worst]:.0f} together",
            "check that both belong to the same image, and export them again together; if the images were resized "
            "since, nothing is wrong",
        )


def jpeg_masks(masks: Sequence[Path], of: int, known: Mapping[int, int]) -> Fault:
    """Return the fault of lossily compressed masks; black and white masks suffer least from the compression."""
    harm = "this blurs every edge, and each pixel there becomes the nearest class, which may be the wrong one"
    if not set(known) <= {0, 255} and len(known) < 256:
        harm = "this changes ids: an edge from 0 to 2 passes through 1, which is another class, so such masks are wrong"
    first, what = min(masks), f"{agree(len(masks), 'is', 'are')} lossily compressed (JPEG or WebP)"
    return Fault(
        "jpeg-mask",
        "warning",
        first.parent,
        f"{len(masks)} of {plural(of, 'mask')} {what}, {such_as(len(masks), first.name)}: {harm}",
        "export the masks again as PNG from the annotation tool; converting these files to PNG does not correct them",
    )


def size_faults(dataset: Dataset) -> Iterator[Fault]:
    """Yield the faults in the number of usable images."""
    count = len(dataset.records)
    if count == 0:
        yield Fault(
            "no-images",
            "error",
            dataset.root,
            "no image with a usable annotation is left",
            "correct the files listed here, or look up the recognised layouts in the documentation",
        )
    elif not _training_images(dataset):
        yield Fault(
            "no-training-images",
            "error",
            dataset.root,
            f"{agree(count, 'the usable image is not', f'none of the {count} usable images is')} in the train split",
            "move some there, or give one folder of images and one of masks, which maskwright then splits itself",
        )
    elif count < 3 and all(fault.kind != "too-few-images" for fault in dataset.faults):
        yield Fault(
            "one-image" if count == 1 else "two-images",
            "warning",
            dataset.root,
            f"{plural(count, 'usable image')}: too few to train, validate and test",
            "add images: at least 3, and dozens for a model that you can trust",
        )


def type_faults(root: Path, types: Mapping[Path, str]) -> Iterator[Fault]:
    """Yield a warning if images differ in pixel type (by file): one range of values must fit all of them."""
    counts = Counter(types.values()).most_common()
    if len(counts) > 1:
        usual = counts[0][0]
        odd = next(path for path, kind in sorted(types.items()) if kind != usual)
        listed = " and ".join(f"{count} {kind}" for kind, count in counts)
        yield Fault(
            "mixed-types",
            "warning",
            root,
            f"the pixel types are mixed ({listed}; {odd.name} is {types[odd]}), and all images are read on the "
            f"scale of the {usual} ones, so the others become too bright or too dark",
            f"save all images as {usual}, on one scale",
        )


def obstacle(found: Iterable[Fault]) -> str | None:
    """Return why training is impossible, and the cure; None if it is possible."""
    stopping = [fault for fault in found if fault.severity == "error" and fault.kind in OBSTACLES]
    first = min(stopping, key=lambda fault: OBSTACLES.index(fault.kind), default=None)
    return None if first is None else f"{first.message}. {first.cure[:1].upper()}{first.cure[1:]}"


def _training_images(dataset: Dataset) -> bool:
    """Tell whether there is a training image, or no split yet."""
    parts = {record.split for record in dataset.records}
    return parts == {None} or "train" in parts


def leaks(records: Sequence[Record], before: Sequence[Record], pairs: Iterable[tuple[str, str]]) -> Iterator[Fault]:
    """Yield a fault for near-duplicates and groups that are in more than one split.

    Args:
        records: with their final splits.
        before: the same records with the splits of the layout.
        pairs: near-duplicates, as record ids.
    """
    by_id = {record.id: record for record in records}
    layout = {record.id: record.split for record in before}
    for one, other in pairs:
        first, second = by_id.get(one), by_id.get(other)
        if first and second and first.split and second.split and first.split != second.split:
            yield _twin(first, second, ours=layout.get(one) == layout.get(other))
    members: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.group is not None and record.split is not None:
            members[record.group].append(record)
    for group, those in members.items():
        if len({layout.get(record.id) for record in those}) > 1:
            parts = [part for part in SPLITS if any(record.split == part for record in those)]
            yield Fault(
                "group-leak",
                "warning",
                those[0].image.path.parent,
                f"{', '.join(parts[:-1])} and {parts[-1]} share group {group}, so scores may be too good",
                "keep each group in one split",
            )


def contradictions(
    records: Sequence[Record], copies: Iterable[tuple[str, str]], labels: Mapping[str, int]
) -> Iterator[Fault]:
    """Yield a warning for each two images with the very same pixels whose masks differ.

    Args:
        records: all of them.
        copies: pairs of equal images, as record ids.
        labels: a number for each record id, equal for equal masks.
    """
    by_id = {record.id: record for record in records}
    for one, other in copies:
        if labels[one] != labels[other]:
            yield Fault(
                "two-masks",
                "warning",
                by_id[one].image.path,
                f"{one} and {other} are the same image, but their masks differ",
                "keep the one whose mask is correct, and remove the other image with its mask",
            )


def _twin(first: Record, second: Record, *, ours: bool) -> Fault:
    met = f"{first.id} ({first.split}) is nearly the same image as {second.id} ({second.split})"
    if ours:
        return Fault(
            "near-duplicate-at-cut",
            "note",
            first.image.path,
            f"{met}: no split keeps all similar images together",
            "add a separate test split to the data, from another video or another day",
        )
    return Fault(
        "near-duplicate",
        "warning",
        first.image.path,
        f"{met}, so scores are too good",
        "move both into one split",
    )


def sampled(root: Path, seen: int, total: int, objects: float) -> Iterator[Fault]:
    """Yield a note on what was measured on some of the images only."""
    if seen < total:
        yield Fault(
            "sampled",
            "note",
            root,
            f"{seen} of {total} images were read in the time available; counts are scaled up, and the other images "
            "were not searched for near-duplicates and faults",
            "inspect the data set, which reads all images",
        )
    elif objects < total:
        yield Fault(
            "sampled",
            "note",
            root,
            f"object sizes were measured on {objects:.3g} of {total} images, and object counts are scaled up",
            "nothing needs to be done",
        )
