"""Adversarial training: a discriminator learns to tell predicted label maps from true ones, the network to fool it.

Luc, Couprie, Chintala, Verbeek 2016, "Semantic Segmentation using Adversarial Networks". With s(x) the predicted class
probabilities, y the true map and a(.) the discriminator's probability that a map is true:

    the discriminator minimises   -log a(y) - log(1 - a(s(x)))            `discriminator_loss`
    the network minimises         its own loss - weight * log a(s(x))     `adversarial_loss` times the weight

The latter is the form that they use in practice, since log(1 - a) has no slope while the discriminator wins. At chance
the two are 2 log 2 = 1.39 and log 2 = 0.69. Both move in every step: the network by the discriminator of the step
before, then the discriminator by the same maps. So that hard zeros and ones do not give the truth away, the true map is
softened by `tau` (their section 3.2, Scaling):

    y'_l = max(tau, s_l) for the true class l,   y'_c = s_c (1 - y'_l) / (1 - s_l) for the others

Where we differ: they found turns of many steps best; ignored pixels are 0 in both maps, and a verdict counts by the
labelled share of its block; images, where the discriminator sees them, are the network's own normalised input; Adam
(beta 0.5, Radford et al. 2016) trains the discriminator. Knows no clock.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from maskwright.core.channels import CLASS_GROUP
from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.seeds import generator
from maskwright.losses.reduce import global_ratio
from maskwright.models.device import autocast
from maskwright.models.discriminator import Discriminator
from maskwright.training import checkpoint
from maskwright.training.label_stride import strided
from maskwright.training.objective import by_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning_fabric import Fabric

    from maskwright.core.channels import Activation
    from maskwright.core.plan import Plan
    from maskwright.models import Segmenter
    from maskwright.training.objective import Targets

NAMES = ("adversarial_loss", "discriminator_loss")
SMOOTHING = 0.05


def create(segmenter: Segmenter, plan: Plan, fabric: Fabric) -> AdversarialObjective | None:
    """Build the discriminator that a plan asks for, None where it asks for none.

    Args:
        segmenter: whose maps it will judge.
        plan: its section `adversarial`, precision, memory format and seed.
        fabric: device and processes.

    Raises:
        MaskwrightError: the network emits no class probabilities.
    """
    return AdversarialObjective(segmenter, plan, fabric) if plan.adversarial.weight > 0 else None


class AdversarialObjective:
    """The discriminator with its optimiser: `loss` for each micro-batch, then `after_step` trains it once.

    Several processes start from the same weights, since the plan's seed draws them, and move by the mean gradient.
    """

    def __init__(self, segmenter: Segmenter, plan: Plan, fabric: Fabric) -> None:
        self.plan, self.fabric, self.groups = plan, fabric, segmenter.groups
        group = next((group for group in segmenter.groups if group.name == CLASS_GROUP), None)
        if group is None:
            raise MaskwrightError(
                f"adversarial.weight is {plan.adversarial.weight:g}, and adversarial training compares class "
                f"probabilities, which a network for {plan.task} does not output: set `adversarial.weight=0`"
            )
        self.activation = group.activation
        wanted = plan.adversarial
        layout = torch.channels_last if plan.train.channels_last else torch.contiguous_format
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator(plan.seed, "adversary").integers(2**62)))
            self.network = Discriminator(
                wanted.network, max(group.count, 2), segmenter.in_channels, wanted.width, wanted.input
            )
        self.network.to(device=fabric.device).to(memory_format=layout)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=wanted.lr, betas=(0.5, 0.999), fused=True)
        self._step: Any = fabric.setup_optimizers(self.optimizer)
        self._shown: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._losses: Tensor | None = None

    def loss(self, images: Tensor, outputs: Sequence[Tensor], targets: Targets) -> Tensor:
        """Return what the discriminator's verdict adds to the network's loss, and keep the maps for `after_step`."""
        logits = by_group(outputs[0].float(), self.groups)[CLASS_GROUP]
        labels = strided(targets[CLASS_GROUP], logits)
        mask = (labels != IGNORE).to(logits.dtype)[:, None]
        predicted = probabilities(logits, self.activation)
        truth = softened(labels.masked_fill(labels == IGNORE, 0), predicted.detach(), self.plan.adversarial.tau)
        small = F.interpolate(images, size=labels.shape[1:], mode="area") if self.network.looks else images[:, :0]
        # The verdict's gradient passes through the discriminator and leaves none there.
        self.network.requires_grad_(requires_grad=False)
        loss = verdict_loss(self._verdicts(predicted * mask, small), mask, true=True)
        self._shown.append((truth * mask, predicted.detach() * mask, small, mask))
        return self.plan.adversarial.weight * loss

    def after_step(self, pace: float) -> None:
        """Train the discriminator once, on all maps since it was last trained.

        Args:
            pace: learning rate as a share of the highest one.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.adversarial.lr * pace
        self.network.requires_grad_(requires_grad=True)
        count = sum(len(truth) for truth, *_ in self._shown)
        losses = torch.zeros(2, device=self.fabric.device)
        for truth, predicted, images, mask in self._shown:
            share = len(truth) / count
            on_truth, on_predicted = self._verdicts(torch.cat([truth, predicted]), torch.cat([images, images])).chunk(2)
            loss = verdict_loss(on_truth, mask, true=True) + verdict_loss(on_predicted, mask, true=False)
            self.fabric.backward(loss * share)
            with torch.no_grad():
                losses += share * torch.stack([verdict_loss(on_predicted, mask, true=True), loss])
        losses = self._synchronise(losses)
        self._step.step()
        self._step.zero_grad()
        self._shown.clear()
        self._losses = losses if self._losses is None else self._losses.lerp(losses, SMOOTHING)

    def row(self) -> dict[str, float | None]:
        """Return both losses, smoothed; nothing before the first step.

        Raises:
            MaskwrightError: one is not finite any more.
        """
        if self._losses is None:
            return {}
        values = dict(zip(NAMES, self._losses.tolist(), strict=True))
        for name, value in values.items():
            if not math.isfinite(value):
                raise MaskwrightError(
                    f"adversarial training: {name} became {value}: lower the discriminator's learning rate, e.g. "
                    f"`adversarial.lr={self.plan.adversarial.lr / 4:g}`"
                )
        return dict(values)

    def save(self, point: checkpoint.Checkpoint) -> None:
        """Put weights, optimiser and losses into a checkpoint."""
        point.add("discriminator", self.network.state_dict())
        point.add("discriminator_optimizer", checkpoint.optimizer_tensors(self.optimizer))
        point.state["discriminator"] = list(self.row().values())

    def restore(self, point: checkpoint.Checkpoint) -> None:
        """Take back what `save` put in."""
        checkpoint.restore_model(self.network, point.part("discriminator"))
        checkpoint.restore_optimizer(self.optimizer, point.part("discriminator_optimizer"))
        losses = point.state["discriminator"]
        self._losses = torch.tensor(losses, device=self.fabric.device) if losses else None

    def _verdicts(self, labels: Tensor, images: Tensor) -> Tensor:
        with autocast(self.fabric.device, self.plan.train.precision):
            verdicts: Tensor = self.network(labels, images)
        return verdicts.float()

    def _synchronise(self, losses: Tensor) -> Tensor:
        """Give every process the mean gradient of all, as data parallelism gives the network its own.

        Returns:
            The mean losses, so that all processes see alike when one of them is no number any more.
        """
        if self.fabric.world_size == 1:
            return losses
        for weight in self.network.parameters():
            assert weight.grad is not None
            mean: Any = self.fabric.all_reduce(weight.grad, reduce_op="mean")
            weight.grad = mean
        return cast("Tensor", self.fabric.all_reduce(losses, reduce_op="mean"))


def probabilities(logits: Tensor, activation: Activation) -> Tensor:
    """Return the class probabilities (N, K, h, w) of logits; of a sigmoid those of label 0 and label 1."""
    if activation == "softmax":
        return logits.softmax(1)
    return torch.cat([-logits, logits], 1).sigmoid()


def softened(labels: Tensor, predicted: Tensor, tau: float) -> Tensor:
    """Return the true map (N, K, h, w): `tau` or more for the true class, the rest shared out as in the prediction.

    Args:
        labels: (N, h, w), classes.
        predicted: (N, K, h, w), probabilities.
        tau: least probability of the true class; 1 for zeros and ones.
    """
    chosen = labels[:, None]
    right = predicted.gather(1, chosen)
    wanted = right.clamp_min(tau)
    rest = (1 - wanted) / (1 - right).clamp_min(torch.finfo(right.dtype).eps)
    return (predicted * rest).scatter(1, chosen, wanted)


def verdict_loss(verdicts: Tensor, mask: Tensor, *, true: bool) -> Tensor:
    """Return the mean of -log a, or where the maps are not `true` of -log(1 - a), over all processes.

    Args:
        verdicts: (N, 1, h, w), logits of a.
        mask: (N, 1, H, W), 1 for a labelled pixel and 0 for an ignored one; a verdict counts by their share.
        true: what the verdicts should say.
    """
    share = F.adaptive_avg_pool2d(mask, (verdicts.shape[2], verdicts.shape[3]))
    losses = F.softplus(-verdicts if true else verdicts)
    return global_ratio((losses * share).sum(), share.sum())
