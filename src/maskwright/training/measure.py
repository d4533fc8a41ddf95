"""Measure the cost of a training step on this machine by running a few. Decides nothing."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from maskwright import models
from maskwright.core.allocator import keep_freed_memory
from maskwright.core.targets import Target
from maskwright.models import lora
from maskwright.planning.cost import StepCost
from maskwright.tasks import emitted, planned_task
from maskwright.training.ema import EMA
from maskwright.training.processes import alone
from maskwright.training.step import TrainingStep

if TYPE_CHECKING:
    from torch import Tensor

    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan
    from maskwright.training.step import Batch

TIMED = 2
LONGEST = 1.5
"""No further step is timed once the timed steps have taken this many seconds, without building and warm-up."""
MOST_PIXELS = {"cpu": 1 << 20, "mps": 1 << 21, "cuda": 1 << 23}
"""Most pixels of a timed step. The cost of a larger step is extrapolated, so that the measurement cannot run out of
memory."""


@keep_freed_memory()
def step_cost(plan: Plan, classes: Classes, device: torch.device) -> StepCost:
    """Time a few real steps of the planned network on random pixels: one for warm-up and at most `TIMED` more.

    Memory is treated as in the loop (`core.allocator`): otherwise the heap grows during the first three or four steps,
    and the two timed steps take a fifth longer than later ones.

    Args:
        plan: everything that a step depends on: task, network, crop, batch, objectives, optimiser, precision, memory
            format,
            gradient checkpointing.
        classes: of the data set.
        device: to run on.
    """
    begun = time.perf_counter()
    passes: list[float] = []
    updates: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bench = _Bench(plan, classes, device)
        activations = bench.activations()
        clock, computing = time.perf_counter(), time.process_time()
        while len(passes) < TIMED and (not passes or time.perf_counter() - clock < LONGEST):
            one_pass, update = bench.timed()
            passes.append(one_pass)
            updates.append(update)
    count = bench.pixels
    clock, computing = time.perf_counter() - clock, time.process_time() - computing
    # If other programs use the cores, threads wait for one, and the clock runs while they do not compute.
    busy = max(clock * torch.get_num_threads() / computing, 1.0) if device.type == "cpu" and computing > 0 else 1.0
    spent = time.perf_counter() - begun
    # The minimum, not the mean: other programs and first calls can only make a step longer.
    return StepCost(min(passes) / count, min(updates), activations / count, spent, busy=busy)


class _Bench:
    """The planned step on random pixels and targets."""

    def __init__(self, plan: Plan, classes: Classes, device: torch.device) -> None:
        task = planned_task(plan)
        fabric = alone(device, plan.train.precision)
        segmenter = models.create_from_plan(plan.model.plain(), emitted(plan, classes), plan.data.channels)
        lora.adapt(segmenter, plan.lora)
        self.ema = EMA(segmenter, plan.optim.ema)
        self.step = TrainingStep(segmenter, plan, task.loss(plan, classes).to(device), fabric)
        self.ema.model.to(device=device).to(memory_format=self.step.layout)
        # As at the end of the training: a backbone that is frozen for a while only makes steps shorter.
        self.step.begin(0 if plan.optim.freeze == "backbone" else math.inf, 1.0, plan.optim.lr)
        size = sample_size(plan, MOST_PIXELS[device.type])
        self.batch = _random_batch(plan, classes, size)
        images, targets = self.batch
        self.batch = (
            images.to(device).to(memory_format=self.step.layout),
            {name: target.to(device) for name, target in targets.items()},
        )
        self.pixels = math.prod(size)

    def activations(self) -> int:
        """Run one step for warm-up, and return the most bytes that the forward pass of an objective keeps."""
        kept: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = self.step.loss(*self.batch)
        self.step.fabric.backward(loss)
        own = sum(kept.values())
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            self._objectives()
        self.step.update()
        return max(own, sum(kept.values()))

    def timed(self) -> tuple[float, float]:
        """Return the seconds of the passes of all objectives, and of the optimiser with the averaged weights."""
        times = [self._now()]
        self.step.fabric.backward(self.step.loss(*self.batch))
        self._objectives()
        times.append(self._now())
        self.step.update()
        self.ema.update(self.step.segmenter, step=1)
        times.append(self._now())
        return times[1] - times[0], times[2] - times[1]

    def _objectives(self) -> None:
        for objective in self.step.objectives:
            objective.after_step(1.0)

    def _now(self) -> float:
        device = self.step.fabric.device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()


def _random_batch(plan: Plan, classes: Classes, size: tuple[int, int, int]) -> Batch:
    """Draw random images and targets; the task encodes the targets as it encodes real ones."""
    task = planned_task(plan)
    count, height, width = size
    rng = np.random.default_rng(0)
    encoded = []
    for _ in range(count):
        labels = rng.integers(0, len(classes), (height, width)).astype(np.uint8)
        values = rng.normal(size=(task.planes, height, width)).astype(np.float32) if task.planes else None
        vectors = rng.normal(size=(2, height, width)).astype(np.float32) if task.vectors else None
        encoded.append(task.encode(Target(labels, values, vectors=vectors), classes))
    targets = {name: torch.from_numpy(np.stack([one[name] for one in encoded])) for name in encoded[0]}
    images = torch.randn(count, plan.data.channels, height, width)
    return images, {name: as_target(target) for name, target in targets.items()}


def as_target(target: Tensor) -> Tensor:
    """Return an encoded target in the type that losses expect: integers as int64, floats unchanged."""
    return target if target.is_floating_point() else target.long()


def sample_size(plan: Plan, most: int) -> tuple[int, int, int]:
    """Return (count, height, width) of a micro-batch of the plan, reduced to about `most` pixels at most."""
    height, width = plan.sampling.crop_size
    if height * width > most:
        shrink = math.sqrt(most / (height * width))
        return 1, max(round(height * shrink / 32), 1) * 32, max(round(width * shrink / 32), 1) * 32
    crops = math.ceil(plan.sampling.batch / plan.optim.accumulate)
    return max(min(crops, most // (height * width)), 1), height, width
