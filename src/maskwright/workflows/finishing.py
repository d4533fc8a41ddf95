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
from maskwright.workflows import crf, judging
from maskwright.workflows import run as folder
from maskwright.workflows.fit import REPORT_SECONDS, Task, card, crf_seconds
from maskwright.workflows.network import ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright import models
    from maskwright.core.plan import Plan
    from maskwright.core.records import Record
    from maskwright.metrics.scores import Scores
    from maskwright.models.lora import TrainedShare
    from maskwright.training.loop import Best
    from maskwright.training.pace import Pace

FITTED = "fitted on validation images, from"


def finish(task: Task, best: Best, pace: Pace) -> Scores | None:
    """Save the chosen weights, make their probabilities honest, judge them and write the report."""
    plan, dataset = task.plan, task.material.dataset
    segmenter, share = ended(plan, len(dataset.classes), best.weights, pace.step)
    model = card(task)
    bundle.save(task.run / MODEL_FILE, segmenter, model)
    val, test = task.part("val"), task.part("test")
    held_out, split = (test, "test") if test else (val, "val")
    task.on_event(Stage("evaluate", f"{plural(len(held_out), 'image')} that the training has not seen"))
    model.temperature = _adjusted(task, segmenter, len(held_out))
    behind = _postprocess(task, Predictor(segmenter, model, task.fabric.device), val)
    model.postprocess = behind.kept
    if not held_out:
        task.on_event(Note("no image was held out: nothing is known about how good the model is"))
        bundle.save(task.run / MODEL_FILE, segmenter, model)
        return None
    predictor = Predictor(segmenter, model, task.fabric.device)
    faults: list[str] = []
    scores = judging.judge(
        predictor,
        dataset,
        held_out,
        deadline=_before_report(task),
        on_progress=lambda done, of: task.on_event(Progress(done, of)),
        on_fault=lambda _record, error: faults.append(judging.left_out(error)),
    )
    for fault in faults:
        task.on_event(Note(fault))
    if scores.images + len(faults) < len(held_out):
        faults.append(
            f"the time allowed to judge {scores.images} of {len(held_out)} images: `maskwright evaluate` takes all"
        )
        task.on_event(Note(faults[-1]))
    iou = scores.mean["iou"].value
    model.summary = {"split": split, "iou": iou, "images": scores.images, "steps": pace.step}
    bundle.save(task.run / MODEL_FILE, segmenter, model)
    _report(task, predictor, scores, Judged(held_out, split, best, pace, share, tuple(faults), behind))
    return scores


def _before_report(task: Task) -> float | None:
    """Return when predicting must end, so that the page is written in time."""
    return None if task.deadline is None else task.deadline - REPORT_SECONDS


@dataclass(frozen=True)
class Behind:
    """What comes after the network.

    Attributes:
        kept: what the model shall hold of it.
        found: scores of the search on validation images, for the metrics; empty without a search.
        notes: sentences for the report.
    """

    kept: PostprocessPlan
    found: dict[str, Any]
    notes: tuple[str, ...]


def _postprocess(task: Task, predictor: Predictor, val: Sequence[Record]) -> Behind:
    """Fit what the plan wants behind the network."""
    start = task.plan.postprocess.crf
    if start is None:
        return Behind(PostprocessPlan(), {}, ())
    end = _before_report(task)
    deadline = None if end is None else min(time.monotonic() + crf_seconds(task), end)
    found = crf.fit(predictor, task.material.dataset, val, start, deadline)
    if found is None:
        kept = start if start != CrfPlan() else None
        keeps = "no parameters" if kept is None else "the plan's own values"
        said = f"no validation image to fit the dense CRF on can be read: the model keeps {keeps}"
    else:
        kept = found.settings if found.helps else None
        said = crf.said(found) + ("" if found.helps else ", and the model keeps no parameters")
    task.on_event(Note(said))
    compare = f"`maskwright evaluate {task.run} {task.material.dataset.root} --crf` compares"
    return Behind(
        PostprocessPlan(crf=kept),
        {} if found is None else {"crf": crf.to_json(found)},
        (said, "the scores here are without the dense CRF" + ("" if found is None else f": {compare}")),
    )


def _as_it_went(plan: Plan, behind: Behind) -> Plan:
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


def _adjusted(task: Task, segmenter: models.Segmenter, held_out: int) -> float:
    """Move the class offsets and return the temperature that validation images ask for; 1 where there are none.

    Of the time left, but for that of the CRF, the validation images get their share, and at most half: `held_out`
    images are yet to be judged.
    """
    val, end = task.part("val"), _before_report(task)
    predictor = Predictor(segmenter, card(task), task.fabric.device)
    if end is not None:
        end -= crf_seconds(task)
        sampled = min(len(val), judging.SAMPLE_IMAGES)
        share = min(sampled / max(sampled + held_out + 2 * judging.EXAMPLES, 1), 0.5)
        end = time.monotonic() + share * (end - time.monotonic())
    seen = judging.sample(predictor, task.material.dataset, val, deadline=end)
    if seen is None or segmenter.classes == 1:
        return 1.0
    offsets = fit_offsets(seen.scores, seen.truth, seen.images, task.deadline)
    with torch.no_grad():
        segmenter.head.bias.add_(torch.from_numpy(offsets).to(segmenter.head.bias))
    if offsets.any():
        names = task.material.dataset.classes.names
        moved = ", ".join(f"{name} {value:+.2f}" for name, value in zip(names, offsets, strict=True))
        task.on_event(Note(f"class offsets, fitted on validation images: {moved}"))
    return fit_temperature(seen.scores + offsets, seen.truth)


@dataclass(frozen=True)
class Judged:
    """What the report is about, besides the scores."""

    held_out: Sequence[Record]
    split: str
    best: Best
    pace: Pace
    share: TrainedShare
    notes: tuple[str, ...]
    behind: Behind


def _report(task: Task, predictor: Predictor, scores: Scores, judged: Judged) -> None:
    best, pace = judged.best, judged.pace
    task.on_event(Stage("report", str(task.run / folder.REPORT)))
    metrics = {
        "split": judged.split,
        "validation_iou": best.score if best.score >= 0 else None,
        "best_step": best.step,
        "steps": pace.step,
        "parameters": asdict(judged.share),
        "training_seconds": round(pace.spent_seconds, 1),
        "seconds": round(time.monotonic() - task.started, 1),
        **judged.behind.found,
        "scores": scores.to_json(),
    }
    folder.write_metrics(task.run, metrics)
    dataset = task.material.dataset
    share = judged.share
    moved = [f"the training moved {share}"] if share.trained < share.whole else []  # of all there is nothing to say
    write_report(
        task.run / folder.REPORT,
        ReportData(
            title=dataset.root.resolve().name,
            scores=scores,
            classes=dataset.classes,
            split=judged.split,
            plan=_as_it_went(task.plan, judged.behind),
            fingerprint=task.found or folder.read_fingerprint(task.run),
            history=folder.read_history(task.run / folder.HISTORY),
            examples=judging.examples(predictor, dataset, judged.held_out, scores, deadline=_before_report(task)),
            notes=(*judged.notes, *judged.behind.notes, *moved),
            environment={key: str(value) for key, value in folder.read_json(task.run / folder.ENVIRONMENT).items()},
        ),
    )
