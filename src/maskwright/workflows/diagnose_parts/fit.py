"""Over- and under-fitting, imbalance, labels, gradients, transfer: what a training made of its data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from maskwright.core.answers import Answer, Cure, Figure, Plot
from maskwright.core.seeds import generator
from maskwright.core.text import plural
from maskwright.diagnosis import fitting
from maskwright.report.tables import written
from maskwright.workflows.diagnose_parts.figures import figure, unit_of
from maskwright.workflows.diagnose_parts.labels import labels
from maskwright.workflows.diagnose_parts.learning import gradients, longer, transfer
from maskwright.workflows.diagnose_parts.shares import imbalance
from maskwright.workflows.evaluate_parts import scoring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maskwright.metrics.scores import Scores
    from maskwright.workflows.diagnose_parts.study import Study

LARGE_GAP = 0.05
"""Difference of training and held-out score, as a share of the training score, from which on a model over-fits."""
HIGH = 0.9
"""Training score from which on nothing was missed for want of learning."""
QUESTION = "Does it over-fit, or under-fit?"
STRONGER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "gamma": 0.4, "blur": 0.3, "noise": 10.0}
"""Augmentation -> a strength beyond that of the plan."""


def fit(study: Study, deadline: float) -> Iterator[Answer]:
    """Compare training and held-out images, and what the run says of its training."""
    held, train = _both(study, deadline)
    yield _fit(study, held, train)
    yield from imbalance(study, train)
    yield labels(study)
    yield gradients(study)
    yield transfer(study)


def _both(study: Study, deadline: float) -> tuple[Scores | None, Scores | None]:
    """Score equal numbers of held-out and training images."""
    held = [look.record for look in study.looks if look.record.split != "train"]
    known = study.records("train")
    if not held or not known:
        return (study.scores if held else None), None
    possible = int((deadline - time.monotonic()) / max(study.seconds_each, 1e-3) / 2)
    number = min(len(held), len(known), max(scoring.LEAST_IMAGES, possible))
    chosen = [known[place] for place in sorted(generator(study.request.seed, "fit").permutation(len(known))[:number])]
    same = len(held) == number == len(study.looks)
    report = study.progress("training images")
    report(0, number)
    train = study.scored(records=chosen, deadline=deadline)
    return study.scores if same else study.scored(records=held[:number]), train


def _fit(study: Study, held: Scores | None, train: Scores | None) -> Answer:
    if held is None or train is None:
        part = "held-out" if held is None else "training"
        why = f"Not measured: there are no labelled {part} images that the run knows. Give the data of the training."
        return Answer("fit", QUESTION, why, "open")
    metric = held.headline_metric
    sign = 1.0 if metric.higher_is_better else -1.0
    gap, low, high = fitting.difference(train.score, held.score)
    if gap is None:
        return Answer("fit", QUESTION, "Not measured: one of the two scores is undefined.", "open")
    difference = Figure("difference", gap, low, high, unit_of(metric, difference=True))
    scores = _column(study, f"val_{metric.key}")
    losses = _column(study, "loss")
    improves = fitting.still_improves(scores, losses, higher_is_better=metric.higher_is_better)
    past = fitting.past_the_best(scores, higher_is_better=metric.higher_is_better)
    top, bottom = train.score.value or 0.0, held.score.value or 0.0
    sure = (low if sign > 0 else high) is not None and sign * ((low if sign > 0 else high) or 0.0) > 0
    large = sure and sign * gap > LARGE_GAP * abs(top)
    figures = (
        figure(f"{metric.label} of training images", train.score, unit_of(metric)),
        figure(f"{metric.label} of held-out images", held.score, unit_of(metric)),
        difference,
    )
    kind, said = _kind(large=large, improves=improves, learnt=metric.unit == "share" and sign > 0 and top >= HIGH)
    about = f"{held.headline_words[0].upper() + held.headline_words[1:]} is {written(metric, top)} on training and "
    about += f"{written(metric, bottom)} on held-out images, a difference of {difference}. "
    if past:
        said += " The validation score was higher before the end of the training."
    return Answer(
        "fit",
        QUESTION,
        about + said,
        "good" if kind == "good" else "warning" if kind in {"over", "short"} else "note",
        _stake(kind, gap, top) if metric.unit == "share" else 0.0,
        figures,
        plots=_plots(study, metric.label, scores),
        cures=_cures(study, kind, past=past),
        method=f"{plural(train.images, 'training image')} and {plural(held.images, 'held-out image')}, each predicted "
        "whole and scored alike.",
    )


def _kind(*, large: bool, improves: bool | None, learnt: bool) -> tuple[str, str]:
    """Name what the scores show: `over`, `short`, `under` or `good`, and say it."""
    if large:
        return "over", "It over-fits: it knows its training images better than others."
    if learnt:
        return "good", "It neither over-fits nor under-fits."
    if improves is None:
        return "unknown", "It does not over-fit; the run's history is too short to say whether a longer training helps."
    if improves:
        return "short", "It does not over-fit, and it was still getting better when the time ended: train longer."
    return "under", "It under-fits: it no longer gets better, even on images that it was trained on."


def _stake(kind: str, gap: float, top: float) -> float:
    """Return what could be won: the gap, or, as a guess, a fifth of what the training score lacks."""
    if kind == "over":
        return abs(gap) / 2
    return 0.2 * (1 - top) if kind in {"short", "under"} else 0.0


def _column(study: Study, name: str) -> list[float]:
    return [value for row in study.history if (value := row.get(name)) is not None]


def _plots(study: Study, label: str, scores: list[float]) -> tuple[Plot, ...]:
    """Draw loss and validation score over the steps."""
    key = next((name for row in study.history[:1] for name in row if name.startswith("val_")), "")
    losses = tuple((row["step"] or 0.0, row["loss"]) for row in study.history if row.get("loss") is not None)
    plots = []
    if len(losses) > 1:
        lines = {"loss": tuple((step, float(loss or 0.0)) for step, loss in losses)}
        plots.append(Plot("Loss of the training steps, smoothed", "step", "loss", lines, percent=False))
    if len(scores) > 1:
        points = tuple((row["step"] or 0.0, value) for row in study.history if (value := row.get(key)) is not None)
        plots.append(Plot(f"{label} of validation images", "step", label, {label: points}))
    return tuple(plots)


def _cures(study: Study, kind: str, *, past: bool) -> tuple[Cure, ...]:
    """Return what may close the gap, or make it learn more."""
    run, data = str(study.run), str(study.dataset.root)
    if kind == "short":
        return (longer(study),)
    if kind == "under":
        scale = min(4.0, round(1.5 * study.predictor.card.data.scale, 2))
        why = "A finer scale shows the network more."
        finer = Cure(why, "train", (data,), {"settings": (f"data.scale={scale:g}",)})
        larger = Cure("A larger network can hold more.", "train", (data,), {"model": "unet"})
        return (finer, larger)
    if kind != "over":
        return ()
    present = study.plan.augment.model_dump() if study.plan is not None else {}
    stronger = tuple(f"augment.{key}={value}" for key, value in STRONGER.items() if value > present.get(key, 0.0))
    cures = [
        Cure(
            "More labelled images are the best remedy; this measures how much they would bring.",
            "diagnose",
            (run, data),
            {"question": ("more-data",), "budget": "30m"},
        )
    ]
    if stronger:
        why = "Stronger augmentation makes training images harder to learn by heart."
        cures.insert(0, Cure(why, "train", (data,), {"from_run": run, "settings": stronger}))
    if past:
        why = "Stops when validation images no longer get better."
        cures.insert(0, Cure(why, "train", (data,), {"settings": ("train.patience=3",)}))
    cures.append(Cure("A smaller network learns less by heart.", "compress", (run,), {"target": "0.5x"}))
    return tuple(cures)
