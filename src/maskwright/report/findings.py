"""What to know before trusting the scores, in plain words. Knows the rules, not how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maskwright.core.text import agree, count, listing, percent, plural
from maskwright.report.curves import column
from maskwright.report.gain import losses

if TYPE_CHECKING:
    from maskwright.metrics.scores import ClassScores, Scores
    from maskwright.report.content import ReportData

LOW = 0.5
WIDE = 0.10
FEW_IMAGES = 5
MISCALIBRATED = 0.10
STILL_RISING = 0.01
MOST_NAMED = 4


@dataclass(frozen=True)
class Finding:
    """One sentence for the head of the page.

    Attributes:
        level: `warning` if the scores or the model are not reliable as they are, `note` for other facts to know.
        text: the sentence.
    """

    level: Literal["warning", "note"]
    text: str


def findings(data: ReportData) -> list[Finding]:
    """Return all findings, warnings first, in the order of the rules."""
    found = [
        *_split(data),
        *(
            Finding("warning", f"{loss[:1].upper()}{loss[1:]}.")
            for loss in losses(data.gain, data.scores.metrics, data.postprocessor or "postprocessor")
        ),
        *_interval(data.scores),
        *_unseen(data.scores),
        *_low(data.scores),
        *_few_images(data.scores),
        *_calibration(data),
        *_faults(data),
        *(Finding("note", f"{note[:1].upper()}{note[1:]}.") for note in data.notes),
        *_unfinished(data),
    ]
    return sorted(found, key=lambda entry: entry.level != "warning")


def doubts(data: ReportData) -> list[Finding]:
    """Return what limits the trust in the scores themselves, warnings first."""
    found = [*_split(data), *_interval(data.scores), *_unseen(data.scores), *_few_images(data.scores)]
    return sorted(found, key=lambda entry: entry.level != "warning")


def _split(data: ReportData) -> list[Finding]:
    if data.split == "train":
        text = "The model was trained on these images: its scores on new images will be lower."
        return [Finding("warning", text)]
    if data.split == "all":
        text = "If the model was trained on some of these images, the scores are too good."
        return [Finding("note", text)]
    if data.split == "val":
        text = (
            "The best checkpoint was chosen on the validation images, so the scores are slightly too good; "
            "scores on test images are not affected."
        )
        return [Finding("note", text)]
    return []


def _interval(scores: Scores) -> list[Finding]:
    metric, mean = scores.headline_metric, scores.score
    if mean.value is None:
        nothing = "no labelled pixels" if scores.objects is None else "no object, and none is predicted"
        nothing = nothing if scores.edges is None else "no edge"
        text = f"No {scores.headline_words} could be computed: the scored images have {nothing}."
        return [Finding("warning", text)]
    scored = _scored(scores)
    if mean.low is None or mean.high is None:
        text = (
            f"There is no interval for the {scores.headline_words}: it needs at least four images or groups that "
            f"differ, and the scores are based on {scored}."
        )
        return [Finding("warning", text)]
    if metric.unit != "share" or mean.high - mean.low <= WIDE:
        return []
    text = f"The interval is wide ({percent(mean.low)} to {percent(mean.high)}): it is based on only {scored}."
    return [Finding("warning", text)]


def _scored(scores: Scores) -> str:
    images = plural(scores.images, "image")
    return images if scores.groups in {0, scores.images} else f"{images} in {plural(scores.groups, 'group')}"


def _unseen(scores: Scores) -> list[Finding]:
    names = [entry.name for entry in scores.classes if not entry.pixels]
    if not names:
        return []
    verb, how = ("does", "it is") if len(names) == 1 else ("do", "they are")
    text = f"{_classes(names)} {verb} not occur in the scored images: how well {how} found is unknown."
    return [Finding("warning", text)]


def _low(scores: Scores) -> list[Finding]:
    """Name the classes with many false negatives or false positives, worst first, a few by name, the rest by number."""
    parts = "pixels" if scores.objects is None else "objects"
    missed = [(value, entry.name) for entry in _present(scores) if (value := _value(entry, "recall")) is not None]
    missed = sorted(pair for pair in missed if pair[0] < LOW)
    never = [name for value, name in missed if value == 0]
    texts = [f"{_classes(never)} {'is' if len(never) == 1 else 'are'} never found."] if never else []
    partly = [(value, name) for value, name in missed if value > 0]
    part = "Class {name} is found in only {share} of its pixels."
    part = part if scores.objects is None else "Only {share} of the objects of class {name} are found."
    texts += [part.format(name=name, share=percent(value, 0)) for value, name in partly[:MOST_NAMED]]
    if len(partly) > MOST_NAMED:
        rest = len(partly) - MOST_NAMED
        more = plural(rest, "more class", "more classes")
        said = f"{more} {agree(rest, 'is', 'are')} found in less than half of their pixels."
        texts.append(said if scores.objects is None else f"Of {more}, less than half of the objects are found.")
    false = sorted(
        (value, entry.name)
        for entry in _present(scores)
        if (value := _value(entry, "precision")) is not None and 0 < value < LOW
    )
    texts += [
        f"Of the {parts} predicted as {name}, only {percent(value, 0)} are {name}."
        for value, name in false[:MOST_NAMED]
    ]
    if len(false) > MOST_NAMED:
        others = plural(len(false) - MOST_NAMED, "more class", "more classes")
        texts.append(f"The same holds for {others}: less than half of the {parts} predicted as them are correct.")
    return [Finding("warning", text) for text in texts]


def _few_images(scores: Scores) -> list[Finding]:
    if scores.images < FEW_IMAGES:
        return []
    few = [entry for entry in _present(scores) if entry.images < FEW_IMAGES]
    if not few:
        return []
    names = [f"{entry.name} ({count(entry.images)})" for entry in few]
    text = f"Scored on fewer than {FEW_IMAGES} images: {listing(names, 6)}. Their scores are unreliable."
    return [Finding("note", text)]


def _calibration(data: ReportData) -> list[Finding]:
    calibration = data.scores.calibration
    if calibration is None:
        return []
    raw, scaled = calibration.ece, calibration.ece_scaled
    error = raw if scaled is None else scaled
    found = []
    if error > MISCALIBRATED:
        text = f"Probabilities are poorly calibrated: they are off by {percent(error, 0)} on average (ECE)."
        found.append(Finding("warning", text))
    if error > raw and percent(error) != percent(raw):
        text = f"the calibration error on these images: {percent(raw)} without it, {percent(error)} with it."
        found.append(Finding("note", f"The temperature fitted on validation images raises {text}"))
    return found


def _faults(data: ReportData) -> list[Finding]:
    if data.fingerprint is None:
        return []
    bad = sum(fault.severity == "error" for fault in data.fingerprint.faults)
    if not bad:
        return []
    return [
        Finding("note", f"{plural(bad, 'record')} of the data could not be used; see the faults in the data below.")
    ]


def _unfinished(data: ReportData) -> list[Finding]:
    metric = data.scores.headline_metric
    points = [value for _, value in column(data.history, f"val_{metric.key}")]
    sign = 1 if metric.higher_is_better else -1
    if metric.unit != "share" or len(points) < 3 or sign * points[-1] < max(sign * value for value in points):
        return []
    gain = sign * (points[-1] - points[-2])
    if gain <= STILL_RISING:
        return []
    text = f"Validation {metric.label} was still improving at the end (by {gain * 100:.1f} points since the validation "
    return [Finding("note", text + "before): a longer training would probably give a better model.")]


def _value(entry: ClassScores, key: str) -> float | None:
    """Return a class's value, None where it is undefined or the task has no such metric."""
    estimate = entry.values.get(key)
    return None if estimate is None else estimate.value


def _present(scores: Scores) -> list[ClassScores]:
    return [entry for entry in scores.classes if entry.pixels]


def _classes(names: list[str]) -> str:
    return f"{'Class' if len(names) == 1 else 'Classes'} {listing(names, 6)}"
