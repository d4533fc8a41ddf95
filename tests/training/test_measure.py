"""What a step costs is measured by making some: of the planned network, batch, objectives and optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from maskwright.core.classes import Classes
from maskwright.core.plan import Plan
from maskwright.core.plan_file import overridden
from maskwright.tasks import find_task
from maskwright.training import measure, objectives
from maskwright.training.measure import as_target, sample_size, step_cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from maskwright.planning.cost import StepCost

SMALL = ("sampling.crop=[64,64]", "sampling.batch=2", "model.options={widths: [8, 8, 8, 8], width: 8}")


@pytest.fixture(autouse=True)
def _quiet(one_thread: None) -> None:
    """One thread for all."""


def plan_of(*settings: str) -> Plan:
    return overridden(Plan(), [*SMALL, *settings])


def classes(count: int) -> Classes:
    return Classes.named([f"class-{index}" for index in range(count)])


def cost_of(plan: Plan) -> StepCost:
    return step_cost(plan, classes(3), torch.device("cpu"))


@pytest.mark.parametrize("crop", ["[32,32]", "[30,50]"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_real_step_costs_something(crop: str, precision: str) -> None:
    plan = plan_of(f"sampling.crop={crop}", f"train.precision={precision}")
    larger = overridden(plan, ["sampling.batch=8"])
    small, large = (cost_of(entry) for entry in (plan, larger))
    assert min(small.pixel_seconds, small.update_seconds, small.spent_seconds) > 0
    # Activations grow with the batch; the weights, which are saved for the backward pass too, do not.
    assert 1.5 < large.activation_bytes(larger) / small.activation_bytes(plan) <= 4.01


def test_recomputing_keeps_less_and_heads_keep_more() -> None:
    plain = overridden(
        Plan(), ["sampling.crop=[64,64]", "sampling.batch=2", "model.name=fcn", "model.backbone=compact"]
    )

    def kept(*settings: str) -> float:
        return cost_of(overridden(plain, list(settings))).pixel_bytes

    assert kept("train.gradient_checkpointing=true") < 0.8 * kept()


@pytest.mark.parametrize(("freeze", "trained"), [("backbone", False), ("until-step=2000", True), ("none", True)])
def test_a_step_is_measured_as_the_last_ones_will_be(
    freeze: str, trained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def timed(bench: Any) -> tuple[float, float]:
        seen.append(any(weight.requires_grad for weight in bench.step.segmenter.backbone.parameters()))
        return 1.0, 1.0

    monkeypatch.setattr(measure._Bench, "timed", timed)
    cost = cost_of(plan_of(f"optim.freeze={freeze}", "sampling.crop=[32,32]", "sampling.batch=1"))
    assert seen == [trained] * measure.TIMED
    assert (cost.pixel_seconds, cost.update_seconds) == (1 / 32**2, 1.0)


class Greedy:
    """An objective that keeps much, and says when it is asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.weight = torch.ones(1, requires_grad=True)

    def loss(self, images: Tensor, outputs: Sequence[Tensor], targets: dict[str, Tensor]) -> Tensor:
        assert len(images) == len(outputs[0]) == len(targets["classes"])
        self.calls.append("loss")
        return outputs[0].square().mean()

    def after_step(self, pace: float) -> None:
        assert pace == 1.0
        self.calls.append("after_step")
        kept = (torch.ones(1 << 22) * self.weight).square().sum()
        kept.backward()


def test_every_objective_counts_in_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of("adversarial.weight=0.1")
    alone = cost_of(plan_of())
    assert cost_of(plan).activation_bytes(plan) > alone.activation_bytes(plan)
    greedy = Greedy()
    monkeypatch.setitem(objectives.OBJECTIVES, "adversarial", lambda _segmenter, _plan, _fabric: greedy)
    opposed = cost_of(plan)
    assert greedy.calls[:2] == ["loss", "after_step"]
    assert greedy.calls == greedy.calls[:2] * (len(greedy.calls) // 2)
    assert 2 <= len(greedy.calls) // 2 <= 1 + measure.TIMED
    assert opposed.activation_bytes(plan) >= 4 << 22 > alone.activation_bytes(plan)


def test_the_averaged_weights_count_in_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[int] = []
    monkeypatch.setattr(measure.EMA, "update", lambda _self, _model, step: updates.append(step))
    cost_of(plan_of())
    assert 1 <= len(updates) <= measure.TIMED, "one for each step that is timed"


def test_the_network_of_the_task_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single class is a network of one channel, whose targets are 1 where the class is."""
    seen: list[tuple[tuple[int, ...], list[int]]] = []

    class Looking(torch.nn.Module):
        def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
            assert targets["classes"].dtype == torch.int64
            seen.append((tuple(maps["classes"].shape), targets["classes"].unique().tolist()))
            return maps["classes"].square().mean()

    monkeypatch.setattr(type(find_task("semantic")), "loss", lambda _self, _plan, _classes: Looking())
    plan = plan_of("loss.full_size=true", "sampling.crop=[64,64]")
    for count, labels in ((1, [1]), (3, [0, 1, 2])):
        seen.clear()
        step_cost(plan, classes(count), torch.device("cpu"))
        assert seen
        assert set(map(str, seen)) == {str(((2, count, 64, 64), labels))}


def test_lora_is_measured_with_its_frozen_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def timed(bench: Any) -> tuple[float, float]:
        seen.append(sum(weight.numel() for weight in bench.step.segmenter.parameters() if weight.requires_grad))
        return 1.0, 1.0

    monkeypatch.setattr(measure._Bench, "timed", timed)
    for rank in (0, 2):
        cost_of(plan_of(f"lora.rank={rank}"))
    assert 0 < seen[-1] < seen[0]


def test_other_programs_do_not_slow_the_plan_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this process computes in one of six seconds, a step takes six times as long as on an idle machine."""
    clock, computing = iter(range(0, 300, 3)), iter(range(100))
    monkeypatch.setattr(measure._Bench, "timed", lambda _bench: (6.0, 3.0))
    monkeypatch.setattr(measure._Bench, "activations", lambda _bench: 0)
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(measure.time, "process_time", lambda: float(next(computing)))
    plan = plan_of()
    cost = cost_of(plan)
    assert cost.busy == pytest.approx(6.0)
    assert cost.undisturbed().seconds(plan) == pytest.approx(9.0 / 6.0)


def test_targets_are_what_losses_take() -> None:
    labels, values = torch.zeros(1, 2, 2, dtype=torch.uint8), torch.zeros(1, 1, 2, 2)
    assert as_target(labels).dtype == torch.int64
    assert as_target(values) is values


def test_measuring_leaves_torchs_randomness_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    cost_of(plan_of("sampling.crop=[32,32]", "sampling.batch=1"))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ([], (8, 256, 256)),
        (["optim.accumulate=3"], (3, 256, 256)),
        (["sampling.batch=100"], (16, 256, 256)),
        (["sampling.crop=[2048,2048]"], (1, 1024, 1024)),
    ],
)
def test_what_is_measured_is_never_huge(settings: list[str], size: tuple[int, int, int]) -> None:
    assert sample_size(overridden(Plan(), settings), 1 << 20) == size
