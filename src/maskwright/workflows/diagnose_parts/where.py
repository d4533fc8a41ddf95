"""Where in an image a model is wrong: at borders, at the frame, in small regions, between which classes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Answer, Cure, Figure, Grid
from maskwright.core.classes import IGNORE
from maskwright.core.text import count, listing, percent
from maskwright.diagnosis import zones
from maskwright.metrics.summary import estimated
from maskwright.workflows.diagnose_parts.figures import figure
from maskwright.workflows.diagnose_parts.which_images import which_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.workflows.diagnose_parts.study import Look, Study

MANY = 0.5
"""Share of the errors from which on they are called mostly of one kind."""
FEW_REGIONS = 10
"""Least number of regions of one size to compare it with others."""
MISSED = 0.1
"""Recall below which a class is hardly found at all."""
QUESTION_BORDER = "Are the borders of the masks weak, or their insides?"
QUESTION_CLASSES = "Which classes are taken for others, or missed?"


def where(study: Study, _deadline: float) -> Iterator[Answer]:
    """Answer where the errors are, from the predictions of the held-out images."""
    looks = [look for look in study.looks if look.labels is not None and (look.truth != IGNORE).any()]
    if looks:
        counts = np.stack([_places(look, len(study.classes)) for look in looks])
        groups = [look.record.group for look in looks]
        yield _border(study, counts, groups)
        yield _frame(study, counts, groups)
        yield _sizes(study, looks, groups)
        yield _confusions(study)
    yield from which_images(study)


def _places(look: Look, classes: int) -> NDArray[np.int64]:
    assert look.labels is not None
    return zones.place_counts(look.labels, look.truth, classes)


def _rate(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of wrong pixels of (R, J * 2) sums of right and wrong ones."""
    pairs = totals.reshape(len(totals), -1, 2)
    with np.errstate(invalid="ignore"):
        return np.asarray(pairs[..., 1] / pairs.sum(-1))


def _border(study: Study, counts: NDArray[np.int64], groups: list[str | None]) -> Answer:
    """Compare pixels near a border between regions with those inside."""
    by_zone = counts.sum((1, 3)).astype(np.float64)  # (n, zones, 2)
    rates = estimated(by_zone.reshape(len(by_zone), -1), groups, _rate, np.ones(by_zone.shape[1]))
    near = len([end for end in zones.BORDER_ENDS if end <= 5])
    wrong = by_zone[..., 1]

    def part(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            return np.asarray(totals[:, :near].sum(1, keepdims=True) / totals.sum(1, keepdims=True))

    found = estimated(wrong, groups, part, np.ones(1))[0]
    value, pixels = found.value, by_zone.sum((0, 2))
    if value is None:
        return Answer("border", QUESTION_BORDER, "No pixel is wrong.", "good")
    most = value >= MANY
    share = figure("wrong pixels that lie within 5 px of a border", found)
    kind = (
        "Most errors are at borders between regions" if most else "Most errors are inside regions, not at their borders"
    )
    verdict = (
        f"{kind}: {percent(value)} of the wrong pixels lie within 5 pixels of a border, where "
        f"{percent(pixels[:near].sum() / pixels.sum())} of all pixels are."
    )
    names = _zone_names(zones.BORDER_ENDS, "px")
    grid = Grid(
        "Errors by distance to the nearest border between regions",
        ("distance", "share of the pixels", "wrong"),
        tuple(
            (name, Figure("", float(part_of)), figure("wrong", rate))
            for name, part_of, rate in zip(names, pixels / pixels.sum(), rates, strict=True)
        ),
    )
    cures = _border_cures(study) if most else ()
    stake = float(wrong[:, :near].sum() / pixels.sum()) if most else 0.0
    return Answer(
        "border",
        QUESTION_BORDER,
        verdict,
        "note",
        stake,
        (share,),
        (grid,),
        cures=cures,
        method="Distances are measured in the annotation, in pixels of the image.",
    )


def _zone_names(ends: Sequence[float], unit: str) -> list[str]:
    """Name the zones between ascending ends, the last without an end."""
    starts = (0, *ends)
    return [*(f"{low:g} to {high:g} {unit}" for low, high in pairwise(starts)), f"{ends[-1]:g} {unit} and more"]


def _border_cures(study: Study) -> tuple[Cure, ...]:
    """Return what may sharpen borders: a postprocessor at once, or edges learnt beside the masks."""
    data = str(study.dataset.root)
    cures = []
    if study.predictor.task.annotation == "labels" and study.predictor.postprocessor is None:
        why = "A dense CRF moves borders to edges of the image; this fits it on validation images and compares."
        cures.append(Cure(why, "evaluate", (str(study.run), data), {"postprocess": "crf"}))
    why = "A network that also learns edges draws sharper borders; compare it with this model."
    cures.append(Cure(why, "train", (data,), {"settings": ("edges.weight=0.5",), "from_run": str(study.run)}))
    return tuple(cures)


def _frame(study: Study, counts: NDArray[np.int64], groups: list[str | None]) -> Answer:
    """Compare pixels near the frame with the others, given their classes and their distance to borders."""
    flat = counts.astype(np.float64)

    def excess(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        shaped = totals.reshape(-1, *counts.shape[1:])
        pixels = shaped.sum(-1)
        rates = shaped[:, 1:, ..., 1].sum(1) / np.maximum(pixels[:, 1:].sum(1), 1)
        near = np.maximum(pixels[:, 0].sum((1, 2)), 1)
        found, expected = shaped[:, 0, ..., 1].sum((1, 2)) / near, (pixels[:, 0] * rates).sum((1, 2)) / near
        return np.stack([found, expected, found - expected], 1)

    bounds = estimated(flat.reshape(len(flat), -1), groups, excess, np.array([1.0, 1.0, np.nan]))
    found, expected, more = (entry.value or 0.0 for entry in bounds)
    low = bounds[2].low
    known = low is not None
    weak = low is not None and low > 0 and more > 0.005
    width = percent(zones.FRAME_ENDS[0], 0)
    answer = "Yes" if weak else "No" if known or more <= 0.005 else "Perhaps, but there are too few images to be sure"
    verdict = (
        f"{answer}: within {width} of the frame {percent(found)} of the pixels are wrong; the classes and borders "
        f"there would lead one to expect {percent(expected)}."
    )
    by_zone = flat.sum((2, 3))
    rates = estimated(by_zone.reshape(len(flat), -1), groups, _rate, np.ones(by_zone.shape[1]))
    names = [f"{name} of the shorter side" for name in _zone_names([round(100 * end) for end in zones.FRAME_ENDS], "%")]
    grid = Grid(
        "Errors by distance to the frame of the image",
        ("distance", "wrong"),
        tuple((name, figure("wrong", rate)) for name, rate in zip(names, rates, strict=True)),
    )
    cures: tuple[Cure, ...] = ()
    if weak:
        why = "The mean with the flipped image is steadier where context is missing; this trains on from this model."
        options: dict[str, str | tuple[str, ...]] = {"from_run": str(study.run), "settings": ("predict.flip=true",)}
        cures = (Cure(why, "train", (str(study.dataset.root),), options),)
    part = float(flat[:, 0].sum() / flat.sum())
    return Answer(
        "frame",
        "Is it weak at the frame of the image?",
        verdict,
        "warning" if weak else "good" if answer == "No" else "note",
        max(more, 0) * part if weak else 0.0,
        (figure("more wrong pixels at the frame", bounds[2], "points"),),
        (grid,),
        cures=cures,
    )


def _sizes(study: Study, looks: list[Look], groups: list[str | None]) -> Answer:
    """Compare small with large regions."""
    count_, background = len(study.classes), study.classes.background
    sums = np.stack(
        [zones.region_counts(look.labels, look.truth, count_, background) for look in looks if look.labels is not None]
    ).astype(np.float64)

    def recall(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        pairs = totals.reshape(len(totals), -1, 2)
        with np.errstate(invalid="ignore"):
            return np.asarray(pairs[..., 1] / pairs[..., 0])

    found = estimated(sums.reshape(len(sums), -1), groups, recall, np.ones(sums.shape[1]))
    regions = sums[..., 0].sum(0)
    names = _zone_names(zones.SIZE_ENDS, "px")
    grid = Grid(
        "Regions by size",
        ("diameter", "regions", "found"),
        tuple(
            (name, count(number), figure("found", value))
            for name, number, value in zip(names, regions, found, strict=True)
            if number
        ),
    )
    shown = [(name, value) for name, number, value in zip(names, regions, found, strict=True) if number >= FEW_REGIONS]
    if not shown:
        verdict, weak = "There are too few regions to compare sizes.", False
    else:
        (least, small), (_, large) = shown[0], shown[-1]
        weak = small.value is not None and large.value is not None and small.value < large.value - 0.1
        verdict = (
            f"Of the smallest regions ({least} in diameter) {percent(small.value or 0)} are found, of the largest "
            f"({shown[-1][0]}) {percent(large.value or 0)}."
        )
    cures: tuple[Cure, ...] = ()
    if weak:
        why = "Small regions need a finer scale: this trains at a higher resolution than the plan chose."
        finer = f"data.scale={min(4.0, round(study.predictor.card.data.scale * 1.5, 2)):g}"
        cures = (Cure(why, "train", (str(study.dataset.root),), {"settings": (finer,)}),)
    return Answer(
        "sizes",
        "Are small objects missed?",
        verdict,
        "warning" if weak else "note",
        0.01 if weak else 0.0,
        grids=(grid,),
        cures=cures,
        method="A region is a connected part of one class in the annotation; it is found if more than half of its "
        "pixels get its class.",
    )


def _confusions(study: Study) -> Answer:
    """Name the classes that are taken for one another, and those that are never found."""
    matrix = np.array(study.scores.confusion, np.float64)
    names = study.classes.names
    wrong = matrix - np.diag(np.diag(matrix))
    total = max(matrix.sum(), 1)
    places = np.dstack(np.unravel_index(np.argsort(-wrong, axis=None)[:8], wrong.shape))[0]
    rows = [
        (
            names[truth],
            names[taken],
            Figure("", wrong[truth, taken] / max(matrix[truth].sum(), 1)),
            Figure("", wrong[truth, taken] / max(wrong.sum(), 1)),
        )
        for truth, taken in places
        if wrong[truth, taken]
    ]
    if not rows:
        return Answer("confusions", QUESTION_CLASSES, "No class is taken for another.", "good")
    recall = np.diag(matrix) / np.maximum(matrix.sum(1), 1)
    missed = [names[index] for index in range(len(names)) if matrix[index].sum() and recall[index] < MISSED]
    truth, taken = places[0]
    verdict = (
        f"The most frequent confusion is {names[truth]} taken for {names[taken]}: "
        f"{percent(wrong[truth, taken] / max(wrong.sum(), 1))} of all errors."
    )
    if missed:
        verdict += f" {'Classes' if len(missed) > 1 else 'A class'} hardly found at all: {listing(missed)}."
    grid = Grid("The largest confusions", ("truth", "taken for", "of the class", "of all errors"), tuple(rows))
    return Answer(
        "confusions",
        QUESTION_CLASSES,
        verdict,
        "warning" if missed else "note",
        float(wrong[truth, taken] / total),
        grids=(grid,),
    )
