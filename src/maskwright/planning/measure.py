"""Measure what a training step costs on this machine: seconds and bytes. Decides nothing."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from maskwright import losses, models

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.core.plan import Plan

    MakeOptimizer = Callable[[models.Segmenter, Plan], torch.optim.Optimizer]

WARM_UP = 2
TIMED = 3
DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class StepCost:
    """What one training step costs.

    Attributes:
        seconds: median of a few steps.
        activation_bytes: kept for the backward pass.
    """

    seconds: float
    activation_bytes: int


def step_cost(plan: Plan, classes: int, device: str, make_optimizer: MakeOptimizer) -> StepCost:
    """Time a few real steps of the planned network on random pixels.

    Args:
        plan: its model, crop, batch, loss, precision and memory format are taken.
        classes: K.
        device: `cpu`, `cuda` or `mps`.
        make_optimizer: builds the planned optimiser for a network.
    """
    torch.manual_seed(0)
    layout = torch.channels_last if plan.train.channels_last else torch.contiguous_format
    segmenter = models.create_from_plan(
        plan.model.model_copy(update={"pretrained": False, "weights": None}), classes, plan.data.channels
    )
    network = segmenter.to(device).to(memory_format=layout).train()
    loss_of = losses.weighted_sum(plan.loss, classes).to(device)
    optimizer = make_optimizer(network, plan)
    height, width = plan.sampling.crop
    images = torch.randn(plan.sampling.batch, plan.data.channels, height, width, device=device).to(memory_format=layout)
    seconds: list[float] = []
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    for step in range(WARM_UP + TIMED):
        started = time.perf_counter()
        watched = torch.autograd.graph.saved_tensors_hooks(count if step == 0 else _same, _same)
        with watched, torch.autocast(device, DTYPES[plan.train.precision], enabled=plan.train.precision != "32-true"):
            logits = network(images, upsample=False)
        labels = torch.randint(0, classes, (len(logits), *logits.shape[2:]), device=device)
        loss = loss_of(logits.float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return StepCost(statistics.median(seconds[WARM_UP:]), sum(kept.values()))


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
