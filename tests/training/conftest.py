"""A tiny network with a loss and batches: enough for the loop to show whether it does what it says."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from maskwright.core.channels import class_channels
from maskwright.core.plan import LoraPlan, ModelPlan, OptimPlan, Plan, TrainPlan
from maskwright.metrics.label_metrics import LABEL_METRICS
from maskwright.models import lora
from maskwright.training.loop import Trainer, TrainerInputs
from maskwright.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lightning_fabric.plugins import Precision

    from maskwright.core.events import Event
    from maskwright.metrics.scores import Metric
    from maskwright.training.loggers import Logger
    from maskwright.training.step import Batch


@pytest.fixture(autouse=True)
def _quiet(one_thread: None) -> None:
    """One thread for all: other numbers of them round otherwise."""


class Tiny(nn.Module):
    """Two convolutions in the shape of a segmenter: stride 2 inside, two classes, one auxiliary head."""

    native_stride = 2
    groups = class_channels(2)
    in_channels = 3

    def __init__(self, dropout: float = 0.0, *, norm: bool = False) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6) if norm else nn.Identity(), nn.ReLU()
        )
        self.decoder = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Conv2d(6, 2, 1))
        self.aux = nn.ModuleList([nn.Conv2d(6, 2, 1)])

    def forward(self, x: Tensor, *, with_aux: bool = False, upsample: bool = True) -> Any:
        features = self.backbone(x)
        outputs = [self.head(torch.relu(self.decoder(features))), self.aux[0](features)]
        if upsample:
            outputs = [nn.functional.interpolate(output, size=x.shape[2:], mode="bilinear") for output in outputs]
        return tuple(outputs) if with_aux else outputs[0]

    def set_progress(self, progress: float) -> None:
        self.progress = progress

    def set_gradient_checkpointing(self, enable: bool) -> None:
        assert not enable


def batch_of(step: int, size: int = 8) -> Batch:
    """Pixels whose brightness says their class: a pure function of the step, as the loop wants it."""
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 2, (size, 8, 8), generator=random)
    images = torch.randn((size, 3, 8, 8), generator=random) + 2.0 * labels[:, None]
    return images, {"classes": labels}


class OnClasses(nn.Module):
    """A loss of logits and labels as one of maps and targets, which is what the loop wants."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        return self.loss(maps["classes"], targets["classes"])


@contextlib.contextmanager
def stream(step: int) -> Iterator[Iterator[Batch]]:
    def endless() -> Iterator[Batch]:
        number = step
        while True:
            yield batch_of(number)
            number += 1

    yield endless()


@dataclass
class Bench:
    """Builds trainers in one run folder, and keeps what they report."""

    run: Path
    events: list[Event] = field(default_factory=list)
    loggers: list[Logger] = field(default_factory=list)
    batches: Any = stream
    loss: nn.Module = field(default_factory=nn.CrossEntropyLoss)
    metric: Metric = LABEL_METRICS[0]
    precision: Callable[[], Precision | None] = lambda: None

    def plan(
        self, optim: dict[str, Any] | None = None, model: dict[str, Any] | None = None, rank: int = 0, **train: Any
    ) -> Plan:
        return Plan(
            lora=LoraPlan(rank=rank),
            optim=OptimPlan(**{"name": "adamw", "lr": 0.02, "warmup": 0.1, **(optim or {})}),
            train=TrainPlan(**{"steps": 12, "validations": 3, "checkpoint_seconds": 1e9, **train}),
            model=ModelPlan(**(model or {})),
        )

    def trainer(
        self,
        plan: Plan,
        validate: Callable[[nn.Module, int], float | None] = lambda _model, step: step / 100,
        reserve: Callable[[nn.Module], float | None] = lambda _model: None,
        *,
        norm: bool = False,
    ) -> Trainer:
        torch.manual_seed(0)
        network = Tiny(plan.model.dropout, norm=norm)
        lora.adapt(network, plan.lora)  # type: ignore[arg-type]
        inputs = TrainerInputs(
            plan=plan,
            segmenter=network,  # type: ignore[arg-type]
            loss=OnClasses(self.loss),
            batches=self.batches,
            validate=validate,
            metric=self.metric,
            run=self.run,
            fabric=Fabric(accelerator="cpu", devices=1, plugins=self.precision()),
            loggers=self.loggers,
            on_event=self.events.append,
            reserve=reserve,
        )
        return Trainer(inputs, Schedule(plan.train.steps, budget_seconds=plan.train.budget_seconds))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "run")
