"""Distillation: a network learns from the maps of a trained one, its teacher, beside the labels.

Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2. With logits z of the network, v
of the teacher and temperature T, each pixel adds

    T^2 * KL( softmax(v / T) || softmax(z / T) )

and a channel that is a probability of its own (sigmoid) adds the same divergence of two classes. T^2 keeps the size of
the gradients when T changes (their section 2.1). Channels without an activation (depths, offsets) are measured values:
their term is the mean absolute difference.

Where we differ: unlabelled pixels count as well, all at the stride of the network's own maps. Knows no clock.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models import bundle
from maskwright.models.catalog import find_model
from maskwright.models.device import autocast
from maskwright.models.layers.blocks import height_width, resize
from maskwright.training.objective import by_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning_fabric import Fabric

    from maskwright.core.channels import Activation
    from maskwright.core.plan import DataPlan, Plan
    from maskwright.models import Segmenter
    from maskwright.training.checkpoint import Checkpoint
    from maskwright.training.objective import Targets


def create(segmenter: Segmenter, plan: Plan, fabric: Fabric) -> DistillationObjective | None:
    """Load the teacher that a plan names, None where it names none.

    Args:
        segmenter: that shall learn; its channels must be those of the teacher.
        plan: its sections `distill` and `data`, and its precision.
        fabric: device.

    Raises:
        MaskwrightError: no such model, or one for other images or channels; a network that does not learn maps.
    """
    if plan.distill.teacher is None:
        return None
    if find_model(plan.model.name).learns != "maps":
        raise MaskwrightError(
            f"distill.teacher needs maps to compare, and {plan.model.name} does not learn maps: leave it out, or "
            "choose another model.name, such as swiftnet",
            "distill.teacher",
        )
    teacher, card = bundle.load(Path(plan.distill.teacher))
    _check(plan, teacher, segmenter, card.data)
    return DistillationObjective(teacher, plan, fabric)


def _check(plan: Plan, teacher: Segmenter, segmenter: Segmenter, data: DataPlan) -> None:
    """Refuse a teacher that would see other pixels than it was trained on, or says other things.

    Raises:
        MaskwrightError: such a teacher.
    """
    place, key = plan.distill.teacher, "distill.teacher"
    if teacher.groups != segmenter.groups:
        theirs, ours = (", ".join(f"{each.name} ({each.count})" for each in net.groups) for net in (teacher, segmenter))
        raise MaskwrightError(
            f"the teacher {place} emits {theirs}, and the network {ours}: name a model of the same task and classes",
            key,
        )
    for name in type(data).model_fields:
        theirs, ours = getattr(data, name), getattr(plan.data, name)
        if theirs != ours:
            raise MaskwrightError(
                f"the teacher {place} takes images with data.{name}={theirs}, and the plan has {ours}: set the "
                "teacher's value, as `maskwright compress` does",
                key,
            )


class DistillationObjective:
    """What the maps of a teacher add to the loss; the teacher itself does not change."""

    def __init__(self, teacher: Segmenter, plan: Plan, fabric: Fabric) -> None:
        self.plan, self.fabric = plan, fabric
        layout = torch.channels_last if plan.train.channels_last else torch.contiguous_format
        self.teacher = teacher.to(fabric.device).to(memory_format=layout).eval().requires_grad_(requires_grad=False)
        self._last: Tensor | None = None

    def loss(self, images: Tensor, outputs: Sequence[Tensor], _targets: Targets) -> Tensor:
        """Compare the maps with the teacher's, at the size that they have."""
        with torch.no_grad(), autocast(self.fabric.device, self.plan.train.precision):
            wanted = self.teacher(images, upsample=False).float()
        maps = outputs[0].float()
        wanted = resize(wanted, height_width(maps))
        groups, wish = self.teacher.groups, self.plan.distill
        theirs, ours = by_group(wanted, groups), by_group(maps, groups)
        total = maps.new_zeros(())
        for group in groups:
            total = total + divergence(theirs[group.name], ours[group.name], group.activation, wish.temperature)
        self._last = total.detach()
        return wish.weight * total

    def after_step(self, pace: float) -> None:
        """Do nothing: the teacher does not learn."""

    def row(self) -> dict[str, float | None]:
        """Return the last divergence, without its weight."""
        return {} if self._last is None else {"distillation_loss": float(self._last)}

    def save(self, point: Checkpoint) -> None:
        """Save nothing: the plan names the teacher."""

    def restore(self, point: Checkpoint) -> None:
        """Restore nothing."""


def divergence(wanted: Tensor, maps: Tensor, activation: Activation, temperature: float) -> Tensor:
    """Return how far raw maps are from those of a teacher, a scalar: the mean over pixels.

    Args:
        wanted: of the teacher, (N, C, h, w).
        maps: of the network, of the same shape.
        activation: of the channels.
        temperature: that both are divided by before a softmax or sigmoid.
    """
    if activation == "none":
        return F.l1_loss(maps, wanted)
    if activation == "sigmoid":
        theirs = F.logsigmoid(torch.stack([wanted, -wanted]) / temperature)
        ours = F.logsigmoid(torch.stack([maps, -maps]) / temperature)
        each = (theirs.exp() * (theirs - ours)).sum(dim=0)
    else:
        theirs = F.log_softmax(wanted / temperature, dim=1)
        ours = F.log_softmax(maps / temperature, dim=1)
        each = (theirs.exp() * (theirs - ours)).sum(dim=1)
    return temperature**2 * each.mean()
