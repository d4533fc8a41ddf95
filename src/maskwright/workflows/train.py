"""Train: plan, fit, judge on held-out images, and leave a run folder behind. Prints nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning_fabric import Fabric

from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress, Stage
from maskwright.models.device import resolve_device
from maskwright.report.numbers import plural
from maskwright.training import loggers as logging
from maskwright.workflows.plan import make_plan
from maskwright.workflows.request import PlanRequest, check_resume
from maskwright.workflows.runs import run_folder
from maskwright.workflows.runs.run_folder import Material
from maskwright.workflows.train_parts.finalize import finish
from maskwright.workflows.train_parts.fit import TrainingRun, fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maskwright.core.events import OnEvent
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan, Precision
    from maskwright.metrics.scores import Scores


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
    there = out is not None and out.is_dir()
    training = _training_run(root, request, out, resume, (started, on_event or (lambda _event: None)))
    training.on_event(
        Stage(
            "train", f"{training.plan.train.steps} steps of {training.plan.sampling.batch} crops, into {training.run}"
        )
    )
    alone = run_folder.locked(training.run) if training.fabric.is_global_zero else contextlib.nullcontext()
    with alone, _resumable(training.run):
        writers = _writers(training, loggers, begun=resume is None, keep=there)
        with contextlib.ExitStack() as closing:
            for writer in writers:
                closing.callback(writer.close)
            best, schedule = fit(training, writers)
        scores = finish(training, best, schedule) if training.fabric.is_global_zero else None
    training.fabric.barrier()
    score = best.score if best.score >= 0 else None
    return TrainResult(training.run, scores, time.monotonic() - started, schedule.step, score)


def _writers(training: TrainingRun, names: tuple[str, ...], *, begun: bool, keep: bool) -> list[logging.Logger]:
    """Build the loggers; where that fails, a run that has just begun is taken back, but for a folder to `keep`."""
    if not training.fabric.is_global_zero:
        return []
    try:
        return logging.create(names, training.run, training.plan.model_dump())
    except MaskwrightError:
        if begun:
            run_folder.undo(training.run, keep=keep)
        raise


@contextlib.contextmanager
def _resumable(run: Path) -> Iterator[None]:
    """Say of a full disk that the training can go on."""
    try:
        yield
    except MaskwrightError as error:
        cause = error.__cause__
        if (
            isinstance(cause, OSError)
            and cause.errno in {errno.ENOSPC, errno.EDQUOT}
            and (run / run_folder.PLAN).exists()
        ):
            words = f"{error}; once there is room, `maskwright train --resume {run}` goes on"
            raise MaskwrightError(words) from cause
        raise


def _training_run(
    root: Path | None, request: PlanRequest, out: Path | None, resume: Path | None, watch: tuple[float, OnEvent]
) -> TrainingRun:
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
        with run_folder.claimed(out, root) as run:
            on_event(Stage("plan", f"looking at {root}"))
            made = make_plan(root, request, lambda done, total: on_event(Progress(done, total)))
            found = made.fingerprint
            presence = {
                record.id: frozenset(int(index) for index in np.flatnonzero(made.survey.shown(record.id)))
                for record in made.dataset.records
            }
            _tell_plan(made.plan, found, on_event)
            run_folder.begin(run, made.plan, found, Material(made.dataset, presence), request.read)
    launcher = _fabric(request.device, "32-true")
    launcher.launch()
    run = Path(launcher.broadcast(str(run)))
    plan, material = run_folder.reopen(run, root)
    fabric = _fabric(request.device, plan.train.precision)
    fabric.launch()
    on_event = on_event if fabric.is_global_zero else (lambda _event: None)
    return TrainingRun(run, plan, material, fabric, found, started, on_event)


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
        first, rest = worst[0], "" if len(worst) == 1 else f" (`maskwright inspect {found.root}` lists all)"
        said = (
            f"{plural(len(worst), 'fault')} in the data{rest}, the first: {first.path}: {first.message}: {first.cure}"
        )
        on_event(Note(f"{said}. The training has {plural(found.images, 'image')}; what cannot be used is left out"))
    if not plan.model.pretrained and not plan.model.weights and "model.pretrained" in plan.reasons:
        on_event(Note(f"training starts from scratch: {plan.reasons['model.pretrained']}"))
