"""One trial of a search: it trains at a constant rate from where it was, and a copy whose rate falls to zero is scored.

The trial's own folder keeps the checkpoint that it goes on from, and for each rung the model that was scored with its
scores.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.files import write_text
from maskwright.inference.engine import TorchEngine
from maskwright.inference.predictor import Predictor
from maskwright.metrics.scores import Scores
from maskwright.models import bundle
from maskwright.training import checkpoint
from maskwright.training.loop import Trainer, TrainerInputs
from maskwright.training.schedule import Schedule
from maskwright.workflows.evaluate_parts import scoring
from maskwright.workflows.train_parts.fit import begun, crops, stream
from maskwright.workflows.train_parts.network import last_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.core.plan import Plan
    from maskwright.core.records import Record
    from maskwright.data.loader import TrainingCrops
    from maskwright.training.loop import Best
    from maskwright.tuning.rungs import Rung
    from maskwright.workflows.train_parts.training_run import TrainingRun

COOLED = "cooled"
WINDOW = 5
"""The weights of a cooled copy are averaged over this part of its steps, at most."""


class Room(NamedTuple):
    """What a trial has of a machine that trains several.

    Attributes:
        threads: of PyTorch, and at most as many that read crops.
        beside: trials that share the memory, this one included.
    """

    threads: int
    beside: int


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        folder: of it.
        training: of the search, with the plan of the trial.
        room: that it has on its machine; None for all of it.
    """

    folder: Path
    training: TrainingRun
    room: Room | None = None

    def model(self, rung: int) -> Path:
        """Return the file of the model that was scored at a rung."""
        return self.folder / f"rung-{rung}.safetensors"

    def train(self, rung: Rung, number: int) -> int:
        """Train up to a rung, cool a copy down and save it; return the steps made without those of the copy.

        Raises:
            MaskwrightError: the loss is no longer a number, or the disk takes no more.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        samples = crops(self.training, 1 if self.room is None else self.room.beside)
        plan = self.training.plan
        point = checkpoint.load(self.folder)
        schedule = Schedule(plan.train.steps, budget_seconds=plan.train.budget_seconds)
        trainer = self._trainer(plan, self.folder, samples, schedule, resumed=point is not None)
        trainer.fit(until=rung.seconds)
        best = self._cooled(trainer.schedule, rung, samples)
        segmenter, _ = last_network(plan, self.training.groups, best.weights, best.step)
        bundle.save(self.model(number), segmenter, self.training.card())
        return trainer.schedule.step

    def _cooled(self, made: Schedule, rung: Rung, samples: TrainingCrops) -> Best:
        """Let the rate of a copy fall to zero, and return its weights."""
        branch = self.folder / COOLED
        shutil.rmtree(branch, ignore_errors=True)
        steps = max(round(rung.cooldown_seconds * made.step / max(made.spent_seconds, 1e-9)), 1)
        plan = self.training.plan
        ema = min(plan.optim.ema, max(1.0 - WINDOW / steps, 0.0))
        plan = plan.model_copy(update={"optim": plan.optim.model_copy(update={"ema": ema})})
        point = checkpoint.load(self.folder)
        assert point is not None
        schedule = Schedule(
            made.step + steps,
            step=made.step,
            progress=1.0 - plan.optim.cooldown,
            budget_seconds=made.spent_seconds + rung.cooldown_seconds,
            spent_seconds=made.spent_seconds,
            marks=[(made.step, made.spent_seconds)],
        )
        point.state |= {"plan": checkpoint.essence(plan), "schedule": schedule.to_json(), "marks": 1}
        checkpoint.save(branch, point, made.step)
        best = self._trainer(plan, branch, samples, schedule, resumed=True).fit()
        shutil.rmtree(branch, ignore_errors=True)
        return best

    def _trainer(
        self, plan: Plan, folder: Path, samples: TrainingCrops, schedule: Schedule, *, resumed: bool
    ) -> Trainer:
        training = replace(self.training, plan=plan, on_event=lambda _event: None)
        inputs = TrainerInputs(
            plan=plan,
            segmenter=begun(training, resumed=resumed),
            loss=training.task.loss(plan, training.material.dataset.classes).to(training.fabric.device),
            batches=lambda step: stream(training, samples, step),
            validate=lambda _model, _step: None,
            metric=training.task.headline,
            run=folder,
            fabric=training.fabric,
        )
        return Trainer(inputs, schedule)

    def _fed(self) -> TrainingRun:
        """Return the training with as many threads to read crops as there is room for; the crops are the same."""
        plan = self.training.plan
        threads = plan.train.threads if self.room is None else min(plan.train.threads, self.room.threads)
        train = plan.train.model_copy(update={"threads": threads})
        return replace(self.training, plan=plan.model_copy(update={"train": train}))

    def fitted(self, rung: int, records: Sequence[Record]) -> None:
        """Fit the decoding of the model of a rung on some images, and keep it in the model's file."""
        predictor = self._predictor(rung)
        dataset = self.training.material.dataset
        limit = time.monotonic() + self.training.budget.fit_seconds(self.training.task.fit_seconds)
        found = scoring.fit(predictor, dataset, records, fit_deadline=limit)
        segmenter, card = bundle.load(self.model(rung))
        card.decoding = found.decoding
        bundle.save(self.model(rung), segmenter, card)

    def scored(self, rung: int, records: Sequence[Record], name: str, deadline: float | None = None) -> Scores:
        """Score the model of a rung on some images, and keep the scores under a name.

        Raises:
            MaskwrightError: no image can be read.
        """
        quick = bool(self.training.task.rough)  # where exact scores of objects take longer than predicting them
        dataset = self.training.material.dataset
        scores = scoring.score(self._predictor(rung), dataset, records, deadline=deadline, quick=quick)
        write_text(self.folder / f"rung-{rung}-{name}.json", json.dumps(scores.to_json()) + "\n")
        return scores

    def stored(self, rung: int, name: str) -> Scores:
        """Return the scores that `scored` kept."""
        path = self.folder / f"rung-{rung}-{name}.json"
        return Scores.from_json(json.loads(path.read_text(encoding="utf-8")))

    def _predictor(self, rung: int) -> Predictor:
        segmenter, card = bundle.load(self.model(rung))
        return Predictor(TorchEngine(segmenter, card, self.training.fabric.device), card)


def go_on(trial: Trial, plan: Plan, run: Path, seconds: float, reserved: float) -> None:
    """Write the checkpoint from which a training by `plan` in `run` goes on from where a trial is.

    Args:
        trial: that goes on.
        plan: of the training, with the network and the optimiser of the trial's.
        run: folder of the training.
        seconds: that it has for its steps and for what follows them, from now on.
        reserved: of these, for what follows.
    """
    point = checkpoint.load(trial.folder)
    assert point is not None
    made = Schedule.from_json(point.state["schedule"])
    left = max(seconds - reserved, 1.0)
    each = made.spent_seconds / max(made.step, 1)
    progress = made.spent_seconds / (made.spent_seconds + left)
    schedule = Schedule(
        made.step + max(round(left / each), 1),
        step=made.step,
        progress=progress,
        budget_seconds=made.spent_seconds + left,
        reserved_seconds=reserved,
        spent_seconds=made.spent_seconds,
        marks=[(made.step, made.spent_seconds)],
    )
    nothing = {"score": None, "step": 0, "stale": 0}
    point.state |= {
        "plan": checkpoint.essence(plan),
        "schedule": schedule.to_json(),
        "best": nothing,
        "marks": int(progress * plan.train.validations + 1e-9) + 1,
    }
    checkpoint.save(run, point, made.step)
