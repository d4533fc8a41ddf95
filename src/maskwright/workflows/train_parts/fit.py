"""Fit one planned training: network, batches, validation and clock handed to the loop. Judges and reports nothing."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from maskwright import losses, models
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note
from maskwright.core.resources import free_memory
from maskwright.core.seeds import generator
from maskwright.data.cache import DecodedCache
from maskwright.data.loader import Batches, Samples, Share
from maskwright.inference.predictor import Predictor
from maskwright.models.build import resolved
from maskwright.models.bundle import Card, CardClasses
from maskwright.models.lora import share_of
from maskwright.planning.rules_time import EVALUATION_SHARE
from maskwright.training import checkpoint
from maskwright.training.loop import Batch, Best, Job, Trainer
from maskwright.training.schedule import Schedule
from maskwright.training.validation import Validator
from maskwright.workflows.evaluate_parts import crf, scoring
from maskwright.workflows.runs import run_folder
from maskwright.workflows.train_parts.network import beginning, plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lightning_fabric import Fabric
    from numpy.typing import NDArray

    from maskwright.core.events import OnEvent
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.core.records import Record
    from maskwright.data.loader import Batch as Crops
    from maskwright.training.loggers import Logger
    from maskwright.workflows.runs.run_folder import Material

ENDLESS = 1 << 40
CACHE_SHARE = 0.4
"""Part of the free memory that decoded images may fill."""
REPORT_SECONDS = 3.0
"""For what is fitted on the samples, for the page, and for leaving."""


@dataclass(frozen=True)
class TrainingRun:
    """One training, ready to run."""

    run: Path
    plan: Plan
    material: Material
    fabric: Fabric
    found: Fingerprint | None
    started: float
    on_event: OnEvent

    @property
    def deadline(self) -> float | None:
        """When the whole command shall have ended, in seconds of `time.monotonic()`; None without a budget."""
        budget = self.plan.train.budget_seconds
        return None if budget is None else self.started + budget

    def part(self, split: str) -> tuple[Record, ...]:
        """Return the records of one split."""
        return tuple(record for record in self.material.dataset.records if record.split == split)


def fit(training: TrainingRun, writers: list[Logger]) -> tuple[Best, Schedule]:
    """Run the loop to its end."""
    plan, dataset = training.plan, training.material.dataset
    torch.manual_seed(int(generator(plan.seed, "weights").integers(2**62)))
    resumed = checkpoint.exists(training.run)
    segmenter, told = beginning(plan, dataset.classes.names, resumed=resumed)
    for sentence in (_network(plan, share_of(segmenter).whole, resumed=resumed), *told):
        training.on_event(Note(sentence))
    if plan.predict.output_stride is not None:
        segmenter.try_output_stride(plan.predict.output_stride)
    free = int(free_memory() * CACHE_SHARE / training.fabric.world_size)
    cache = DecodedCache(dataset, training.part("train"), plan.data, free)
    presence = [training.material.presence[record.id] for record in cache.records]
    samples = Samples(cache, presence, plan)
    fast = plan.train.precision == "bf16-mixed"
    validator = Validator(_validation_pairs(training), card(training), training.fabric.device, writers, fast=fast)
    job = Job(
        plan=plan,
        segmenter=segmenter,
        loss=losses.weighted_sum(plan.loss, len(dataset.classes)).to(training.fabric.device),
        batches=lambda step: _stream(training, samples, step),
        validate=validator,
        run=training.run,
        fabric=training.fabric,
        loggers=writers,
        on_event=training.on_event,
    )
    trainer = Trainer(job, Schedule(plan.train.steps, budget_seconds=_seconds_for_steps(training)))
    return trainer.fit(), trainer.schedule


def _network(plan: Plan, parameters: int, *, resumed: bool) -> str:
    """Say in one line which network is trained."""
    pretrained = "pretrained" if plan.model.pretrained else "from scratch"
    start = "from the checkpoint" if resumed else f"from {plan.model.weights}" if plan.model.weights else pretrained
    backbone = resolved(plan.model).backbone
    return f"model {plan.model.name} on {backbone}, {parameters / 1e6:.3g} M parameters, {start}"


@contextlib.contextmanager
def _stream(training: TrainingRun, samples: Samples, step: int) -> Iterator[Iterator[Batch]]:
    """Open the stream of batches from a step on, as normalised tensors on the device."""
    fabric, data = training.fabric, training.plan.data
    share = Share(fabric.global_rank, fabric.world_size)
    mean = torch.tensor(data.mean, device=fabric.device).reshape(1, -1, 1, 1)
    std = torch.tensor(data.std, device=fabric.device).reshape(1, -1, 1, 1)
    layout = torch.channels_last if training.plan.train.channels_last else torch.contiguous_format

    def tensors(crops: Crops) -> Batch:
        images = torch.from_numpy(crops.images).to(fabric.device).permute(0, 3, 1, 2).float()
        labels = torch.from_numpy(crops.labels).to(fabric.device).long()
        while samples.faults:
            training.on_event(Note(samples.faults.popleft()))
        return ((images - mean) / std).contiguous(memory_format=layout), labels

    with Batches(samples, step, ENDLESS, threads=training.plan.train.threads, share=share) as batches:
        yield map(tensors, batches)


def _validation_pairs(training: TrainingRun) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Decode an evenly spread part of the validation images, at the working resolution."""
    records = training.part("val")
    most = training.plan.train.validation_images
    chosen = [records[place] for place in np.linspace(0, len(records) - 1, min(most, len(records))).round().astype(int)]
    cache = DecodedCache(training.material.dataset, chosen, training.plan.data, 0)
    pairs = []
    for number in range(len(chosen)):
        try:
            pairs.append(cache.get(number))
        except MaskwrightError as error:
            training.on_event(Note(scoring.left_out(error)))
    return pairs


def _seconds_for_steps(training: TrainingRun) -> float | None:
    """Return what the budget leaves for the steps, after what has been spent and before the evaluation."""
    budget = training.plan.train.budget_seconds
    if budget is None or training.deadline is None:
        return None
    reserve = _evaluation_seconds(training, budget)
    return training.deadline - reserve - time.monotonic()


def _evaluation_seconds(training: TrainingRun, budget: float) -> float:
    """Estimate the evaluation by doing it, untrained, on two images.

    With the fit of the CRF it gets at most its share of the budget, but always enough for the fewest images judged.
    """
    records, val = training.part("test") or training.part("val"), training.part("val")
    if not records:
        return REPORT_SECONDS
    plan, dataset = training.plan, training.material.dataset
    with torch.random.fork_rng(devices=[]):
        segmenter = models.create_from_plan(plain(plan.model), len(dataset.classes), plan.data.channels)
    predictor = Predictor(segmenter, card(training), training.fabric.device)
    each = scoring.seconds_each(predictor, dataset, records, budget / 100)
    images = len(records) + min(len(val), scoring.SAMPLE_IMAGES) + 2 * scoring.EXAMPLES
    fewest = min(scoring.LEAST_IMAGES, len(records)) + min(2, len(val)) + 2
    fitting = crf_seconds(training)
    judged = max(min(each * images, EVALUATION_SHARE * budget - fitting), each * fewest)
    return judged + fitting + REPORT_SECONDS


def crf_seconds(training: TrainingRun) -> float:
    """Return what the fit of the dense CRF may take: 0 where the plan wants none, or there is nothing to fit it on."""
    wanted = training.plan.postprocess.crf is not None and training.part("val")
    return crf.seconds(training.plan.train.budget_seconds) if wanted else 0.0


def card(training: TrainingRun) -> Card:
    """Describe the model of a training."""
    plan, classes = training.plan, training.material.dataset.classes
    dtypes = sorted((training.found or run_folder.read_fingerprint(training.run)).dtypes)
    return Card(model=plan.model, classes=CardClasses.of(classes), data=plan.data, dtypes=dtypes, predict=plan.predict)
