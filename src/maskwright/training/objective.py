"""What a training minimises: the task's loss, and whatever a feature adds to it. Knows no optimiser of the network.

An objective is one file with a `create` and one line in `OBJECTIVES` (`training.objectives`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from maskwright.core.channels import places
from maskwright.models.catalog import find_model
from maskwright.training.label_stride import strided

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from maskwright.core.channels import Channels
    from maskwright.core.plan import Plan
    from maskwright.training.checkpoint import Checkpoint

Targets = dict[str, "Tensor"]


class Objective(Protocol):
    """A term of the loss, with the state that it needs."""

    def loss(self, images: Tensor, outputs: Sequence[Tensor], targets: Targets) -> Tensor:
        """Return a scalar to minimise.

        Args:
            images: (N, C, H, W), as the network received them.
            outputs: of the network: raw maps (N, K, h, w), followed by those of the auxiliary heads.
            targets: group -> (N, H, W) or (N, C, H, W), at the size of the images.
        """

    def after_step(self, pace: float) -> None:
        """Do whatever must follow a step of the network; `pace` is the learning rate as a share of the highest one."""

    def row(self) -> dict[str, float | None]:
        """Return numbers for the history.

        Raises:
            MaskwrightError: one of them is no longer finite.
        """

    def save(self, point: Checkpoint) -> None:
        """Put the state into a checkpoint."""

    def restore(self, point: Checkpoint) -> None:
        """Restore the state that `save` stored."""


class Supervised:
    """The task's loss on the network's output, plus `auxiliary` times its mean over the auxiliary heads."""

    def __init__(
        self, loss: nn.Module, groups: Sequence[Channels], auxiliary: float, *, full_size: bool = False
    ) -> None:
        self._loss, self._groups, self._auxiliary, self._full_size = loss, groups, auxiliary, full_size

    def outputs(self, model: nn.Module, images: Tensor, _targets: Targets) -> Any:
        """Run the network: raw maps, followed by those of the auxiliary heads."""
        return model(images, with_aux=True, upsample=self._full_size)

    def begin(self, seed: int) -> None:
        """Take the seed of the next step, the same in every process."""

    def loss(self, _images: Tensor, outputs: Any, targets: Targets) -> Tensor:
        """Compare every output with the targets at its own stride."""
        main, *others = outputs
        loss = self._compared(main, targets)
        for other in others:
            loss = loss + self._auxiliary / len(others) * self._compared(other, targets)
        return loss

    def after_step(self, pace: float) -> None:
        """Do nothing."""

    def row(self) -> dict[str, float | None]:
        """Return nothing: the loop keeps the loss."""
        return {}

    def save(self, point: Checkpoint) -> None:
        """Save nothing."""

    def restore(self, point: Checkpoint) -> None:
        """Restore nothing."""

    def _compared(self, output: Tensor, targets: Targets) -> Tensor:
        coarse = {name: strided(target, output) for name, target in targets.items()}
        loss: Tensor = self._loss(by_group(output.float(), self._groups), coarse)
        return loss


class SupervisedRegions(Supervised):
    """The task's loss on boxes drawn from those that the network proposes, by the truth.

    The loss has `sampling(targets, seed)`, with a method `choose` for the network, and takes outputs and sampling; see
    `tasks.instance_regions`.
    """

    _seed = 0

    def begin(self, seed: int) -> None:
        """Take the seed of the next step."""
        self._seed = seed

    def outputs(self, model: nn.Module, images: Tensor, targets: Targets) -> Any:
        """Run the network on the boxes drawn: its raw outputs, and what is wanted of them."""
        sampling = cast("Any", self._loss).sampling(targets, self._seed)
        return model(images, choose=sampling.choose), sampling

    def loss(self, _images: Tensor, outputs: Any, _targets: Targets) -> Tensor:
        """Compare the outputs."""
        loss: Tensor = self._loss(*outputs)
        return loss


class SupervisedQueries(SupervisedRegions):
    """The task's loss on queries, which it matches with the truth and compares at points drawn by the seed."""

    def outputs(self, model: nn.Module, images: Tensor, _targets: Targets) -> Any:
        """Run the network: the queries of each of its layers."""
        return model(images, matched=True)

    def loss(self, _images: Tensor, outputs: Any, targets: Targets) -> Tensor:
        """Match and compare the queries."""
        loss: Tensor = self._loss(outputs, targets, self._seed)
        return loss


KINDS = {"maps": Supervised, "regions": SupervisedRegions, "queries": SupervisedQueries}
"""What a training of the network compares -> the objective."""


def supervised(loss: nn.Module, groups: Sequence[Channels], plan: Plan) -> Supervised:
    """Return the objective that suits the planned network."""
    kind = KINDS[find_model(plan.model.name).learns]
    return kind(loss, groups, plan.loss.auxiliary, full_size=plan.loss.full_size)


def by_group(maps: Tensor, groups: Sequence[Channels]) -> Mapping[str, Tensor]:
    """Divide maps (N, C, h, w) into their groups; a single group is the whole, without a copy."""
    if len(groups) == 1:
        return {groups[0].name: maps}
    return {name: maps[:, place] for name, place in places(groups).items()}
