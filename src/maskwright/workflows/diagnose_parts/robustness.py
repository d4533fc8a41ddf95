"""How robust a model is: its score on corrupted copies of held-out images."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.answers import Answer, Cure, Figure, Grid
from maskwright.core.seeds import generator
from maskwright.core.text import listing, percent, plural
from maskwright.diagnosis.corruptions import CORRUPTIONS, SEVERITIES, corrupt, uncropped
from maskwright.report.tables import written
from maskwright.workflows.diagnose_parts.figures import change

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.records import Record
    from maskwright.core.targets import Target
    from maskwright.metrics.scores import Scores
    from maskwright.workflows.diagnose_parts.study import Study

FEWEST, MOST = 4, 60
"""Images that are corrupted."""
LARGE_LOSS = 0.1
"""Loss relative to the score on clean images from which on a model is called weak."""
STRENGTHS = {
    "noise": ("noise", 25.0),
    "blur": ("blur", 0.5),
    "defocus": ("blur", 0.5),
    "pixelation": ("blur", 0.5),
    "jpeg": ("noise", 10.0),
    "brightness": ("gamma", 0.6),
    "contrast": ("contrast", 0.5),
    "saturation": ("saturation", 0.8),
    "fog": ("contrast", 0.5),
    "rotation": ("rotate", 45.0),
}
"""Corruption -> the augmentation that is most like it, and a strength."""
QUESTION = "Is it robust to noise and errors in the input?"
ZOOMS = {"resize": (0.35, 1.5)}
"""Corruption -> the range of zoom that covers it."""


def robustness(study: Study, deadline: float) -> Iterator[Answer]:
    """Score the model on corrupted images."""
    records = _sample(study, deadline)
    names = [
        name for name, entry in CORRUPTIONS.items() if entry.move is None or study.predictor.task.annotation != "edges"
    ]
    clean = study.scored(records=records)
    report, done = study.progress("corrupt"), 0
    losses: dict[tuple[str, int], Figure] = {}
    # The medium severity first: if time is short, each corruption has at least that.
    for severity in (1, 2, 0):
        for name in names:
            if time.monotonic() > deadline and severity != 1:
                continue
            found = study.scored(_alter(name, severity, study.request.seed), records)
            same = clean if name != "crop" else study.scored(_kept(severity), records)
            losses[name, severity] = change(same, found)
            done += 1
            report(done, len(SEVERITIES) * len(names))
    yield _answer(study, clean, losses)


def _sample(study: Study, deadline: float) -> list[Record]:
    """Draw as many images as can be corrupted in the time, if a prediction takes as long as it did so far."""
    possible = (deadline - time.monotonic()) / max(study.seconds_each, 1e-3) / (len(CORRUPTIONS) * len(SEVERITIES) + 1)
    return study.drawn(int(min(MOST, max(FEWEST, possible))), "robustness")


def _alter(name: str, severity: int, seed: int) -> Any:
    """Return what corrupts image and target; the noise of an image does not depend on the other images."""

    def alter(image: NDArray[Any], target: Target) -> tuple[NDArray[Any], Target]:
        return corrupt(image, target, name, severity, generator(seed, f"corrupt {name} {severity}"))

    return alter


def _kept(severity: int) -> Any:
    """Return what judges whole images in the part that a crop keeps."""
    return lambda image, target: (image, uncropped(target, "crop", severity))


def _answer(study: Study, clean: Scores, losses: dict[tuple[str, int], Figure]) -> Answer:
    metric, base = clean.headline_metric, clean.score.value
    if not base:
        words = f"Not measured: the {metric.label} of the images as they are is {'0' if base == 0 else 'undefined'}."
        return Answer("robustness", QUESTION, words, "open")
    sign = -1.0 if metric.higher_is_better else 1.0
    changes: defaultdict[str, list[float]] = defaultdict(list)
    for (name, _), figure in losses.items():
        if figure.value is not None:
            changes[name].append(figure.value)
    if not changes:
        return Answer("robustness", QUESTION, f"Not measured: {metric.label} of corrupted images is undefined.", "open")
    lost = {name: sign * _mean(found) / base for name, found in changes.items()}
    ordered = sorted(lost, key=lambda name: -lost[name])
    weak = [name for name in ordered if lost[name] > LARGE_LOSS]
    mean = _mean([value for found in changes.values() for value in found])
    rows = tuple(
        (
            CORRUPTIONS[name].words,
            *(losses.get((name, level), "not measured") for level in range(len(SEVERITIES))),
            percent(lost[name]),
        )
        for name in ordered
    )
    shown = [f"{CORRUPTIONS[name].words} ({percent(lost[name], 0)} of the score)" for name in ordered]
    said = (
        f"The {metric.label} of {plural(clean.images, 'image')} is {written(metric, base)}, and "
        f"{written(metric, base + mean)} on average over "
        f"{plural(sum(map(len, changes.values())), 'corrupted version')} of them. "
        + (f"It suffers most from {listing(shown[:3])}." if weak else f"The largest loss is due to {shown[0]}.")
    )
    return Answer(
        "robustness",
        QUESTION,
        said,
        "warning" if weak else "good",
        # Real images are seldom like that: a tenth of the loss is at stake.
        0.1 * max(0.0, sign * mean) if metric.unit == "share" else 0.0,
        tuple(_worst(name, losses) for name in ordered[:3]),
        (
            Grid(
                f"Change of {metric.label} on corrupted images",
                ("corruption", *SEVERITIES, "mean loss, of the score"),
                rows,
            ),
        ),
        cures=_cures(study, weak),
        method=f"Each corruption of {plural(clean.images, 'held-out image')} is compared with the same images clean.",
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _worst(name: str, losses: dict[tuple[str, int], Figure]) -> Figure:
    found = losses.get((name, 1), Figure("", None))
    return replace(found, name=f"change with medium {CORRUPTIONS[name].words}")


def _cures(study: Study, weak: list[str]) -> tuple[Cure, ...]:
    """Return a training with the augmentations that are like the worst corruptions, where it has weaker ones."""
    present = study.plan.augment.model_dump() if study.plan is not None else {}
    zooms = [ZOOMS[name] for name in weak if name in ZOOMS]
    if zooms and "zoom" in present:
        zooms.append(present["zoom"])
    settings = [f"augment.zoom=[{min(low for low, _ in zooms)}, {max(high for _, high in zooms)}]"] if zooms else []
    strengths: dict[str, float] = {}
    for key, strength in (STRENGTHS[name] for name in weak if name in STRENGTHS):
        strengths[key] = max(strength, strengths.get(key, 0.0))
    settings += [f"augment.{key}={value}" for key, value in strengths.items() if value > present.get(key, 0.0)]
    if not settings:
        return ()
    why = f"Augmentation like {listing([CORRUPTIONS[name].words for name in weak], 3)}, trained on from this model."
    options: dict[str, str | tuple[str, ...]] = {"from_run": str(study.run), "settings": tuple(settings)}
    return (Cure(why, "train", (str(study.dataset.root),), options),)
