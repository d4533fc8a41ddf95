"""Whether rules about masks that hold in the annotations would help: least areas, holes, classes that never touch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Answer, Cure, Figure, Grid
from maskwright.core.text import count, listing, percent, plural
from maskwright.metrics.confusion import iou, mean_defined, per_class
from maskwright.metrics.summary import estimated
from maskwright.ops.small_regions import regions_of
from maskwright.postprocess.region_filter import RegionFilter
from maskwright.postprocess.region_fit import RegionTable, fit_areas
from maskwright.tuning.halves import halves
from maskwright.workflows.diagnose_parts.figures import figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.answers import Cell
    from maskwright.ops.small_regions import Regions
    from maskwright.workflows.diagnose_parts.study import Look, Study

FEWEST = 4
"""Images without which nothing is fitted on one half and measured on the other."""
MOST_MASKS = 60
"""Training images whose annotations say which classes touch."""
TOGETHER = 10
"""Training images that show two classes, from which on it says something that the two never touch."""
READING = 0.5
"""Share of the time for the annotations of training images."""
HARDLY = 0.0005
"""Change of the mean IoU that is 0.0 points when it is written."""
SHOWN = 20
QUESTION = "Can prior knowledge help: least areas, holes, classes that never touch?"


@dataclass(frozen=True, eq=False)
class _Image:
    """What is kept of an image.

    Attributes:
        look: at it.
        table: its predicted regions.
        borders: (R, K) of these; see `ops.small_regions.Regions`.
        annotated: regions of each class (K,) in its annotation.
    """

    look: Look
    table: RegionTable
    borders: NDArray[np.int64]
    annotated: NDArray[np.int64]

    def strays(self, apart: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which regions (R,) have most of their border with classes that their class never touches."""
        known = self.table.labels < len(apart)
        forbidden = np.zeros(len(known), np.int64)
        forbidden[known] = (self.borders[known] * apart[self.table.labels[known]]).sum(axis=1)
        return np.asarray(2 * forbidden > self.borders.sum(axis=1))


def prior(study: Study, deadline: float) -> Iterator[Answer]:
    """Measure what rules that hold in the annotations would gain on held-out images."""
    if not RegionFilter.takes(study.predictor.card.channels):
        yield Answer("prior", QUESTION, f"Not measured: these rules need {RegionFilter.needs}.", "open")
        return
    now = time.monotonic()
    apart, masks = _never_touching(study, now + READING * (deadline - now))
    images = _images(study, deadline)
    if len(images) < FEWEST:
        words = f"Not measured: {plural(len(images), 'image')} could be looked at, and {FEWEST} are needed."
        yield Answer("prior", QUESTION, words, "open")
        return
    yield _answer(study, images, apart, masks)


def _images(study: Study, deadline: float) -> list[_Image]:
    """Divide predictions and annotations into regions, as far as the time allows."""
    classes = len(study.classes.names)
    found: list[_Image] = []
    for look in study.looks:
        if len(found) >= FEWEST and time.monotonic() > deadline:
            break
        if look.labels is None:
            continue
        predicted, annotated = regions_of(look.labels, classes), regions_of(look.truth, classes)
        table = RegionTable.of(predicted, look.truth)
        found.append(_Image(look, table, predicted.borders, _by_class(annotated.labels, classes)))
    return found


def _never_touching(study: Study, deadline: float) -> tuple[NDArray[np.bool_], int]:
    """Return which classes (K, K) never touch in training annotations that show both, and the number of these read."""
    classes = len(study.classes.names)
    touching, together = np.zeros((2, classes, classes), np.int64)
    read = 0
    for _, _, target in study.pairs(study.records("train")[:: _step(study)]):
        regions = regions_of(target.labels, classes)
        touching += _touching(regions, classes)
        shown = _by_class(regions.labels, classes) > 0
        together += shown[:, None] & shown
        read += 1
        if time.monotonic() > deadline:
            break
    return (touching == 0) & (together >= TOGETHER), read


def _step(study: Study) -> int:
    return -(-len(study.records("train")) // MOST_MASKS) or 1


def _touching(regions: Regions, classes: int) -> NDArray[np.int64]:
    """Return the pairs of adjacent pixels of two classes (K, K), and add some where only ignored pixels separate them.

    Many annotations have a band of ignored pixels around each object. There, no two classes are adjacent, which says
    nothing about the objects.
    """
    beside = (regions.borders[regions.labels >= classes] > 0).astype(np.int64)
    return _between(regions.labels, regions.borders, classes) + beside.T @ beside


def _between(labels: NDArray[np.uint8], borders: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Add up the borders (R, K) of regions with labels (R,) by class (K, K)."""
    found = np.zeros((classes, classes), np.int64)
    known = labels < classes
    np.add.at(found, labels[known], borders[known])
    return found


def _by_class(labels: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    return np.bincount(labels, minlength=classes)[:classes]


def _answer(study: Study, images: list[_Image], apart: NDArray[np.bool_], masks: int) -> Answer:
    gone = _too_small(images, study)
    small = _change("change of the mean IoU without small regions and holes", images, gone)
    helps = small.low is not None and small.low > 0
    unsure = small.low is None and (small.value or 0.0) >= HARDLY
    said, figures, rows = _touching_rule(study, images, apart)
    grid = Grid(
        "Rules about masks",
        ("rule", "predicted regions that break it", "mean IoU"),
        (("no region below the least area of its class", _share(images, gone), small), *rows),
    )
    cure = Cure(
        "Fits the least area of each class on validation images, compares, and keeps it in the model.",
        "evaluate",
        (str(study.run), str(study.dataset.root)),
        {"postprocess": "regions"},
    )
    change = "hardly changes" if abs(small.value or 0.0) < HARDLY else "changes"
    return Answer(
        "prior",
        QUESTION,
        f"Without small regions and holes, the mean IoU {change}: {small}."
        + (" There are too few images or groups for an interval, so this may be chance." if unsure else "")
        + said,
        "note" if helps or unsure else "good",
        max(0.0, small.value or 0.0) if helps else 0.0,
        (small, *figures),
        (grid, _classes(study, images)),
        cures=(cure,) if helps or unsure else (),
        method=f"The least areas are chosen on one half of {plural(len(images), 'held-out image')} and measured on "
        f"the other. Two classes never touch if {TOGETHER} or more of {plural(masks, 'annotated training image')} show "
        "both, and no pixels of them are adjacent or separated by ignored pixels only. A region that breaks a rule "
        "takes the class of most of its border.",
    )


def _touching_rule(
    study: Study, images: list[_Image], apart: NDArray[np.bool_]
) -> tuple[str, tuple[Figure, ...], tuple[tuple[Cell, ...], ...]]:
    """Return words, figures and rows of the table about classes that never touch; none where all touch somewhere."""
    names = study.classes.names
    pairs = [
        f"{names[one]} and {names[other]}" for one in range(len(names)) for other in range(one) if apart[one, other]
    ]
    if not pairs:
        return "", (), ()
    gone = [image.strays(apart) for image in images]
    stray = _change("change of the mean IoU without regions among classes that theirs never touches", images, gone)
    forbidden = sum(int((_between(image.table.labels, image.borders, len(names)) * apart).sum()) for image in images)
    share = forbidden / max(1, sum(int(image.borders.sum()) for image in images))
    said = (
        f" {plural(len(pairs), 'pair')} of classes never touch in the annotations, and {percent(share)} of the "
        f"predicted borders are between such classes; without regions that lie among them, it changes by {stray}."
    )
    row = (f"no borders between {listing(pairs, 6)}", _share(images, gone), stray)
    return said, (stray, Figure("predicted borders between classes that never touch", share)), (row,)


def _too_small(images: list[_Image], study: Study) -> list[NDArray[np.bool_]]:
    """Return which regions of each image are too small by what the images of the other half say."""
    ids = [(image.look.record.id, image.look.record.group) for image in images]
    parts = halves(ids, study.request.seed)
    if not all(parts):  # one group only: its images are compared with one another
        parts = halves([(name, None) for name, _ in ids], study.request.seed)
    first = parts[0]
    least = [
        fit_areas(RegionTable.joined([image.table for image in images if (image.look.record.id in first) == inside]))
        for inside in (False, True)
    ]
    return [image.table.smaller_than(least[image.look.record.id not in first]) for image in images]


def _change(name: str, images: list[_Image], gone: Sequence[NDArray[np.bool_]]) -> Figure:
    """Return by how much the mean IoU is higher if some regions go."""
    rows = [
        np.concatenate(
            [per_class(image.table.confusion(which)).ravel() for which in (np.zeros_like(without), without)]
        ).astype(np.float64)
        for image, without in zip(images, gone, strict=True)
    ]
    groups = [image.look.record.group for image in images]
    measure = partial(_difference, classes=images[0].table.truth.shape[1])
    return figure(name, estimated(np.stack(rows), groups, measure, np.array([np.nan]))[0], "points")


def _difference(sums: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    before, after = np.split(sums, 2, axis=1)
    means = [mean_defined(iou(part.reshape(-1, classes, 3))) for part in (before, after)]
    return (means[1] - means[0])[:, None]


def _share(images: list[_Image], gone: Sequence[NDArray[np.bool_]]) -> Cell:
    regions = sum(len(image.table.labels) for image in images)
    return Figure("", sum(int(which.sum()) for which in gone) / max(1, regions))


def _classes(study: Study, images: list[_Image]) -> Grid:
    """Tabulate the number of regions of each class, and the least area by all images."""
    names = study.classes.names
    least = fit_areas(RegionTable.joined([image.table for image in images]))
    annotated = np.mean([image.annotated for image in images], axis=0)
    predicted = np.mean([_by_class(image.table.labels, len(names)) for image in images], axis=0)
    order = np.argsort(annotated - predicted, kind="stable")[:SHOWN]
    return Grid(
        "Connected regions of each class, those with the most surplus first",
        ("class", "an image, annotated", "predicted", "least area that suits all of these images"),
        tuple(
            (names[place], f"{annotated[place]:.1f}", f"{predicted[place]:.1f}", f"{count(least[place])} px")
            for place in order.tolist()
        ),
    )
