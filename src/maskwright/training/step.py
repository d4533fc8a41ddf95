"""One training step: forward, losses, backward, clipping, optimiser. The loop and the measurement both run it.

Every step seeds torch's randomness by its number, so a resumed training draws the same numbers as an uninterrupted one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.core.seeds import generator
from maskwright.models.freezing import Freezer
from maskwright.training import objectives, optimizers
from maskwright.training.norms import GradientNorms
from maskwright.training.objective import Objective, supervised

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import Tensor, nn

    from maskwright.core.plan import Plan
    from maskwright.models import Segmenter
    from maskwright.training.objective import Targets

Batch = tuple["Tensor", "Targets"]


class TrainingStep:
    """A network with its optimiser and objectives, ready to train.

    Args:
        segmenter: on the CPU, with its initial weights; it is moved to the device and trained in place.
        plan: memory format, optimiser, freezing, clipping, accumulation.
        loss: the loss of the task; see `tasks.base.Task.loss`.
        fabric: device, precision and processes; already launched.

    Attributes:
        objectives: the supervised loss first.
        layout: memory format of weights and images.
        norms: of the gradients, for the history.
    """

    def __init__(self, segmenter: Segmenter, plan: Plan, loss: nn.Module, fabric: Fabric) -> None:
        self.segmenter, self.plan, self.fabric = segmenter, plan, fabric
        self.layout = torch.channels_last if plan.train.channels_last else torch.contiguous_format
        network = segmenter.to(memory_format=self.layout)
        network.set_gradient_checkpointing(plan.train.gradient_checkpointing)
        optimizer = optimizers.create(network, plan)
        self._freezer = Freezer(network, plan.optim.freeze)
        self._freezer.at(0)
        self.model, self.optimizer = fabric.setup(network, optimizer)
        self._supervised = supervised(loss, segmenter.groups, plan)
        self.norms = GradientNorms(plan.optim.clip)
        self.objectives: list[Objective] = [self._supervised, *objectives.create(segmenter, plan, fabric)]

    def __call__(self, batch: Batch, step: int, progress: float, rate: float) -> Tensor:
        """Update the weights once, with gradients from `accumulate` micro-batches.

        Args:
            batch: images (N, C, H, W) and targets, on the device.
            step: its number, 0-based.
            progress: share of the training done, 0..1.
            rate: learning rate.

        Returns:
            The loss, a scalar without gradient.
        """
        self.begin(step, progress, rate)
        total = torch.zeros((), device=self.fabric.device)
        images, targets = batch
        # The same number on every process, however many crops it has: processes synchronise once per part.
        accumulate, alike = self.plan.optim.accumulate, self.plan.sampling.batch // self.fabric.world_size
        count = max(min(accumulate, alike), 1)
        parts = {name: target.tensor_split(count) for name, target in targets.items()}
        for part, some in enumerate(images.tensor_split(count)):
            with self.fabric.no_backward_sync(self.model, enabled=part < count - 1):
                loss = self.loss(some, {name: split[part] for name, split in parts.items()})
                loss = loss * (len(some) / len(images))
                self.fabric.backward(loss)
            total += loss.detach()
        self.update()
        for objective in self.objectives:
            objective.after_step(rate / self.plan.optim.lr)
        return total

    def begin(self, step: float, progress: float, rate: float) -> None:
        """Seed the step, and set learning rates and modes; an infinite step is one after all freezing has ended."""
        if step < float("inf"):
            seed = generator(self.plan.seed, "step", int(step), self.fabric.global_rank).integers(2**62)
            torch.manual_seed(int(seed))
            self._supervised.begin(int(generator(self.plan.seed, "boxes", int(step)).integers(2**62)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        if self._freezer.at(step) and self.fabric.world_size > 1:
            del self.model  # the wrapper exchanges gradients only of the weights that were trainable when it was made
            self.model = self.fabric.setup_module(self.segmenter)
        self.model.train()
        self._freezer.rest()
        self.segmenter.set_progress(progress)

    def loss(self, images: Tensor, targets: Targets) -> Tensor:
        """Return the sum of all objectives on one micro-batch."""
        outputs = self._supervised.outputs(self.model, images, targets)
        first, *others = (objective.loss(images, outputs, targets) for objective in self.objectives)
        for other in others:
            first = first + other
        return first

    def update(self) -> None:
        """Clip the gradients, keep their norm and update the weights."""
        # Without clipping, an infinite limit leaves finite gradients as they are, and still returns their norm.
        norm = self.fabric.clip_gradients(
            self.model, self.optimizer, max_norm=self.plan.optim.clip or float("inf"), error_if_nonfinite=False
        )
        assert norm is not None
        self.norms.add(norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
