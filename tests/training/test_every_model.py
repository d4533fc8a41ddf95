"""Every architecture of the catalog, killed in the middle and resumed, ends in the same bits as one left alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning_fabric import Fabric
from tests.models.smallest import smallest
from tests.training.conftest import OnClasses
from torch import nn

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.plan import EdgesPlan, ModelPlan, OptimPlan, Plan, TrainPlan
from maskwright.metrics.label_metrics import LABEL_METRICS
from maskwright.tasks import WITH_EDGES
from maskwright.training.loop import Trainer, TrainerInputs
from maskwright.training.objective import Supervised
from maskwright.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maskwright.training.step import Batch

STEPS = 4
SIZE = 32


class Killed(BaseException):
    """As sudden as SIGKILL, as far as the loop can tell: nothing catches it."""


@contextlib.contextmanager
def stream(step: int) -> Iterator[Iterator[Batch]]:
    def endless() -> Iterator[Batch]:
        for number in range(step, 1000):
            random = torch.Generator().manual_seed(number)
            labels = torch.randint(0, 2, (2, SIZE, SIZE), generator=random)
            yield torch.randn((2, 3, SIZE, SIZE), generator=random) + labels[:, None], {"classes": labels}

    yield endless()


def trainer(run: Path, name: str, killed_at: int | None = None) -> Trainer:
    def validate(_model: nn.Module, step: int) -> float:
        if step == killed_at:
            raise Killed
        return step / 100

    torch.manual_seed(0)
    plan = Plan(
        optim=OptimPlan(lr=0.01, ema=0.9),
        train=TrainPlan(steps=STEPS, validations=2, checkpoint_seconds=1e-9),
        model=ModelPlan(name=name, dropout=0.3),
    )
    inputs = TrainerInputs(
        plan=plan,
        segmenter=models.create(name, 2, 3, dropout=0.3, **smallest(name)),
        loss=OnClasses(nn.CrossEntropyLoss()),
        batches=stream,
        validate=validate,
        metric=LABEL_METRICS[0],
        run=run,
        fabric=Fabric(accelerator="cpu", devices=1),
    )
    return Trainer(inputs, Schedule(STEPS, budget_seconds=None))


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_killed_and_resumed_it_ends_in_the_same_bits(tmp_path: Path, name: str) -> None:
    whole = trainer(tmp_path / "whole", name)
    best = whole.fit()
    with pytest.raises(Killed):
        trainer(tmp_path / "killed", name, killed_at=2).fit()
    again = trainer(tmp_path / "killed", name)
    end = again.fit()
    for one, two in [(weights(whole), weights(again)), (best.weights, end.weights)]:
        assert one.keys() == two.keys()
        different = [key for key in one if not torch.equal(one[key], two[key])]
        assert different == []


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_it_learns_edges_beside_its_classes(name: str) -> None:
    plan, classes = Plan(edges=EdgesPlan(weight=1)), Classes.named(["ground", "thing"])
    task = WITH_EDGES["semantic"]
    torch.manual_seed(0)
    network = models.create(name, task.channels(classes), 3, **smallest(name)).train()
    objective = Supervised(task.loss(plan, classes), task.channels(classes), plan.loss.auxiliary)
    images, labels = torch.randn(2, 3, 96, 96), torch.zeros(2, 96, 96, dtype=torch.uint8)
    labels[:, :, 64:] = 1
    targets = {"classes": labels}
    outputs = objective.outputs(network, images, targets)
    for output in outputs:
        output.retain_grad()
    objective.loss(images, outputs, targets).backward()
    for output in outputs:
        assert output.shape[1] == 3
        assert torch.isfinite(output.grad).all()
        assert output.grad[:, 2].any(), "the edges are compared, at the stride of this output"


def weights(one: Trainer) -> dict[str, Any]:
    return one.inputs.segmenter.state_dict()
