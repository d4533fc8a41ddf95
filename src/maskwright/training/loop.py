"""The training loop: batch in, weights moved, scored now and then, saved all the while.

It knows no data format and no network: it is handed a segmenter, a stream of batches and a function that scores.
Killed at any moment it goes on from its last checkpoint to bit-identical weights (same machine, same threads), since
every batch is a pure function of (seed, step), every step seeds its own randomness, and all other state is saved.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress, Saved
from maskwright.core.seeds import generator
from maskwright.models.freezing import Freezer
from maskwright.training import adversarial, checkpoint, optimizers
from maskwright.training.ema import EMA
from maskwright.training.label_stride import strided
from maskwright.training.loggers import Logger, Row, write_history
from maskwright.training.schedule import Marks, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lightning_fabric import Fabric
    from torch import nn

    from maskwright.core.events import OnEvent
    from maskwright.core.plan import Plan
    from maskwright.models import Segmenter

Batch = tuple[torch.Tensor, torch.Tensor]
ROWS = 200  # rows of the history over a whole training


@dataclass(frozen=True)
class Job:
    """What one training is made of.

    Attributes:
        plan: every decision.
        segmenter: the network, on the CPU, with its first weights.
        loss: logits (N, K, H, W) and labels (N, H, W) to a scalar.
        batches: from a step on: an endless stream of images (N, C, H, W) float and labels (N, H, W) int64.
        validate: a network and its step to a score, 0..1, or None where there is nothing to validate on.
        run: the folder to write to.
        fabric: device, precision and processes; already launched.
        loggers: told every row of the history.
        on_event: told progress and checkpoints.
    """

    plan: Plan
    segmenter: Segmenter
    loss: nn.Module
    batches: Callable[[int], AbstractContextManager[Iterator[Batch]]]
    validate: Callable[[nn.Module, int], float | None]
    run: Path
    fabric: Fabric
    loggers: list[Logger] = field(default_factory=list)
    on_event: OnEvent = lambda _event: None


@dataclass
class Best:
    """The best validation score so far and the averaged weights that had it."""

    score: float = -1.0
    step: int = 0
    stale: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


class Trainer:
    """One training, from wherever its run folder says it stands, to its end.

    Attributes:
        schedule: steps, progress and clock.
        average: the averaged weights; after `fit`, the best ones.
        history: rows of `history.csv`.
    """

    def __init__(self, job: Job, schedule: Schedule) -> None:
        self.job = job
        self.schedule = schedule
        self.best = Best()
        self.history: list[Row] = []
        self.ema = EMA(job.segmenter, job.plan.optim.ema)
        self._layout = torch.channels_last if job.plan.train.channels_last else torch.contiguous_format
        network = job.segmenter.to(memory_format=self._layout)
        network.set_gradient_checkpointing(job.plan.train.gradient_checkpointing)
        optimizer = optimizers.create(network, job.plan)
        self._freezer = Freezer(network, job.plan.optim.freeze)
        self._freezer.at(0)
        self.model, self.optimizer = job.fabric.setup(network, optimizer)
        self.adversary = adversarial.create(job.segmenter, job.plan, job.fabric.device, job.fabric)
        self.ema.model.to(device=job.fabric.device).to(memory_format=self._layout)
        self._loss: torch.Tensor | None = None
        self._marks = Marks(job.plan.train.validations)

    def fit(self) -> Best:
        """Train to the last step, or until patience ends, and return the best weights found.

        Raises:
            MaskwrightError: the loss is no longer a number, or the disk takes no more.
        """
        self._restore()
        started = time.monotonic() - self.schedule.spent_seconds
        saved = time.monotonic()
        with self.job.batches(self.schedule.step) as batches:
            while not self.schedule.done and not self._out_of_patience():
                self._step(next(batches))
                self.schedule.spent_seconds = time.monotonic() - started
                self._follow()
                if time.monotonic() - saved > self.job.plan.train.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
        self._save()
        return self.best

    def _step(self, batch: Batch) -> None:
        """Move the weights once, over `accumulate` micro-batches."""
        plan = self.job.plan
        torch.manual_seed(
            int(generator(plan.seed, "step", self.schedule.step, self.job.fabric.global_rank).integers(2**62))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(plan.optim) * group["factor"]
        self._set_modes()
        self.job.segmenter.follow(self.schedule.progress)
        # As many on every process, however many crops it has: each part is one exchange between them.
        parts = max(min(plan.optim.accumulate, plan.sampling.batch // self.job.fabric.world_size), 1)
        total = torch.zeros((), device=self.job.fabric.device)
        for part, (images, labels) in enumerate(zip(*(half.tensor_split(parts) for half in batch), strict=True)):
            with self.job.fabric.no_backward_sync(self.model, enabled=part < parts - 1):
                loss = self._scored(images, labels) * (len(images) / len(batch[0]))
                self.job.fabric.backward(loss)
            total += loss.detach()
        if plan.optim.clip:
            self.job.fabric.clip_gradients(
                self.model, self.optimizer, max_norm=plan.optim.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.adversary is not None:
            self.adversary.learn(self.schedule.learning_rate(plan.optim) / plan.optim.lr)
        self.ema.update(self.job.segmenter, self.schedule.step)
        self.schedule.advance()
        self._loss = total if self._loss is None else self._loss.lerp(total, 0.05)

    def _set_modes(self) -> None:
        """Put into training mode what the coming step trains, and into evaluation mode what it leaves alone."""
        if self._freezer.at(self.schedule.step) and self.job.fabric.world_size > 1:
            del self.model  # What exchanges gradients between processes knows but the weights that it was made with.
            self.model = self.job.fabric.setup_module(self.job.segmenter)
        self.model.train()
        self._freezer.rest()

    def _scored(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of one micro-batch, auxiliary heads included."""
        main, *others = self.model(images, with_aux=True, upsample=self.job.plan.loss.full_size)
        loss: torch.Tensor = self.job.loss(main.float(), strided(labels, main))
        if self.adversary is not None:
            loss = loss + self.adversary.challenge(images, main.float(), strided(labels, main))
        for other in others:
            weight = self.job.plan.loss.auxiliary / len(others)
            loss = loss + weight * self.job.loss(other.float(), strided(labels, other))
        return loss

    def _follow(self) -> None:
        """After a step: validate, keep the history, correct the schedule, tell who watches."""
        score = None
        if self._marks.passed(self.schedule.progress):
            score = self._validated()
        every = max(self.schedule.total // ROWS, 1)
        if score is not None or self.schedule.done or self.schedule.step % every == 0:
            self._note(score)
        alone = self.job.fabric.world_size == 1
        if self.schedule.due(alone=alone):
            self.schedule.retime()
            if not alone:
                self.schedule.total = self.job.fabric.broadcast(self.schedule.total)

    def _note(self, score: float | None) -> None:
        loss = self._finite_loss()
        rate = self.schedule.step / max(self.schedule.spent_seconds, 1e-9)
        row: Row = {
            "step": self.schedule.step,
            "seconds": round(self.schedule.spent_seconds, 2),
            "loss": loss,
            "lr": self.optimizer.param_groups[0]["lr"],
            "val_iou": score,
            **(self.adversary.row() if self.adversary is not None else {}),
        }
        self.history.append(row)
        for logger in self.job.loggers:
            logger.numbers(row)
        best = self.best.score if self.best.score >= 0 else None
        left = (self.schedule.total - self.schedule.step) / rate
        self.job.on_event(Progress(self.schedule.step, self.schedule.total, left, loss, best, rate))

    def _finite_loss(self) -> float | None:
        """Return the smoothed loss, None before the first step.

        Raises:
            MaskwrightError: it is no number any more, and neither are the weights.
        """
        loss = None if self._loss is None else float(self._loss)
        if loss is not None and not math.isfinite(loss):
            raise MaskwrightError(
                f"the loss became {loss} at step {self.schedule.step}: lower the learning rate, e.g. "
                f"--set optim.lr={self.job.plan.optim.lr / 4:g}, or train in --set train.precision=32-true"
            )
        return loss

    def _validated(self) -> float | None:
        """Score the averaged weights, and keep them when they are the best so far (the newest, without a score).

        The first process does it for all: were their scores to differ in the last bit, one might lose its patience
        while the others wait for it.
        """
        fabric = self.job.fabric
        score = self.job.validate(self.ema.model, self.schedule.step) if fabric.is_global_zero else None
        if fabric.world_size > 1:
            score = fabric.broadcast(score)
        # Whoever scores may have changed the memory format, and averages round differently in another one.
        self.ema.model.to(memory_format=self._layout)
        if score is None or score > self.best.score:
            weights = {name: value.clone() for name, value in self.ema.model.state_dict().items()}
            self.best = Best(-1.0 if score is None else score, self.schedule.step, 0, weights)
        else:
            self.best.stale += 1
        return score

    def _out_of_patience(self) -> bool:
        patience = self.job.plan.train.patience
        return bool(patience) and self.best.stale >= patience

    def _save(self) -> None:
        """Write the checkpoint and the history; one process of several does."""
        if self.job.fabric.global_rank != 0:
            return
        state: dict[str, Any] = {
            "plan": checkpoint.essence(self.job.plan),
            "schedule": self.schedule.to_json(),
            "best": {"score": self.best.score, "step": self.best.step, "stale": self.best.stale},
            "marks": self._marks.next,
            "loss": self._finite_loss(),
            "history": self.history,
            "threads": torch.get_num_threads(),
            "precision": self.job.fabric.strategy.precision.state_dict(),
        }
        point = checkpoint.Checkpoint(state=state)
        point.add("model", self.job.segmenter.state_dict())
        point.add("average", self.ema.model.state_dict())
        point.add("best", self.best.weights)
        point.add("optimizer", checkpoint.optimizer_tensors(self.optimizer.optimizer))
        if self.adversary is not None:
            self.adversary.save(point)
        checkpoint.save(self.job.run, point, self.schedule.step)
        write_history(self.job.run / "history.csv", self.history)
        self.job.on_event(Saved(self.job.run, self.schedule.step))

    def _restore(self) -> None:
        """Go back to where the newest checkpoint stands, if there is one."""
        checkpoint.clear(self.job.run)
        point = checkpoint.load(self.job.run)
        if point is None:
            return
        checkpoint.check_plan(self.job.run, point, self.job.plan)
        checkpoint.restore_model(self.job.segmenter, point.part("model"))
        checkpoint.restore_model(self.ema.model, point.part("average"))
        checkpoint.restore_optimizer(self.optimizer.optimizer, point.part("optimizer"))
        if self.adversary is not None:
            self.adversary.restore(point)
        if point.state["precision"]:  # by how much 16-mixed scales the loss; the other precisions have no state
            self.job.fabric.strategy.precision.load_state_dict(point.state["precision"])
        for difference in checkpoint.differences(point):
            self.job.on_event(Note(difference))
        self.schedule = Schedule.from_json(point.state["schedule"])
        self.best = Best(**point.state["best"], weights=point.part("best"))
        self._marks.next = point.state["marks"]
        loss = point.state["loss"]
        self._loss = None if loss is None else torch.tensor(loss, device=self.job.fabric.device)
        self.history = point.state["history"]
        for logger in self.job.loggers:
            logger.resumed(self.schedule.step)
