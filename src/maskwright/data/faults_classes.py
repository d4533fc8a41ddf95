"""Faults of the classes of a data set: missing, alone, or not in every split. Needs numbers only, opens no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.records import SPLITS, Fault
from maskwright.core.text import agree, plural
from maskwright.data.edges import EDGE_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.records import Dataset


def class_faults(
    dataset: Dataset, images: NDArray[np.int64], pixels: NDArray[np.int64], *, whole: bool
) -> Iterator[Fault]:
    """Yield the faults of the classes.

    Args:
        dataset: with or without splits.
        images: (K, 3) number of images that show the class, in train, val and test.
        pixels: (K,) number of labelled pixels.
        whole: every image was read; after a sample, the other images may still show a class.
    """
    names = dataset.classes.names
    shown = np.flatnonzero(pixels)
    if not len(shown) and dataset.records:
        yield Fault(
            "no-labels",
            "error" if whole else "warning",
            dataset.root,
            "no mask labels a single pixel: all are ignored",
            "label some pixels of each class, and check `read.ignore` and `read.map`",
        )
    if len(shown) == 1 and not dataset.measured:
        wanted = "edge" if dataset.classes == EDGE_CLASSES and shown[0] == 0 else "second class"
        others = "label the other pixels as another class, such as background"
        if shown[0] == dataset.classes.background:
            others = "label some objects, as no mask shows one"
        if any(fault.kind == "crowd" for fault in dataset.faults):
            others = f"if the crowds are single objects, read them with `read.crowd=keep`; if not, {others}"
        yield Fault(
            "one-class",
            "error" if whole or len(names) == 1 else "warning",
            dataset.root,
            f"every labelled pixel is {names[shown[0]]}: there is no {wanted} to learn",
            _edges_cure(dataset) if wanted == "edge" else f"{others}, and check that `read.map` removes no class",
        )
    absent = [name for name, count in zip(names, pixels, strict=True) if not count]
    if absent and len(shown):
        occur = agree(len(absent), "occurs", "occur")
        them = agree(len(absent), "it, or remove its name", "them, or remove the names")
        yield Fault(
            "absent-class",
            "note",
            dataset.root,
            f"{len(absent)} of {len(names)} classes {occur} in no mask: {_listed(absent)}",
            f"label some pixels of {them} from the list of classes",
        )
    yield from _parts_faults(dataset, shown, images)


def _edges_cure(dataset: Dataset) -> str:
    if dataset.masks is None:
        return "draw the edges of some images"
    return "label a second region, or choose another `read.between` if one is set"


def _parts_faults(dataset: Dataset, shown: NDArray[np.int64], images: NDArray[np.int64]) -> Iterator[Fault]:
    """Yield one fault for all classes that the same splits lack: there may be hundreds of them."""
    used = [place for place, part in enumerate(SPLITS) if any(record.split == part for record in dataset.records)]
    only: dict[str, list[int]] = {}
    lacking: dict[str, list[int]] = {}
    for index in shown if len(used) > 1 else ():
        having = [SPLITS[place] for place in used if images[index, place]]
        if len(having) == 1 or (having and "train" not in having and 0 in used):
            only.setdefault(" and ".join(having), []).append(index)
        elif missing := [SPLITS[place] for place in used if not images[index, place]]:
            lacking.setdefault(missing[0], []).append(index)
    names = dataset.classes.names
    for part, indices in only.items():
        known = [(names[index], int(images[index].sum())) for index in indices]
        yield _fault(dataset, "class-in-one-split", _only_in(part, known), len(indices))
    for part, indices in lacking.items():
        yield _fault(dataset, "class-not-in-split", _not_in(part, [names[index] for index in indices]), len(indices))


def _fault(dataset: Dataset, kind: str, message: str, classes: int) -> Fault:
    cure = f"label more images of {'it' if classes == 1 else 'them'}, or move some to the other splits"
    return Fault(kind, "warning", dataset.root, message, cure)


def _only_in(part: str, known: Sequence[tuple[str, int]]) -> str:
    """Return the message for classes, each with its number of images, that are in some of the splits only."""
    if len(known) == 1:
        name, images = known[0]
        missed = "it cannot be learnt" if "train" not in part else "its score cannot be measured"
        return f"class {name} occurs in {part} only ({plural(images, 'image')}): {missed}"
    missed = "they cannot be learnt" if "train" not in part else "their scores cannot be measured"
    return f"{len(known)} classes occur in {part} only ({_listed([name for name, _ in known])}): {missed}"


def _not_in(part: str, names: Sequence[str]) -> str:
    """Return the message for classes that are in no image of a split."""
    if len(names) == 1:
        blind = {"val": "model selection does not see it", "test": "its score cannot be measured"}[part]
        return f"class {names[0]} occurs in no {part} image: {blind}"
    blind = {"val": "model selection does not see them", "test": "their scores cannot be measured"}[part]
    return f"{len(names)} classes occur in no {part} image ({_listed(names)}): {blind}"


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
