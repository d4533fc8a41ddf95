"""Everything after the last step: fit decoding and postprocessors, save, score, write the report. Trains nothing."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from maskwright.core.events import Note, Progress, Stage
from maskwright.core.paths import MODEL_FILE
from maskwright.core.text import plural
from maskwright.inference.predictor import Predictor
from maskwright.models import bundle
from maskwright.models.build import resolved
from maskwright.report.content import ReportData
from maskwright.report.page import write_report
from maskwright.workflows.evaluate_parts import scoring
from maskwright.workflows.runs import run_folder
from maskwright.workflows.train_parts.network import last_network
from maskwright.workflows.train_parts.postprocess import PostprocessFit, fit_postprocessors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.plan import Plan
    from maskwright.core.records import Record
    from maskwright.metrics.scores import Scores
    from maskwright.models.lora import TrainedShare
    from maskwright.training.loop import Best
    from maskwright.training.schedule import Schedule
    from maskwright.workflows.train_parts.training_run import TrainingRun


@dataclass
class Outcome:
    """Result of a training, as shown in metrics and report."""

    best: Best
    schedule: Schedule
    share: TrainedShare
    held_out: Sequence[Record]
    split: str
    fitted: PostprocessFit
    notes: list[str] = field(default_factory=list)


def finish(training: TrainingRun, best: Best, schedule: Schedule, notes: Sequence[str] = ()) -> Scores | None:
    """Save the chosen weights, fit what follows them, score the model and write the report.

    Args:
        training: that was made.
        best: its weights.
        schedule: its steps.
        notes: sentences for the report on how the plan came about.
    """
    segmenter, share = last_network(training.plan, training.groups, best.weights, schedule.step)
    card = training.card()
    file = training.run / MODEL_FILE
    bundle.save(file, segmenter, card)
    val, test = training.part("val"), training.part("test")
    held_out, split = (test, "test") if test else (val, "val")
    training.on_event(Stage("evaluate", f"{plural(len(held_out), 'image')} not seen in training"))
    predictor = Predictor.of(segmenter, card, training.fabric.device)
    predictor = predictor.with_decoding(_decoding(training, predictor, len(held_out)))
    fitted = fit_postprocessors(training, predictor)
    card.decoding, card.postprocess = predictor.card.decoding, fitted.kept
    if not held_out:
        training.on_event(Note("no image was held out, so the quality of the model is unknown"))
        bundle.save(file, segmenter, card)
        return None
    outcome = Outcome(best, schedule, share, held_out, split, fitted)
    scores = _scored(training, predictor, outcome)
    outcome.notes += notes
    card.summary = {
        "split": split,
        scores.headline: scores.score.value,
        "images": scores.images,
        "steps": schedule.step,
    }
    bundle.save(file, segmenter, card)
    _write(training, predictor, scores, outcome)
    return scores


def _decoding(training: TrainingRun, predictor: Predictor, held_out: int) -> dict[str, Any]:
    """Fit the task's decoding on validation images; nothing where there are none.

    They get their share of the time left, less that of all fits, and at most half: `held_out` images are yet to be
    scored.
    """
    val, budget = training.part("val"), training.budget
    images = min(len(val), scoring.FIT_IMAGES)
    share = min(images / (images + held_out + 2 * scoring.EXAMPLES), 0.5)
    deadline = budget.share_until_report(share, training.fit_seconds())
    fit_deadline = budget.within_report(budget.fit_seconds(training.task.fit_seconds), deadline)
    dataset = training.material.dataset
    fitted = scoring.fit(predictor, dataset, val, deadline=deadline, fit_deadline=fit_deadline)
    for note in fitted.notes:
        training.on_event(Note(note))
    return fitted.decoding


def _scored(training: TrainingRun, predictor: Predictor, outcome: Outcome) -> Scores:
    quick = _in_haste(training, predictor, outcome.held_out)
    if quick:
        outcome.notes.append(
            f"there was time for rough scores only: {training.task.rough}. "
            f"`maskwright evaluate {training.run} {training.material.dataset.root}` gives the exact ones"
        )
    roughly = len(outcome.notes)
    scores = scoring.score(
        predictor,
        training.material.dataset,
        outcome.held_out,
        deadline=training.budget.report_deadline,
        on_progress=lambda done, total: training.on_event(Progress(done, total)),
        on_fault=lambda _record, error: outcome.notes.append(scoring.left_out(error)),
        quick=quick,
    )
    missing = len(outcome.held_out) - scores.images - (len(outcome.notes) - roughly)
    if missing > 0:
        outcome.notes.append(
            f"there was time to score {scores.images} of {plural(len(outcome.held_out), 'image')}: "
            "`maskwright evaluate` scores all"
        )
    for note in outcome.notes:
        training.on_event(Note(note))
    return scores


def _in_haste(training: TrainingRun, predictor: Predictor, held_out: Sequence[Record]) -> bool:
    """Say whether even the fewest images cannot be scored in full by the deadline, and a quick judge can do it."""
    deadline = training.budget.report_deadline
    if deadline is None or not training.task.rough:
        return False
    each = scoring.seconds_each(predictor, training.material.dataset, held_out, 0.0)
    fewest = min(scoring.LEAST_IMAGES, len(held_out)) + 2  # and examples
    return time.monotonic() + fewest * each > deadline


def _as_it_went(plan: Plan, fitted: PostprocessFit) -> Plan:
    """Return the plan for the report: with the backbone named, and fitted settings instead of the first ones."""
    network = plan.model.model_copy(update={"backbone": resolved(plan.model).backbone})
    reasons = {
        key: reason for key, reason in plan.reasons.items() if not any(key.startswith(name) for name in fitted.reasons)
    }
    return plan.model_copy(
        update={"model": network, "postprocess": fitted.shown, "reasons": {**reasons, **fitted.reasons}}
    )


def _write(training: TrainingRun, predictor: Predictor, scores: Scores, outcome: Outcome) -> None:
    """Write metrics.json and report.html."""
    training.on_event(Stage("report", str(training.run / run_folder.REPORT)))
    best, schedule, share = outcome.best, outcome.schedule, outcome.share
    metrics = {
        "split": outcome.split,
        f"validation_{scores.headline}": best.score,
        "best_step": best.step,
        "steps": schedule.step,
        "parameters": asdict(share),
        "training_seconds": round(schedule.spent_seconds, 1),
        "seconds": round(time.monotonic() - training.budget.started, 1),
        **outcome.fitted.metrics,
        "scores": scores.to_json(),
    }
    run_folder.write_metrics(training.run, metrics)
    trained = [f"training changed {share}"] if share.trained < share.whole else []  # of all there is nothing to say
    dataset = training.material.dataset
    deadline = training.budget.report_deadline
    write_report(
        training.run / run_folder.REPORT,
        ReportData(
            title=dataset.root.resolve().name,
            scores=scores,
            classes=dataset.classes,
            split=outcome.split,
            plan=_as_it_went(training.plan, outcome.fitted),
            fingerprint=training.fingerprint,
            history=run_folder.read_history(training.run / run_folder.HISTORY),
            examples=scoring.examples(predictor, dataset, outcome.held_out, scores, deadline=deadline),
            notes=(*outcome.notes, *outcome.fitted.notes, *trained),
            environment=run_folder.read_environment(training.run),
        ),
    )
