"""The training loop: updates the weights batch by batch, and validates and saves at intervals.

It knows no data format, no task and no network: it gets a step, a stream of batches and a function that scores.
Killed at any moment it goes on from its last checkpoint to bit-identical weights (same machine, same threads), since
every batch is a pure function of (seed, step), every step seeds its own randomness, and all other state is saved.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from maskwright.core.allocator import keep_freed_memory
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress, Saved
from maskwright.training import checkpoint
from maskwright.training.ema import EMA
from maskwright.training.loggers import Logger, Row, write_history
from maskwright.training.schedule import Marks, Schedule
from maskwright.training.step import Batch, TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lightning_fabric import Fabric
    from torch import nn

    from maskwright.core.events import OnEvent
    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Metric
    from maskwright.models import Segmenter

ROWS = 200  # rows of the history over a whole training
ESTIMATES = 5
"""A budget keeps time for what follows the steps. How much is estimated at the start and at each part but the last."""


@dataclass(frozen=True)
class TrainerInputs:
    """What one training is made of.

    Attributes:
        plan: every decision.
        segmenter: the network, on the CPU, with its first weights.
        loss: of the task, on the device; see `tasks.base.Task.loss`.
        batches: from a step on: an endless stream of images (N, C, H, W) float and targets by channel group.
        validate: a network and its step to a score, or None where there is nothing to validate on.
        metric: that the score is of.
        run: the folder to write to.
        fabric: device, precision and processes; already launched.
        loggers: get every row of the history.
        on_event: gets progress and checkpoints.
        reserve: the averaged network to the seconds of the budget to keep for what follows the steps, or None to leave
            them as they are.
    """

    plan: Plan
    segmenter: Segmenter
    loss: nn.Module
    batches: Callable[[int], AbstractContextManager[Iterator[Batch]]]
    validate: Callable[[nn.Module, int], float | None]
    metric: Metric
    run: Path
    fabric: Fabric
    loggers: list[Logger] = field(default_factory=list)
    on_event: OnEvent = lambda _event: None
    reserve: Callable[[nn.Module], float | None] = lambda _model: None


@dataclass
class Best:
    """The best validation score so far and the averaged weights that had it."""

    score: float | None = None
    step: int = 0
    stale: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


class Trainer:
    """One training, from the state in its run folder to its end.

    Attributes:
        schedule: steps, progress and clock.
        average: the averaged weights; after `fit`, the best ones.
        history: rows of `history.csv`.
    """

    def __init__(self, inputs: TrainerInputs, schedule: Schedule) -> None:
        self.inputs = inputs
        self.schedule = schedule
        self.best = Best()
        self.history: list[Row] = []
        self.ema = EMA(inputs.segmenter, inputs.plan.optim.ema)
        self.step = TrainingStep(inputs.segmenter, inputs.plan, inputs.loss, inputs.fabric)
        self.ema.model.to(device=inputs.fabric.device).to(memory_format=self.step.layout)
        self._loss: torch.Tensor | None = None
        self._marks = Marks(inputs.plan.train.validations)
        self._estimates = Marks(ESTIMATES)

    @keep_freed_memory()
    def fit(self, until: float = math.inf) -> Best:
        """Train to the last step, or until patience ends, and return the best weights found.

        Args:
            until: pause after so many seconds of steps, over all resumptions; the checkpoint goes on from there.

        Raises:
            MaskwrightError: the loss is no longer a number, or the disk takes no more.
        """
        self._restore()
        started = time.monotonic() - self.schedule.spent_seconds
        saved = time.monotonic()
        with self.inputs.batches(self.schedule.step) as batches:
            while not (self.schedule.done or self._out_of_patience() or self.schedule.spent_seconds >= until):
                self._step(next(batches))
                self.schedule.spent_seconds = time.monotonic() - started
                self._follow()
                if time.monotonic() - saved > self.inputs.plan.train.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
        self._save()
        return self.best

    def _step(self, batch: Batch) -> None:
        """Make one step, then update the averaged weights."""
        rate = self.schedule.learning_rate(self.inputs.plan.optim)
        total = self.step(batch, self.schedule.step, self.schedule.progress, rate)
        self.ema.update(self.inputs.segmenter, self.schedule.step)
        self.schedule.advance()
        self._loss = total if self._loss is None else self._loss.lerp(total, 0.05)

    def _follow(self) -> None:
        """After a step: validate, keep the history, correct the reserve and the schedule, report progress."""
        score = None
        if self._marks.passed(self.schedule.progress):
            score = self._validated()
        every = max(self.schedule.total // ROWS, 1)
        if score is not None or self.schedule.done or self.schedule.step % every == 0:
            self._note(score)
        if self._estimates.passed(self.schedule.progress) and not self.schedule.done:
            self._reserve()
        alone = self.inputs.fabric.world_size == 1
        if self.schedule.due(alone=alone):
            self.schedule.retime()
            if not alone:
                self.schedule.total = self.inputs.fabric.broadcast(self.schedule.total)

    def _reserve(self) -> None:
        """Reserve as much time as scoring the network takes now: one that finds more objects takes longer."""
        if self.schedule.budget_seconds is None:
            return
        fabric = self.inputs.fabric
        seconds = self.inputs.reserve(self.ema.model) if fabric.is_global_zero else None
        if fabric.world_size > 1:
            seconds = fabric.broadcast(seconds)
        if seconds is not None:
            self.schedule.reserve(seconds)

    def _note(self, score: float | None) -> None:
        loss = self._finite_loss()
        rate = self.schedule.step / max(self.schedule.spent_seconds, 1e-9)
        row: Row = {
            "step": self.schedule.step,
            "seconds": round(self.schedule.spent_seconds, 2),
            "loss": loss,
            "lr": self.step.optimizer.param_groups[0]["lr"],
            **self.step.norms.row(),
            f"val_{self.inputs.metric.key}": score,
        }
        for objective in self.step.objectives:
            row.update(objective.row())
        self.history.append(row)
        for logger in self.inputs.loggers:
            logger.numbers(row)
        left = (self.schedule.total - self.schedule.step) / rate
        self.inputs.on_event(Progress(self.schedule.step, self.schedule.total, left, loss, self.best.score, rate))

    def _finite_loss(self) -> float | None:
        """Return the smoothed loss, None before the first step.

        Raises:
            MaskwrightError: it is no number any more, and neither are the weights.
        """
        loss = None if self._loss is None else float(self._loss)
        if loss is not None and not math.isfinite(loss):
            raise MaskwrightError(
                f"the loss became {loss} at step {self.schedule.step}: lower the learning rate, e.g. "
                f"`optim.lr={self.inputs.plan.optim.lr / 4:g}`, or train with `train.precision=32-true`"
            )
        return loss

    def _validated(self) -> float | None:
        """Score the averaged weights, and keep them when none so far were better; without a score, keep the newest.

        Of equal scores the newer weights are kept: while a network does not find a rare class yet, all its scores are
        the same, and the first weights are the worst.

        The first process does it for all: were their scores to differ in the last bit, one might lose its patience
        while the others wait for it.
        """
        fabric = self.inputs.fabric
        score = self.inputs.validate(self.ema.model, self.schedule.step) if fabric.is_global_zero else None
        if fabric.world_size > 1:
            score = fabric.broadcast(score)
        better = score is None or self.inputs.metric.improves(score, self.best.score)
        stale = 0 if better else self.best.stale + 1
        if better or score == self.best.score:
            weights = {name: value.clone() for name, value in self.ema.model.state_dict().items()}
            self.best = Best(score, self.schedule.step, stale, weights)
        else:
            self.best.stale = stale
        return score

    def _out_of_patience(self) -> bool:
        patience = self.inputs.plan.train.patience
        return bool(patience) and self.best.stale >= patience

    def _save(self) -> None:
        """Write the checkpoint and the history; one process of several does."""
        if self.inputs.fabric.global_rank != 0:
            return
        state: dict[str, Any] = {
            "plan": checkpoint.essence(self.inputs.plan),
            "schedule": self.schedule.to_json(),
            "best": {"score": self.best.score, "step": self.best.step, "stale": self.best.stale},
            "marks": self._marks.next,
            "loss": self._finite_loss(),
            "norms": self.step.norms.save(),
            "history": self.history,
            "threads": torch.get_num_threads(),
            "precision": self.inputs.fabric.strategy.precision.state_dict(),
        }
        point = checkpoint.Checkpoint(state=state)
        point.add("model", self.inputs.segmenter.state_dict())
        point.add("ema", self.ema.model.state_dict())
        point.add("best", self.best.weights)
        point.add("optimizer", checkpoint.optimizer_tensors(self.step.optimizer.optimizer))
        for objective in self.step.objectives:
            objective.save(point)
        checkpoint.save(self.inputs.run, point, self.schedule.step)
        write_history(self.inputs.run / "history.csv", self.history)
        self.inputs.on_event(Saved(self.inputs.run, self.schedule.step))

    def _restore(self) -> None:
        """Restore the newest checkpoint, if there is one."""
        checkpoint.clear(self.inputs.run)
        point = checkpoint.load(self.inputs.run)
        if point is None:
            return
        checkpoint.check_plan(self.inputs.run, point, self.inputs.plan)
        checkpoint.restore_model(self.inputs.segmenter, point.part("model"))
        checkpoint.restore_model(self.ema.model, point.part("ema"))
        checkpoint.restore_optimizer(self.step.optimizer.optimizer, point.part("optimizer"))
        for objective in self.step.objectives:
            objective.restore(point)
        if point.state["precision"]:  # by how much 16-mixed scales the loss; the other precisions have no state
            self.inputs.fabric.strategy.precision.load_state_dict(point.state["precision"])
        for difference in checkpoint.differences(point):
            self.inputs.on_event(Note(difference))
        self.schedule = Schedule.from_json(point.state["schedule"])
        self.best = Best(**point.state["best"], weights=point.part("best"))
        self._marks.next = point.state["marks"]
        self._estimates.passed(self.schedule.progress)
        loss = point.state["loss"]
        self._loss = None if loss is None else torch.tensor(loss, device=self.inputs.fabric.device)
        # A checkpoint of an earlier version has no norms: the next row is of the steps from here on.
        self.step.norms.restore(point.state.get("norms", []), self.inputs.fabric.device)
        self.history = point.state["history"]
        for logger in self.inputs.loggers:
            logger.resumed(self.schedule.step)
