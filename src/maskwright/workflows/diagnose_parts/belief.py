"""How far scores and probabilities can be believed: intervals, leaks, calibration; the risk of each image follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Answer, Cure, Figure, Grid
from maskwright.core.classes import IGNORE
from maskwright.core.text import count, percent, plural
from maskwright.data.sequences import scope
from maskwright.diagnosis.selective import RIGHT
from maskwright.metrics.calibration import BINS, calibration_error, reliability_counts
from maskwright.metrics.summary import estimated
from maskwright.report.content import ReportData
from maskwright.report.findings import doubts
from maskwright.workflows.diagnose_parts.figures import figure, unit_of
from maskwright.workflows.diagnose_parts.risks import risks
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.workflows.diagnose_parts.study import Look, Study

LEAKS = ("group-leak", "near-duplicate", "near-duplicate-at-cut", "near-duplicate-split", "sequence-cut")
"""Faults of the data, found in the training, that make scores too good."""
MISCALIBRATED = 0.05
BAD_CLASS = 0.2
"""Errors of probabilities, of all pixels and of one class, above which the page warns, or mentions it."""
QUESTION = "How far can the score be believed?"
QUESTION_CALIBRATION = "Is a probability of 90 % right nine times in ten?"


def belief(study: Study, deadline: float) -> Iterator[Answer]:
    """Say how far the score, the probabilities and single results can be believed."""
    yield _score(study)
    yield _calibration(study)
    yield from risks(study, deadline)


def _score(study: Study) -> Answer:
    """Gather what limits the trust in the score."""
    scores = study.scores
    looked = [look.record for look in study.looks]
    data = ReportData(title="", scores=scores, classes=study.classes, split=study.request.split)
    found = [(entry.level, entry.text) for entry in doubts(data)]
    scene = scope(looked, study.records("train"))
    if scene is not None:
        found.append(("warning", scene))
    found += [("warning", f"{fault}.") for fault in _leaks(study)]
    metric, mean = scores.headline_metric, scores.score
    doubtful = [text for level, text in found if level == "warning"]
    images = plural(scores.images, "image")
    if doubtful:
        words = f"Only with caution. {doubtful[0][:1].upper()}{doubtful[0][1:]}"
    elif mean.low is not None and mean.high is not None and metric.unit == "share":
        words = (
            f"On new images of this kind the {scores.headline_words} lies between {percent(mean.low)} and "
            f"{percent(mean.high)} with 95 % confidence, judging by {images}; no leak from the training was found."
        )
    else:
        words = f"No leak from the training into the {images} was found."
    grid = Grid("What to know about the score", ("kind", "what"), tuple((level, text) for level, text in found))
    wide = 0.0 if mean.low is None or mean.high is None else (mean.high - mean.low) / 2
    return Answer(
        "belief",
        QUESTION,
        words,
        "warning" if doubtful else "good",
        wide if doubtful and metric.unit == "share" else 0.0,
        (figure(scores.headline_words, mean, unit_of(metric)),),
        (grid,) if found else (),
        cures=_new_images(study, scene is not None or bool(_leaks(study))) if doubtful else (),
        method="The interval is that of a jackknife over images, or over groups of images that depend on one another; "
        "leaks are near-duplicates and groups on both sides of the split, as the training found them.",
    )


def _leaks(study: Study) -> list[str]:
    if not (study.home / run_folder.FINGERPRINT).exists():
        return []
    faults = run_folder.read_fingerprint(study.home).faults
    return list(dict.fromkeys(fault.message for fault in faults if fault.kind in LEAKS))


def _new_images(study: Study, leak: bool) -> tuple[Cure, ...]:
    others = "from other scenes, patients or cameras" if leak else "more"
    why = f"Label some images {others}, put them into a folder NEW_DATA, and score the model on them."
    return (Cure(why, "evaluate", (str(study.run), "NEW_DATA"), {"split": "all"}),)


def _calibration(study: Study) -> Answer:
    """Compare probabilities with how often they are right, class by class."""
    looks = [look for look in study.looks if look.confidence is not None and (look.truth != IGNORE).any()]
    if not looks:
        return _of_objects(study)
    classes = len(study.classes)
    counts = np.stack([_counts(look, classes) for look in looks])  # (n, K, 15, 3)
    groups = [look.record.group for look in looks]
    whole = _errors(counts.sum(1, keepdims=True), groups)[0]
    each = _errors(counts, groups)
    totals = counts.sum((0, 2))
    sure = totals[:, 1] - totals[:, 2]
    rows = [
        (
            name,
            count(totals[index, 0]),
            Figure("", float(totals[index, 1] / totals[index, 0])),
            Figure("", float(totals[index, 2] / totals[index, 0])),
            each[index],
        )
        for index, name in enumerate(study.classes.names)
        if totals[index, 0]
    ]
    assert whole.value is not None
    bad = whole.value > MISCALIBRATED
    weak = max((index for index in range(classes) if totals[index, 0]), key=lambda index: each[index].value or 0)
    way = "too sure" if sure.sum() > 0 else "not sure enough"
    number, promised, right = totals[weak]
    words = (
        f"Probabilities are off by {whole} on average{f': the model is {way}' if bad else ''}. They are worst for "
        f"{study.classes.names[weak]}: its pixels have a probability of {percent(promised / number)} on average, and "
        f"{percent(right / number)} of them are right."
    )
    return Answer(
        "calibration",
        QUESTION_CALIBRATION,
        words,
        "warning" if bad else "note" if (each[weak].value or 0) > BAD_CLASS else "good",
        figures=(whole,),
        grids=(
            Grid(
                "Calibration by predicted class",
                ("class", "pixels", "mean probability", "right", "off by (ECE)"),
                tuple(rows),
            ),
        ),
        cures=_softer(study) if bad and sure.sum() > 0 else (),
        method="Expected calibration error over 15 bins (Guo et al. 2017), of the pixels that were predicted as a "
        "class, with the temperature that the training fitted on validation images.",
    )


def _counts(look: Look, classes: int) -> NDArray[np.float64]:
    """Return reliability counts (K, 15, 3) of one image by predicted class."""
    assert look.labels is not None
    assert look.confidence is not None
    known = (look.truth != IGNORE) & (look.labels != IGNORE)
    labels, sure = look.labels[known], look.confidence[known].astype(np.float32)
    right = labels == look.truth[known]
    places = [labels == index for index in range(classes)]
    return np.stack([reliability_counts(sure[place], right[place]) for place in places])


def _errors(counts: NDArray[np.float64], groups: list[str | None]) -> list[Figure]:
    """Return the calibration error with its interval of each of K columns of counts (n, K, 15, 3)."""
    kinds = counts.shape[1]

    def measure(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = sums.reshape(len(sums), kinds, BINS, 3)
        values = [[calibration_error(part) if part[:, 0].sum() else np.nan for part in row] for row in parts]
        return np.array(values)

    found = estimated(counts.reshape(len(counts), -1), groups, measure, np.ones(kinds))
    return [figure("off by (ECE)", entry) for entry in found]


def _softer(study: Study) -> tuple[Cure, ...]:
    why = "Label smoothing keeps a network from being too sure; this continues from the model with it."
    settings = ("loss.label_smoothing=0.05",)
    return (Cure(why, "train", (str(study.dataset.root),), {"settings": settings, "from_run": str(study.run)}),)


def _scores(look: Look) -> NDArray[np.float32]:
    return (1 - look.objects[:, 0]).astype(np.float32)


def _of_objects(study: Study) -> Answer:
    """Compare the scores of objects with how often they are right."""
    looks = [look for look in study.looks if len(look.objects)]
    if not looks:
        words = "The task gives no probabilities of classes, so there is nothing to compare."
        return Answer("calibration", QUESTION_CALIBRATION, words, "open")
    counts = np.stack([reliability_counts(_scores(look), look.objects[:, 1] >= RIGHT) for look in looks])
    error = _errors(counts[:, None], [look.record.group for look in looks])[0]
    totals = counts.sum((0, 1))
    assert error.value is not None
    words = (
        f"Objects have a score of {percent(totals[1] / totals[0])} on average, and {percent(totals[2] / totals[0])} of "
        f"them are right: scores are off by {error} on average."
    )
    return Answer(
        "calibration",
        QUESTION_CALIBRATION,
        words,
        "warning" if error.value > 2 * MISCALIBRATED else "good",
        figures=(error,),
        method="An object is right if it overlaps a true one with an IoU of at least one half. Expected calibration "
        "error over 15 bins.",
    )
