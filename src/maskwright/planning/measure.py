"""Measure what a training step costs on this machine: seconds and bytes. Decides nothing."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch

from maskwright import losses, models
from maskwright.core.allocator import keep_freed_memory
from maskwright.models import lora
from maskwright.models.device import autocast
from maskwright.models.freezing import Freezer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from maskwright.core.plan import Plan

    MakeOptimizer = Callable[[models.Segmenter, Plan], torch.optim.Optimizer]
    MakeOpponent = Callable[[models.Segmenter, Plan, str], "Opponent | None"]

TIMED = 2
LONGEST = 1.5
"""Seconds of timed steps after which no further one is timed; building and warming up do not count."""
MOST_PIXELS = {"cpu": 1 << 20, "mps": 1 << 21, "cuda": 1 << 23}
"""Of one timed step: what a larger one costs is reckoned from it, so that no plan fills the memory just to find out."""


class Opponent(Protocol):
    """What adversarial training adds to a step."""

    def challenge(self, images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Return what it adds to the loss."""

    def learn(self) -> None:
        """Move once."""


@dataclass(frozen=True)
class StepCost:
    """What training costs with one network, precision and optimiser.

    Attributes:
        pixel_seconds: forward and backward, an opponent's whole step included, a training pixel.
        update_seconds: of the optimiser, a step.
        pixel_bytes: of activations kept for the backward pass, a pixel of a micro-batch.
        spent_seconds: that the measuring took.
        busy: how many times longer a step took than it kept our threads computing; 1 on an idle machine.
    """

    pixel_seconds: float
    update_seconds: float
    pixel_bytes: float
    spent_seconds: float = 0.0
    busy: float = 1.0

    def undisturbed(self) -> StepCost:
        """Return the cost on an idle machine: what a passing load must not decide is decided by this."""
        quiet = (self.pixel_seconds / self.busy, self.update_seconds / self.busy)
        return replace(self, pixel_seconds=quiet[0], update_seconds=quiet[1], busy=1.0)

    def seconds(self, plan: Plan) -> float:
        """Return the seconds of one step of `plan`."""
        return pixels(plan) * self.pixel_seconds + self.update_seconds

    def activation_bytes(self, plan: Plan) -> float:
        """Return the bytes that one micro-batch of `plan` keeps: `optim.accumulate` splits the batch."""
        return pixels(plan) * self.pixel_bytes / min(plan.optim.accumulate, plan.sampling.batch)


def pixels(plan: Plan) -> int:
    """Return the training pixels of one step."""
    return plan.sampling.batch * math.prod(plan.sampling.crop)


@keep_freed_memory()
def step_cost(
    plan: Plan,
    classes: int,
    device: str,
    make_optimizer: MakeOptimizer,
    make_opponent: MakeOpponent = lambda _segmenter, _plan, _device: None,
) -> StepCost:
    """Time a few real steps of the planned network on random pixels: one to warm up and at most `TIMED` more.

    Memory is treated as in the loop (`core.allocator`): otherwise the heap grows over the first three or four steps,
    and the two that are timed take a fifth longer than later ones.

    Args:
        plan: all that a step is made of: network, crop, batch, loss with auxiliary heads, optimiser, precision,
            memory format, gradient checkpointing.
        classes: K.
        device: `cpu`, `cuda`, `cuda:1` or `mps`.
        make_optimizer: builds the planned optimiser for a network.
        make_opponent: builds the planned opponent of adversarial training, where there is to be one.
    """
    begun = time.perf_counter()
    passes: list[float] = []
    updates: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bench = _Bench(plan, classes, device, make_optimizer)
        bench.opponent = make_opponent(bench.segmenter, plan, device)
        activations = bench.activations()
        clock, computing = time.perf_counter(), time.process_time()
        while len(passes) < TIMED and (not passes or time.perf_counter() - clock < LONGEST):
            one_pass, update = bench.step()
            passes.append(one_pass)
            updates.append(update)
    count = bench.images.shape[0] * bench.images.shape[2] * bench.images.shape[3]
    clock, computing = time.perf_counter() - clock, time.process_time() - computing
    # Beside other programs the threads wait for a core, and the clock runs on while they do not compute.
    busy = max(clock * torch.get_num_threads() / computing, 1.0) if device == "cpu" and computing > 0 else 1.0
    spent = time.perf_counter() - begun
    # The least, not the mean: other programs and first calls only ever add to what a step takes.
    return StepCost(min(passes) / count, min(updates), activations / count, spent, busy)


class _Bench:
    """A network, random pixels and labels, and the steps that are timed on them."""

    def __init__(self, plan: Plan, classes: int, device: str, make_optimizer: MakeOptimizer) -> None:
        self.plan, self.classes, self.device = plan, classes, device
        layout = torch.channels_last if plan.train.channels_last else torch.contiguous_format
        plain = plan.model.model_copy(update={"pretrained": False, "weights": None})
        self.segmenter = segmenter = models.create_from_plan(plain, classes, plan.data.channels)
        self.opponent: Opponent | None = None
        lora.adapt(segmenter, plan.lora)
        segmenter.set_gradient_checkpointing(plan.train.gradient_checkpointing)
        self.network: nn.Module = segmenter.to(device).to(memory_format=layout).train()
        self.loss = losses.weighted_sum(plan.loss, classes).to(device)
        self.optimizer = make_optimizer(segmenter, plan)
        freezer = Freezer(segmenter, plan.optim.freeze)
        # As it will be in the end: what is frozen for a while only gains time. How many steps there are, is not known.
        freezer.at(0 if plan.optim.freeze == "backbone" else math.inf)
        freezer.rest()
        count, height, width = sample_size(plan, MOST_PIXELS[torch.device(device).type])
        self.images = torch.randn(count, plan.data.channels, height, width, device=device).to(memory_format=layout)

    def activations(self) -> int:
        """Make one step to warm up, and return the bytes that its forward pass keeps, or its opponent's if more."""
        kept: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = self._forward()
        loss.backward()
        own = sum(kept.values())
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            self._oppose()
        self._update()
        return max(own, sum(kept.values()))

    def step(self) -> tuple[float, float]:
        """Return the seconds of forward and backward, both networks', and of the optimiser."""
        times = [self._now()]
        self._forward().backward()
        self._oppose()
        times.append(self._now())
        self._update()
        times.append(self._now())
        return times[1] - times[0], times[2] - times[1]

    def _forward(self) -> Tensor:
        """Return the loss as the training loop reckons it, with auxiliary heads."""
        with autocast(self.images.device, self.plan.train.precision):
            main, *others = self.network(self.images, with_aux=True, upsample=self.plan.loss.full_size)
        labels = torch.randint(0, max(self.classes, 2), (len(main), *main.shape[2:]), device=main.device)
        total: Tensor = self.loss(main.float(), labels)
        if self.opponent is not None:
            total = total + self.opponent.challenge(self.images, main.float(), labels)
        for other in others:
            total = total + self.plan.loss.auxiliary / len(others) * self.loss(other.float(), labels)
        return total

    def _oppose(self) -> None:
        if self.opponent is not None:
            self.opponent.learn()

    def _update(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _now(self) -> float:
        if self.images.device.type == "cuda":
            torch.cuda.synchronize(self.images.device)
        return time.perf_counter()


def sample_size(plan: Plan, most: int) -> tuple[int, int, int]:
    """Return (count, height, width) of a micro-batch of the plan, cut down to at most about `most` pixels."""
    height, width = plan.sampling.crop
    if height * width > most:
        shrink = math.sqrt(most / (height * width))
        return 1, max(round(height * shrink / 32), 1) * 32, max(round(width * shrink / 32), 1) * 32
    crops = math.ceil(plan.sampling.batch / plan.optim.accumulate)
    return max(min(crops, most // (height * width)), 1), height, width
