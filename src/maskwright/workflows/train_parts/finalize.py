"""Finish a training: fit what comes after the network, save it, judge it, write the report. Trains nothing."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from maskwright.core.events import Note, Progress, Stage
from maskwright.core.paths import MODEL_FILE
from maskwright.core.plan import CrfPlan, PostprocessPlan
from maskwright.inference.predictor import Predictor
from maskwright.metrics.calibration import fit_temperature
from maskwright.models import bundle
from maskwright.models.build import resolved
from maskwright.report.content import ReportData
from maskwright.report.numbers import plural
from maskwright.report.page import write_report
from maskwright.training.offsets import fit_offsets
from maskwright.workflows.evaluate_parts import crf, scoring
from maskwright.workflows.runs import run_folder
from maskwright.workflows.train_parts.fit import REPORT_SECONDS, TrainingRun, card, crf_seconds
from maskwright.workflows.train_parts.network import ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright import models
    from maskwright.core.plan import Plan
    from maskwright.core.records import Record
    from maskwright.metrics.scores import Scores
    from maskwright.models.lora import Share
    from maskwright.training.loop import Best
    from maskwright.training.schedule import Schedule

FITTED = "fitted on validation images, from"


def finish(training: TrainingRun, best: Best, schedule: Schedule) -> Scores | None:
    """Save the chosen weights, make their probabilities honest, judge them and write the report."""
    plan, dataset = training.plan, training.material.dataset
    segmenter, share = ended(plan, len(dataset.classes), best.weights, schedule.step)
    model = card(training)
    bundle.save(training.run / MODEL_FILE, segmenter, model)
    val, test = training.part("val"), training.part("test")
    held_out, split = (test, "test") if test else (val, "val")
    training.on_event(Stage("evaluate", f"{plural(len(held_out), 'image')} that the training has not seen"))
    model.temperature = _adjusted(training, segmenter, len(held_out))
    behind = _postprocess(training, Predictor(segmenter, model, training.fabric.device), val)
    model.postprocess = behind.kept
    if not held_out:
        training.on_event(Note("no image was held out: nothing is known about how good the model is"))
        bundle.save(training.run / MODEL_FILE, segmenter, model)
        return None
    predictor = Predictor(segmenter, model, training.fabric.device)
    faults: list[str] = []
    scores = scoring.judge(
        predictor,
        dataset,
        held_out,
        deadline=_before_report(training),
        on_progress=lambda done, of: training.on_event(Progress(done, of)),
        on_fault=lambda _record, error: faults.append(scoring.left_out(error)),
    )
    for fault in faults:
        training.on_event(Note(fault))
    if scores.images + len(faults) < len(held_out):
        faults.append(
            f"the time allowed to judge {scores.images} of {len(held_out)} images: `maskwright evaluate` takes all"
        )
        training.on_event(Note(faults[-1]))
    iou = scores.mean["iou"].value
    model.summary = {"split": split, "iou": iou, "images": scores.images, "steps": schedule.step}
    bundle.save(training.run / MODEL_FILE, segmenter, model)
    _report(training, predictor, scores, Judged(held_out, split, best, schedule, share, tuple(faults), behind))
    return scores


def _before_report(training: TrainingRun) -> float | None:
    """Return when predicting must end, so that the page is written in time."""
    return None if training.deadline is None else training.deadline - REPORT_SECONDS


@dataclass(frozen=True)
class PostprocessFit:
    """What comes after the network.

    Attributes:
        kept: what the model shall hold of it.
        found: scores of the search on validation images, for the metrics; empty without a search.
        notes: sentences for the report.
    """

    kept: PostprocessPlan
    found: dict[str, Any]
    notes: tuple[str, ...]


def _postprocess(training: TrainingRun, predictor: Predictor, val: Sequence[Record]) -> PostprocessFit:
    """Fit what the plan wants behind the network."""
    start = training.plan.postprocess.crf
    if start is None:
        return PostprocessFit(PostprocessPlan(), {}, ())
    end = _before_report(training)
    deadline = None if end is None else min(time.monotonic() + crf_seconds(training), end)
    found = crf.fit(predictor, training.material.dataset, val, start, deadline)
    if found is None:
        kept = start if start != CrfPlan() else None
        keeps = "no parameters" if kept is None else "the plan's own values"
        said = f"no validation image to fit the dense CRF on can be read: the model keeps {keeps}"
    else:
        kept = found.settings if found.helps else None
        said = crf.said(found) + ("" if found.helps else ", and the model keeps no parameters")
    training.on_event(Note(said))
    compare = f"`maskwright evaluate {training.run} {training.material.dataset.root} --crf` compares"
    return PostprocessFit(
        PostprocessPlan(crf=kept),
        {} if found is None else {"crf": crf.to_json(found)},
        (said, "the scores here are without the dense CRF" + ("" if found is None else f": {compare}")),
    )


def _as_it_went(plan: Plan, behind: PostprocessFit) -> Plan:
    """Return the plan for the report: with the backbone named, and what was fitted instead of what that began with."""
    network = plan.model.model_copy(update={"backbone": resolved(plan.model).backbone})
    plan = plan.model_copy(update={"model": network})
    start = plan.postprocess.crf
    if start is None or (behind.kept.crf == start and not behind.found):
        return plan
    why = "the model keeps none: see the notes above; the plan had" if behind.kept.crf is None else FITTED
    reasons = {key: reason for key, reason in plan.reasons.items() if not key.startswith("postprocess.crf")}
    reasons["postprocess.crf"] = f"{why} {crf.describe(start)}"
    return plan.model_copy(update={"postprocess": behind.kept, "reasons": reasons})


def _adjusted(training: TrainingRun, segmenter: models.Segmenter, held_out: int) -> float:
    """Move the class offsets and return the temperature that validation images ask for; 1 where there are none.

    Of the time left, but for that of the CRF, the validation images get their share, and at most half: `held_out`
    images are yet to be judged.
    """
    val, end = training.part("val"), _before_report(training)
    predictor = Predictor(segmenter, card(training), training.fabric.device)
    if end is not None:
        end -= crf_seconds(training)
        sampled = min(len(val), scoring.SAMPLE_IMAGES)
        share = min(sampled / max(sampled + held_out + 2 * scoring.EXAMPLES, 1), 0.5)
        end = time.monotonic() + share * (end - time.monotonic())
    seen = scoring.sample(predictor, training.material.dataset, val, deadline=end)
    if seen is None or segmenter.classes == 1:
        return 1.0
    offsets = fit_offsets(seen.scores, seen.truth, seen.images, training.deadline)
    with torch.no_grad():
        segmenter.head.bias.add_(torch.from_numpy(offsets).to(segmenter.head.bias))
    if offsets.any():
        names = training.material.dataset.classes.names
        moved = ", ".join(f"{name} {value:+.2f}" for name, value in zip(names, offsets, strict=True))
        training.on_event(Note(f"class offsets, fitted on validation images: {moved}"))
    return fit_temperature(seen.scores + offsets, seen.truth)


@dataclass(frozen=True)
class Judged:
    """What the report is about, besides the scores."""

    held_out: Sequence[Record]
    split: str
    best: Best
    schedule: Schedule
    share: Share
    notes: tuple[str, ...]
    behind: PostprocessFit


def _report(training: TrainingRun, predictor: Predictor, scores: Scores, judged: Judged) -> None:
    best, schedule = judged.best, judged.schedule
    training.on_event(Stage("report", str(training.run / run_folder.REPORT)))
    metrics = {
        "split": judged.split,
        "validation_iou": best.score if best.score >= 0 else None,
        "best_step": best.step,
        "steps": schedule.step,
        "parameters": asdict(judged.share),
        "training_seconds": round(schedule.spent_seconds, 1),
        "seconds": round(time.monotonic() - training.started, 1),
        **judged.behind.found,
        "scores": scores.to_json(),
    }
    run_folder.write_metrics(training.run, metrics)
    dataset = training.material.dataset
    share = judged.share
    moved = [f"the training moved {share}"] if share.trained < share.whole else []  # of all there is nothing to say
    write_report(
        training.run / run_folder.REPORT,
        ReportData(
            title=dataset.root.resolve().name,
            scores=scores,
            classes=dataset.classes,
            split=judged.split,
            plan=_as_it_went(training.plan, judged.behind),
            fingerprint=training.found or run_folder.read_fingerprint(training.run),
            history=run_folder.read_history(training.run / run_folder.HISTORY),
            examples=scoring.examples(predictor, dataset, judged.held_out, scores, deadline=_before_report(training)),
            notes=(*judged.notes, *judged.behind.notes, *moved),
            environment={
                key: str(value) for key, value in run_folder.read_json(training.run / run_folder.ENVIRONMENT).items()
            },
        ),
    )
