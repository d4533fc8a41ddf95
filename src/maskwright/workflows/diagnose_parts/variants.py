"""What single settings of a training gain: short trainings in the same time, compared on the same held-out images."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.answers import Answer, Figure, Grid
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan_file import overridden
from maskwright.core.text import count, plural
from maskwright.inference.predictor import Predictor
from maskwright.metrics.paired import difference
from maskwright.models.device import resolve_device
from maskwright.training.measure import step_cost
from maskwright.workflows.diagnose_parts.figures import change, figure, unit_of
from maskwright.workflows.diagnose_parts.short_runs import Setup, too_short
from maskwright.workflows.diagnose_parts.subsets import short_plan, trained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.answers import Cell, Cure, Level
    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Scores
    from maskwright.workflows.diagnose_parts.study import Study


@dataclass(frozen=True)
class Variant:
    """A training that differs from the plan of the run.

    Attributes:
        name: what differs, in words.
        changes: dotted key of the plan -> value.
        cure: the command that trains so.
    """

    name: str
    changes: dict[str, Any]
    cure: Cure | None = None


@dataclass(frozen=True)
class Asked:
    """What trainings are compared for.

    Attributes:
        key: of the answer.
        question: in the user's words.
        base: name of the training by the plan of the run.
        watched: class whose change is shown too; None for none.
        helpful: what a variant does without, in words; empty for none.
        without: name of that variant.
    """

    key: str
    question: str
    base: str
    watched: str | None = None
    helpful: str = ""
    without: str = ""


@dataclass(frozen=True)
class _Trained:
    """A variant with what it reached in so many steps."""

    variant: Variant
    steps: int
    scores: Scores


AGAIN = "the same with another seed"
ROUNDS = 2
"""Times that a step of each plan is measured; the shortest counts, since the first one in a process takes longer."""


def compared(study: Study, asked: Asked, variants: Sequence[Variant], deadline: float) -> Answer:
    """Train by the plan, again with another seed, and each variant, all in the same time; compare them with the first.

    Args:
        study: of the run.
        asked: what for.
        variants: at least one.
        deadline: in seconds of `time.monotonic()`.
    """
    try:
        setup = Setup.of(study)
    except MaskwrightError as error:
        return Answer(asked.key, asked.question, f"Not measured: {error}.", "open")
    steps, minutes = setup.steps(len(variants) + 2, deadline)
    if minutes:
        return too_short(asked.key, asked.question, setup, len(variants) + 2, minutes)
    every = (Variant(asked.base, {}), Variant(AGAIN, {}), *variants)
    try:
        with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
            found = [
                _trained(setup, variant, plan, Path(folder) / str(place))
                for place, (variant, plan) in enumerate(zip(every, _plans(setup, every, steps), strict=True))
            ]
    except MaskwrightError as error:  # the weights that the run started from may be gone, for example
        return Answer(asked.key, asked.question, f"Not measured: {error}.", "open")
    return _answer(setup, asked, found)


def _plans(setup: Setup, variants: Sequence[Variant], steps: int) -> list[Plan]:
    """Return the plan of each training, with the steps that it makes in the time of so many of the first one."""
    study = setup.study
    plans = [overridden(setup.plan, (), variant.changes) for variant in variants]
    rounds = [[_seconds(study, plan) for plan in plans] for _ in range(ROUNDS)]
    seconds = [min(times) for times in zip(*rounds, strict=True)]
    found = []
    for variant, plan, each in zip(variants, plans, seconds, strict=True):
        own = max(1, round(steps * seconds[0] / each)) if variant.changes else steps
        found.append(short_plan(plan, own, study.request.seed + (variant.name == AGAIN)))
    return found


def _seconds(study: Study, plan: Plan) -> float:
    """Measure a training step of a plan on this machine."""
    return step_cost(plan, study.classes, resolve_device(study.request.device)).seconds(plan)


def _trained(setup: Setup, variant: Variant, plan: Plan, out: Path) -> _Trained:
    study = setup.study
    report = study.progress(f"train: {variant.name}")
    kept = setup.material.dataset.part("train")
    run = trained(study.home, setup.material, kept, plan, out, study.request.device, report)
    scores = study.scored(records=setup.held_out, predictor=Predictor.load(run, study.request.device))
    return _Trained(variant, plan.train.steps, scores)


def _answer(setup: Setup, asked: Asked, found: list[_Trained]) -> Answer:
    base, again, *others = found
    metric = base.scores.headline_metric
    changes = [change(base.scores, one.scores) for one in others]
    noise = change(base.scores, again.scores)
    sign = setup.sign
    order = sorted(range(len(others)), key=lambda place: -sign * (changes[place].value or 0.0))
    best = order[0]
    value = sign * (changes[best].value or 0.0)
    nearest = changes[best].low if sign > 0 else changes[best].high
    beyond = nearest is not None and sign * nearest > 0 and value > abs(noise.value or 0.0)
    name = others[best].variant.name
    words = (
        f"The best of {plural(len(others), 'change')}, {name}, changes the {metric.label} by {changes[best]}, which is "
        f"more than another seed changes ({noise}). But the best of several often is by chance: train it and the plan "
        "again with other seeds before you rely on it."
        if beyond
        else f"None of {plural(len(others), 'change')} is better than the plan by more than chance: the best, {name}, "
        f"changes the {metric.label} by {changes[best]}, and another seed alone by {noise}."
    )
    missed = next(
        (change for one, change in zip(others, changes, strict=True) if one.variant.name == asked.without), None
    )
    if missed is not None:
        words = f"{_helps(asked, missed, noise, sign)} {words}"
    level: Level = "note" if beyond else "good"
    return Answer(
        asked.key,
        asked.question,
        words + _limits(setup, base.steps),
        level,
        0.0,  # one pair of seeds says too little of chance to recommend anything
        (Figure(f"change by: {name}", changes[best].value, changes[best].low, changes[best].high,
                changes[best].unit), Figure("change by another seed", noise.value, noise.low, noise.high, noise.unit)),
        (_grid(asked, base, [again, *(others[place] for place in order)]),),
        cures=tuple(cure for place in order if (cure := others[place].variant.cure) is not None),
        method=f"{plural(len(found), 'training')} by the plan of this run, each with one change, in the time of "
        f"{plural(base.steps, 'step')} of it, scored on the same {plural(len(setup.held_out), 'held-out image')}. "
        "The intervals are over images; how much a training differs by chance, the other seed shows.",
    )  # fmt: skip


def _helps(asked: Asked, missed: Figure, noise: Figure, sign: float) -> str:
    """Say whether what a variant does without helps."""
    bounds = [sign * bound for bound in (missed.low, missed.high) if bound is not None]
    worse = bounds and max(bounds) < 0 and abs(missed.value or 0.0) > abs(noise.value or 0.0)
    better = bounds and min(bounds) > 0
    said = "Yes" if worse else "No" if better else "Perhaps"
    return f"{said}: with {asked.without} instead of {asked.helpful} the score changes by {missed}."


def _limits(setup: Setup, steps: int) -> str:
    own = int(setup.study.history[-1]["step"] or steps)
    return "" if steps >= 0.7 * own else f" This holds for {plural(steps, 'step')}; the run had {count(own)}."


def _grid(asked: Asked, base: _Trained, found: list[_Trained]) -> Grid:
    metric = base.scores.headline_metric
    header = ["training", "steps", metric.label, "change"]
    known = {entry.name: entry.values for entry in base.scores.classes}
    watched = asked.watched if asked.watched in known and metric.key in known[asked.watched] else None
    if watched is not None:
        header.append(f"change of {watched}")
    rows: list[tuple[Cell, ...]] = []
    for one in (base, *found):
        row: list[Cell] = [one.variant.name, count(one.steps), figure("", one.scores.score, unit_of(metric))]
        row.append("" if one is base else change(base.scores, one.scores))
        if watched is not None:
            moved = difference(base.scores, one.scores, metric.key, watched)
            row.append("" if one is base else figure("", moved, unit_of(metric, difference=True)))
        rows.append(tuple(row))
    return Grid("Trainings in the same time", tuple(header), tuple(rows))
