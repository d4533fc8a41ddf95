"""Train: plan, fit, judge on held-out images, and leave a run folder behind. Prints nothing."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, dataclass
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric import Fabric

from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress, Stage
from maskwright.core.plan import PostprocessPlan
from maskwright.inference.predictor import Predictor
from maskwright.metrics.calibration import fit_temperature
from maskwright.models import bundle
from maskwright.models.device import resolve_device
from maskwright.report.content import ReportData
from maskwright.report.page import write_report
from maskwright.training import loggers as logging
from maskwright.training.offsets import fit_offsets
from maskwright.workflows import crf, judging
from maskwright.workflows import run as folder
from maskwright.workflows.evaluate import read_history
from maskwright.workflows.fit import REPORT_SECONDS, Task, card, fit
from maskwright.workflows.network import ended
from maskwright.workflows.plan import make_plan
from maskwright.workflows.request import PlanRequest, check_resume
from maskwright.workflows.run import Material

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright import models
    from maskwright.core.events import OnEvent
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan, Precision
    from maskwright.core.records import Record
    from maskwright.metrics.scores import Scores
    from maskwright.models.lora import Share
    from maskwright.training.loop import Best
    from maskwright.training.pace import Pace


@dataclass(frozen=True)
class TrainResult:
    """What a training left behind.

    Attributes:
        run: the run folder.
        scores: on the test part, or None when there was nothing held out.
        seconds: of the whole command.
        steps: optimiser steps made.
        validation_iou: of the weights chosen, or None without validation images.
    """

    run: Path
    scores: Scores | None
    seconds: float
    steps: int
    validation_iou: float | None


def train(
    root: Path | None,
    request: PlanRequest,
    out: Path | None = None,
    *,
    resume: Path | None = None,
    loggers: tuple[str, ...] = (),
    on_event: OnEvent | None = None,
) -> TrainResult:
    """Train on a folder, within the time given, and judge the result.

    Args:
        root: folder (or file) of images and masks; with `resume`, only needed when the data was moved.
        request: the user's wishes; with `resume` only its device may be given.
        out: the run folder; None for a new one below `runs/`.
        resume: a run folder to go on with, from its last checkpoint and by its own plan.
        loggers: more than CSV and TensorBoard: `wandb`.
        on_event: told how far the work is.

    Raises:
        MaskwrightError: the data cannot be trained on, a wish cannot be met, the folder cannot be written.
    """
    started = time.monotonic() if request.started is None else request.started
    logging.check(loggers)
    task = _task(root, request, out, resume, (started, on_event or (lambda _event: None)))
    task.on_event(Stage("train", f"{task.plan.train.steps} steps of {task.plan.sampling.batch} crops, into {task.run}"))
    writers = logging.create(loggers, task.run, task.plan.model_dump()) if task.fabric.is_global_zero else []
    with contextlib.ExitStack() as closing:
        for writer in writers:
            closing.callback(writer.close)
        best, pace = fit(task, writers)
    scores = _finish(task, best, pace) if task.fabric.is_global_zero else None
    task.fabric.barrier()
    score = best.score if best.score >= 0 else None
    return TrainResult(task.run, scores, time.monotonic() - started, pace.step, score)


def _task(
    root: Path | None, request: PlanRequest, out: Path | None, resume: Path | None, watch: tuple[float, OnEvent]
) -> Task:
    """Plan, or reopen a run; of several processes the first one plans and the others read what it wrote.

    They meet only after the planning: the steps that it measures would wait for the others' part of their sums.
    """
    started, on_event = watch
    if resume is not None:
        check_resume(request, out)
    resolve_device(request.device)
    found: Fingerprint | None = None
    run = resume
    if resume is None and _is_first():
        if root is None:
            raise MaskwrightError("train needs a folder of images and masks, or --resume RUN")
        with folder.claimed(out, root) as run:
            on_event(Stage("plan", f"looking at {root}"))
            made = make_plan(root, request, lambda done, total: on_event(Progress(done, total)))
            found = made.fingerprint
            presence = {
                record.id: frozenset(int(index) for index in np.flatnonzero(made.survey.shown(record.id)))
                for record in made.dataset.records
            }
            _tell_plan(made.plan, found, on_event)
            folder.begin(run, made.plan, found, Material(made.dataset, presence), request.read)
    launcher = _fabric(request.device, "32-true")
    launcher.launch()
    run = Path(launcher.broadcast(str(run)))
    plan, material = folder.reopen(run, root)
    fabric = _fabric(request.device, plan.train.precision)
    fabric.launch()
    on_event = on_event if fabric.is_global_zero else (lambda _event: None)
    return Task(run, plan, material, fabric, found, started, on_event)


def _is_first() -> bool:
    """Say whether this is the only process, or the first of those that `torchrun` started."""
    return not torch.distributed.is_torchelastic_launched() or os.environ["RANK"] == "0"


def _fabric(device: str, precision: Precision) -> Fabric:
    """Set up device and processes: one process, or as many as `torchrun` started, each on a device of its own."""
    getLogger("lightning_fabric").setLevel("WARNING")
    place = resolve_device(device)
    if not torch.distributed.is_torchelastic_launched():
        devices = 1 if place.index is None else [place.index]
        return Fabric(accelerator=place.type, devices=devices, precision=precision)
    if place.index is not None:
        raise MaskwrightError(
            f"--device {device}: torchrun gives each process a device of its own: use --device {place.type}, and "
            "CUDA_VISIBLE_DEVICES to choose among them"
        )
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    return Fabric(
        accelerator=place.type, devices=here, num_nodes=everywhere // here, strategy="ddp", precision=precision
    )


def _tell_plan(plan: Plan, found: Fingerprint, on_event: OnEvent) -> None:
    worst = [fault for fault in found.faults if fault.severity != "note"]
    if worst:
        on_event(Note(f"{len(worst)} faults in the data, first: {worst[0].path}: {worst[0].message}. {worst[0].cure}"))
    if not plan.model.pretrained and not plan.model.weights and "model.pretrained" in plan.reasons:
        on_event(Note(f"training starts from scratch: {plan.reasons['model.pretrained']}"))


def _finish(task: Task, best: Best, pace: Pace) -> Scores | None:
    """Save the chosen weights, make their probabilities honest, judge them and write the report."""
    plan, dataset = task.plan, task.material.dataset
    segmenter, share = ended(plan, len(dataset.classes), best.weights, pace.step)
    model = card(task)
    bundle.save(task.run / folder.MODEL, segmenter, model)
    val, test = task.part("val"), task.part("test")
    held_out, split = (test, "test") if test else (val, "val")
    task.on_event(Stage("evaluate", f"{len(held_out)} images that the training has not seen"))
    model.temperature = _adjusted(task, segmenter, len(held_out))
    model.postprocess, extra = _postprocess(task, Predictor(segmenter, model, task.fabric.device), val)
    if not held_out:
        task.on_event(Note("no image was held out: nothing is known about how good the model is"))
        bundle.save(task.run / folder.MODEL, segmenter, model)
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
    bundle.save(task.run / folder.MODEL, segmenter, model)
    _report(task, predictor, scores, Judged(held_out, split, best, pace, share, tuple(faults), extra))
    return scores


def _before_report(task: Task) -> float | None:
    """Return when predicting must end, so that the page is written in time."""
    return None if task.deadline is None else task.deadline - REPORT_SECONDS


def _postprocess(task: Task, predictor: Predictor, val: Sequence[Record]) -> tuple[PostprocessPlan, dict[str, Any]]:
    """Fit what the plan wants behind the network, in at most a quarter of the time left; return it, and its scores."""
    start = task.plan.postprocess
    if start.crf is None:
        return start, {}
    predictor.card.postprocess = start
    now, end = time.monotonic(), _before_report(task)
    found = crf.fit(predictor, task.material.dataset, val, None if end is None else now + (end - now) / 4)
    if found is None:
        task.on_event(Note("the dense CRF is not fitted, as there is no validation image (or one class only)"))
        return start, {}
    task.on_event(Note(crf.said(found)))
    return PostprocessPlan(crf=found.settings), {"crf": crf.to_json(found)}


def _adjusted(task: Task, segmenter: models.Segmenter, held_out: int) -> float:
    """Move the class offsets and return the temperature that validation images ask for; 1 where there are none.

    Of the time left the validation images get their share, and at most half: `held_out` images are yet to be judged.
    """
    val, end = task.part("val"), _before_report(task)
    predictor = Predictor(segmenter, card(task), task.fabric.device)
    if end is not None:
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
    share: Share
    notes: tuple[str, ...]
    extra: dict[str, Any]


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
        **judged.extra,
        "scores": scores.to_json(),
    }
    folder.write_metrics(task.run, metrics)
    dataset = task.material.dataset
    write_report(
        task.run / folder.REPORT,
        ReportData(
            title=dataset.root.resolve().name,
            scores=scores,
            classes=dataset.classes,
            split=judged.split,
            plan=task.plan,
            fingerprint=task.found or folder.read_fingerprint(task.run),
            history=read_history(task.run / folder.HISTORY),
            examples=judging.examples(predictor, dataset, judged.held_out, scores, deadline=_before_report(task)),
            notes=(*judged.notes, f"the training moved {judged.share}"),
            environment={key: str(value) for key, value in folder.read_json(task.run / folder.ENVIRONMENT).items()},
        ),
    )
