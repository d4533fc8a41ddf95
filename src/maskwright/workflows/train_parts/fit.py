"""Fit one planned training: hand network, batches, validation and clock to the loop. Scores and reports nothing."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note
from maskwright.core.resources import CACHE_SHARE, free_memory
from maskwright.core.seeds import generator
from maskwright.core.text import plural
from maskwright.core.time_budget import REPORT_SECONDS
from maskwright.data.cache import DecodedCache
from maskwright.data.loader import Batches, ProcessShare, TrainingCrops
from maskwright.inference.predictor import Predictor
from maskwright.models.build import resolved
from maskwright.models.lora import trained_share
from maskwright.training import checkpoint
from maskwright.training.loop import Best, Trainer, TrainerInputs
from maskwright.training.measure import as_target
from maskwright.training.schedule import Schedule
from maskwright.training.validation import Validator
from maskwright.workflows.evaluate_parts import scoring
from maskwright.workflows.train_parts.network import first_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import nn

    from maskwright.core.plan import Plan
    from maskwright.core.targets import Target
    from maskwright.data.loader import CropBatch
    from maskwright.models import Segmenter
    from maskwright.training.loggers import Logger
    from maskwright.training.step import Batch
    from maskwright.workflows.train_parts.training_run import TrainingRun

ENDLESS = 1 << 40
FEW = 0.5
"""Below this share of the planned steps, it is said that a budget ended them early."""


def fit(training: TrainingRun, writers: list[Logger], planned: int | None = None) -> tuple[Best, Schedule]:
    """Run the loop to its end.

    Args:
        training: to run.
        writers: of its losses and scores.
        planned: steps that are expected of it, to say if it makes far fewer; None for those of the plan.
    """
    plan, dataset, task = training.plan, training.material.dataset, training.task
    point = checkpoint.load(training.run)
    resumed = point is not None
    if point is not None and (made := Schedule.from_json(point.state["schedule"])).done:
        training.on_event(Note(f"all {plural(made.step, 'step')} are made already: only the evaluation is left"))
    segmenter = begun(training, resumed=resumed)
    samples, reserve = crops(training), Reserve(training)
    fast = plan.train.precision == "bf16-mixed"
    inputs = TrainerInputs(
        plan=plan,
        segmenter=segmenter,
        loss=task.loss(plan, dataset.classes).to(training.fabric.device),
        batches=lambda step: stream(training, samples, step),
        validate=Validator(_validation_pairs(training), training.card(), training.fabric.device, writers, fast=fast),
        metric=task.headline,
        run=training.run,
        fabric=training.fabric,
        loggers=writers,
        on_event=training.on_event,
        reserve=reserve,
    )
    trainer = Trainer(inputs, Schedule(plan.train.steps) if resumed else schedule_of(reserve, segmenter))
    best, schedule = trainer.fit(), trainer.schedule
    planned = plan.train.steps if planned is None else planned
    if schedule.budget_seconds is not None and schedule.step < FEW * planned and schedule.done:
        training.on_event(Note(_ended_early(schedule, planned)))
    return best, schedule


def _ended_early(schedule: Schedule, planned: int) -> str:
    """Say that a budget ended a training long before the planned steps, and why."""
    made, kept = f"{schedule.spent_seconds:.0f} s with validations", f"{schedule.reserved_seconds:.0f} s"
    return (
        f"there was time for {schedule.step} of {planned} planned steps ({made}; {kept} are kept for scoring): the "
        "machine is slower than when the plan was made, or scoring takes longer than planned. Give a larger `budget`, "
        "or end other programs"
    )


def begun(training: TrainingRun, *, resumed: bool) -> Segmenter:
    """Build the initial network, and say what it is."""
    plan = training.plan
    torch.manual_seed(int(generator(plan.seed, "weights").integers(2**62)))
    segmenter, notes = first_network(plan, training.groups, training.material.dataset.classes.names, resumed=resumed)
    for sentence in (_network(plan, trained_share(segmenter).whole, resumed=resumed), *notes):
        training.on_event(Note(sentence))
    if plan.predict.output_stride is not None:
        segmenter.try_output_stride(plan.predict.output_stride)
    return segmenter


def crops(training: TrainingRun, beside: int = 1) -> TrainingCrops:
    """Return the source of training crops, where so many trainings share the memory of the machine."""
    plan, dataset, task = training.plan, training.material.dataset, training.task
    free = int(free_memory() * CACHE_SHARE / (training.fabric.world_size * beside))
    cache = DecodedCache(dataset, training.part("train"), plan.data, free, task.lesson)
    presence = [training.material.presence[record.id] for record in cache.records]
    return TrainingCrops(cache, presence, plan, lambda target: task.encode(target, dataset.classes), task.pasted)


def _network(plan: Plan, parameters: int, *, resumed: bool) -> str:
    """Say in one line which network is trained."""
    pretrained = "pretrained" if plan.model.pretrained else "from scratch"
    start = "from the checkpoint" if resumed else f"from {plan.model.weights}" if plan.model.weights else pretrained
    backbone = resolved(plan.model).backbone
    return f"model {plan.model.name} with backbone {backbone}, {parameters / 1e6:.3g} M parameters, {start}"


@contextlib.contextmanager
def stream(training: TrainingRun, samples: TrainingCrops, step: int) -> Iterator[Iterator[Batch]]:
    """Open the stream of batches, beginning at a step, as normalised tensors on the device."""
    fabric, data = training.fabric, training.plan.data
    share = ProcessShare(fabric.global_rank, fabric.world_size)
    mean = torch.tensor(data.mean, device=fabric.device).reshape(1, -1, 1, 1)
    std = torch.tensor(data.std, device=fabric.device).reshape(1, -1, 1, 1)
    layout = torch.channels_last if training.plan.train.channels_last else torch.contiguous_format

    def tensors(crops: CropBatch) -> Batch:
        images = torch.from_numpy(crops.images).to(fabric.device).permute(0, 3, 1, 2).float()
        targets = {
            name: as_target(torch.from_numpy(target).to(fabric.device)) for name, target in crops.targets.items()
        }
        while samples.faults:
            training.on_event(Note(samples.faults.popleft()))
        return ((images - mean) / std).contiguous(memory_format=layout), targets

    with Batches(samples, step, ENDLESS, threads=training.plan.train.threads, share=share) as batches:
        yield map(tensors, batches)


def _validation_pairs(training: TrainingRun) -> list[tuple[NDArray[np.uint8], Target]]:
    """Decode an evenly spread part of the validation images, at the working resolution."""
    records = training.part("val")
    most = training.plan.train.validation_images
    chosen = [records[place] for place in np.linspace(0, len(records) - 1, min(most, len(records))).round().astype(int)]
    cache = DecodedCache(training.material.dataset, chosen, training.plan.data, 0, training.task.target)
    pairs = []
    for number in range(len(chosen)):
        try:
            pairs.append(cache.get(number))
        except MaskwrightError as error:
            training.on_event(Note(scoring.left_out(error)))
    return pairs


@dataclass
class Reserve:
    """The seconds of the budget to keep for what follows the steps.

    Attributes:
        training: whose time it is.
        taken: seconds that the estimates have taken so far.
    """

    training: TrainingRun
    taken: float = 0.0

    def __call__(self, network: nn.Module) -> float | None:
        """Estimate them, or return None if the estimates have already taken too much of the time."""
        return self.estimate(network) if self.training.budget.allows_estimate(self.taken) else None

    def estimate(self, network: nn.Module) -> float:
        """Estimate them with a network as it is now."""
        started = time.monotonic()
        seconds = _evaluation_seconds(self.training, network)
        self.taken += time.monotonic() - started
        return seconds


def schedule_of(reserve: Reserve, segmenter: Segmenter) -> Schedule:
    """Return a schedule with the planned steps, and with the time that the budget has left for them."""
    steps, deadline = reserve.training.plan.train.steps, reserve.training.budget.deadline
    if deadline is None:
        return Schedule(steps)
    seconds = reserve.estimate(segmenter)
    schedule = Schedule(steps, budget_seconds=deadline - time.monotonic())
    schedule.reserve(seconds)
    return schedule


def _evaluation_seconds(training: TrainingRun, network: nn.Module) -> float:
    """Estimate the seconds of the evaluation by scoring some images with a network as it is now.

    Where scores of a quick judge are of use (`Task.rough`), matching takes most of the time. Then the last validation,
    which follows the last step, and one more such estimate before the scores are included; and if the time is too
    short to score the fewest images in full, they will be scored by a quick judge.
    """
    records, val = training.part("test") or training.part("val"), training.part("val")
    budget = training.budget.seconds
    assert budget is not None
    if not records:
        return REPORT_SECONDS
    started = time.monotonic()
    predictor = Predictor.of(cast("Segmenter", network), training.card(), training.fabric.device)
    dataset, fitting = training.material.dataset, training.fit_seconds()
    each = scoring.seconds_each(predictor, dataset, records, budget / 100)
    images = len(records) + min(len(val), scoring.FIT_IMAGES) + 2 * scoring.EXAMPLES
    fewest = min(scoring.LEAST_IMAGES, len(records)) + min(2, len(val)) + 2
    more = 0.0
    if training.task.rough:
        more = time.monotonic() - started
        quick = scoring.seconds_each(predictor, dataset, records, budget / 100, quick=True)
        more += quick * min(training.plan.train.validation_images, len(val))
        each = each if training.budget.allows_scoring(each, fewest, fitting) else quick
    return training.budget.evaluation_seconds(each, images, fewest, fitting) + more
