"""Train: plan, fit, evaluate on held-out images, and write a run folder. Prints nothing."""

from __future__ import annotations

import contextlib
import errno
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress, Stage
from maskwright.core.text import plural
from maskwright.core.time_budget import TimeBudget
from maskwright.models.catalog import find_model
from maskwright.models.device import resolve_device
from maskwright.training import checkpoint, loggers
from maskwright.training.processes import is_first, together
from maskwright.workflows.plan import make_plan
from maskwright.workflows.request import PlanRequest, check_resume
from maskwright.workflows.runs import run_folder
from maskwright.workflows.runs.finished import finished, is_saved, is_search, saved
from maskwright.workflows.runs.run_folder import Material
from maskwright.workflows.train_parts.finalize import finish
from maskwright.workflows.train_parts.fit import fit
from maskwright.workflows.train_parts.grow import grow
from maskwright.workflows.train_parts.training_run import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maskwright.core.events import OnEvent
    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Scores
    from maskwright.workflows.plan import PlanResult


@dataclass(frozen=True)
class TrainResult:
    """Result of a training.

    Attributes:
        run: the run folder.
        scores: on the test split, or None if no image was held out.
        seconds: of the whole command; of a run that was finished already, of the command that finished it.
        steps: number of optimiser steps.
        validation_score: headline metric of the chosen weights, or None without validation images.
    """

    run: Path
    scores: Scores | None
    seconds: float
    steps: int
    validation_score: float | None


def train(
    root: Path | None,
    request: PlanRequest,
    out: Path | None = None,
    *,
    resume: Path | None = None,
    log: tuple[str, ...] = (),
    on_event: OnEvent | None = None,
) -> TrainResult:
    """Train on a folder within a time budget, and score the result.

    Args:
        root: folder (or file) of images and masks; with `resume`, only needed if the data was moved.
        request: what the user requests; with `resume`, only its device may be given.
        out: the run folder; None for a new one below `runs/`.
        resume: a run folder to continue from its last checkpoint, with its own plan; a finished one stays as it is.
        log: names of loggers in addition to CSV and TensorBoard: `wandb`.
        on_event: called with progress and notes.

    Raises:
        MaskwrightError: the data cannot be trained on, the request cannot be met, or the folder cannot be written.
    """
    started = time.monotonic() if request.started is None else request.started
    loggers.check(log)
    if resume is not None and (known := _known(resume, request, out, on_event)) is not None:
        return known
    there = out is not None and out.is_dir()
    begun = _Begun(request, started, on_event or (lambda _event: None))
    training = begun.resumed(resume, root) if resume is not None else begun.fresh(root, out)
    plan = training.plan
    training.on_event(
        Stage("train", f"{plan.train.steps} steps with {plan.sampling.batch} crops each, to {training.run}")
    )
    alone = run_folder.locked(training.run) if training.fabric.is_global_zero else contextlib.nullcontext()
    with alone, _resumable(training.run):
        writers = _writers(training, log, new=resume is None, keep=there)
        with contextlib.ExitStack() as closing:
            for writer in writers:
                closing.callback(writer.close)
            if resume is not None and is_saved(training.run):
                best, schedule = saved(training.run, training.task.headline)
            else:
                how = grow if find_model(plan.model.name).learns == "pixels" else fit
                best, schedule = how(training, writers)
        scores = finish(training, best, schedule) if training.fabric.is_global_zero else None
    training.fabric.barrier()
    return TrainResult(training.run, scores, time.monotonic() - started, schedule.step, best.score)


def _known(run: Path, request: PlanRequest, out: Path | None, on_event: OnEvent | None) -> TrainResult | None:
    """Return the result of a finished run, and say that nothing is left to do; None if something is."""
    check_resume(request, out)
    run_folder.check_run(run)
    found = finished(run)
    if found is None and is_search(run):
        raise MaskwrightError(
            f"{run} holds a search for a better plan that was interrupted, and a training would leave out what it "
            f"found: go on with `maskwright tune --resume {run}`"
        )
    if found is None:
        return None
    if on_event is not None and is_first():
        words = f"the training of {run} is finished: all files stay as they are"
        on_event(Note(f"{words}, and `maskwright evaluate {run} DATA` scores the model again"))
    return TrainResult(run, found.scores, found.seconds, found.steps, found.validation_score)


def _writers(training: TrainingRun, names: tuple[str, ...], *, new: bool, keep: bool) -> list[loggers.Logger]:
    """Build the loggers; if that fails, remove a run that has just begun, except a folder to `keep`."""
    if not training.fabric.is_global_zero:
        return []
    try:
        return loggers.create(names, training.run, training.plan.model_dump())
    except MaskwrightError:
        if new:
            run_folder.undo(training.run, keep=keep)
        raise


@contextlib.contextmanager
def _resumable(run: Path) -> Iterator[None]:
    """Add to the error of a full disk that the training can be resumed."""
    try:
        yield
    except MaskwrightError as error:
        cause = error.__cause__
        full = isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}
        if full and (run / run_folder.PLAN).exists():
            words = f"{error}; once there is space, `maskwright train --resume {run}` continues"
            raise MaskwrightError(words) from cause
        raise


@dataclass(frozen=True)
class _Begun:
    """A requested training, not yet planned or reopened."""

    request: PlanRequest
    started: float
    on_event: OnEvent

    def resumed(self, run: Path, root: Path | None) -> TrainingRun:
        """Reopen a run."""
        resolve_device(self.request.device)
        training = self._opened(run, root, None)
        grows = find_model(training.plan.model.name).learns == "pixels"
        if is_saved(run):
            training.on_event(Note(f"{run} holds the trained model: only the evaluation is left"))
        elif not any(run.glob(f"{checkpoint.FOLDER}/*")):
            why = f"{training.plan.model.name} makes none" if grows else "it ended before the first"
            training.on_event(Note(f"{run} has no checkpoint, since {why}: it starts at step 0"))
        return training

    def fresh(self, root: Path | None, out: Path | None) -> TrainingRun:
        """Plan; of several processes the first one plans and the others read what it wrote.

        They synchronise only after planning: the steps that it measures would wait for sums from the others.
        """
        resolve_device(self.request.device)
        if not is_first():
            return self._opened(None, root, None)
        if root is None:
            raise MaskwrightError("training needs a folder of images and masks, or a run to `resume`")
        if out is not None and (out / run_folder.SPLIT).exists():
            self.on_event(Note(f"{out} holds a run that ended before its first step: it starts again"))
        with run_folder.claimed(out, root) as run:
            self.on_event(Stage("plan", f"reading {root}"))
            made = make_plan(root, self.request, lambda done, total: self.on_event(Progress(done, total)))
            presence = {record.id: made.survey.present(record.id) for record in made.dataset.records}
            _report_plan(made, self.on_event)
            material = Material(made.dataset, presence)
            run_folder.begin(run, made.plan, made.fingerprint, material, self.request.read)
        return self._opened(run, root, (made.plan, material))

    def _opened(self, run: Path | None, root: Path | None, made: tuple[Plan, Material] | None) -> TrainingRun:
        """Launch the processes and give each one the plan and the data, read back if another process made them."""
        place = resolve_device(self.request.device)
        launcher = together(place, "32-true")
        launcher.launch()
        run = Path(launcher.broadcast(str(run)))
        plan, material = run_folder.reopen(run, root) if made is None else made
        fabric = together(place, plan.train.precision)
        fabric.launch()
        on_event = self.on_event if fabric.is_global_zero else (lambda _event: None)
        budget = TimeBudget.of(plan.train.budget_seconds, self.started)
        return TrainingRun(run, plan, material, fabric, budget, on_event)


def _report_plan(made: PlanResult, on_event: OnEvent) -> None:
    plan, found = made.plan, made.fingerprint
    worst = [fault for fault in found.faults if fault.severity != "note"]
    if worst:
        first = worst[0]
        rest = "" if len(worst) == 1 else f" (`maskwright inspect {found.root}` lists all), the first"
        left = "" if found.annotated in {None, found.images} else f"{found.usable()}; "
        said = f"{left}{plural(len(worst), 'fault')} in the data{rest}"
        on_event(Note(f"{said}: {first.path}: {first.message}: {first.cure}"))
    if not plan.model.pretrained and not plan.model.weights and "model.pretrained" in plan.reasons:
        on_event(Note(f"training starts from scratch: {plan.reasons['model.pretrained']}"))
    for note in made.notes:
        on_event(Note(note))
