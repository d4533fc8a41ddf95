"""One step by itself: what it seeds, sets, splits and leaves behind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning_fabric import Fabric
from tests.training.conftest import OnClasses, Tiny, batch_of
from torch import Tensor, nn

from maskwright.core.plan import ModelPlan, OptimPlan, Plan
from maskwright.training.processes import alone
from maskwright.training.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable


def plan_of(seed: int = 0, accumulate: int = 1, **optim: Any) -> Plan:
    settings = {"name": "sgd", "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0, "clip": 0.0, **optim}
    return Plan(seed=seed, optim=OptimPlan(accumulate=accumulate, **settings), model=ModelPlan())


def step_of(plan: Plan, dropout: float = 0.0, loss: nn.Module | None = None, *, norm: bool = False) -> TrainingStep:
    torch.manual_seed(0)
    network: Any = Tiny(dropout, norm=norm)
    return TrainingStep(network, plan, loss or OnClasses(nn.CrossEntropyLoss()), alone(torch.device("cpu"), "32-true"))


def weights(step: TrainingStep) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in step.segmenter.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_it_moves_every_weight_against_its_gradient_and_leaves_none() -> None:
    step = step_of(plan_of())
    before = {name: value.detach().clone() for name, value in step.segmenter.named_parameters()}
    step.begin(0, 0.0, 0.1)
    expected = step.loss(*batch_of(0))
    gradients = torch.autograd.grad(expected, list(step.segmenter.parameters()))
    total = step(batch_of(0), 0, 0.0, 0.1)
    assert not total.requires_grad
    torch.testing.assert_close(total, expected.detach())
    for (name, value), gradient in zip(step.segmenter.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(value.detach(), before[name] - 0.1 * gradient, rtol=1e-5, atol=1e-7)
        assert value.grad is None
    assert any(not torch.equal(value, before[name]) for name, value in step.segmenter.named_parameters())


def test_the_rate_is_that_of_the_call_times_the_factor_of_the_group() -> None:
    step = step_of(plan_of(backbone_lr=0.25))
    step(batch_of(0), 0, 0.0, 0.03)
    assert {group["lr"] for group in step.optimizer.param_groups} == {0.03, 0.0075}
    still = weights(step)
    step(batch_of(1), 1, 0.0, 0.0)
    assert same(still, weights(step)), "a rate of 0 moves nothing"


def moved(number: int, seed: int = 0, rank: int | None = None) -> dict[str, Tensor]:
    step = step_of(plan_of(seed), dropout=0.5)
    with pytest.MonkeyPatch.context() as patch:
        if rank is not None:
            patch.setattr(Fabric, "global_rank", rank)
        step(batch_of(0), number, 0.0, 0.1)
    return weights(step)


def test_chance_depends_on_seed_step_and_process_and_on_nothing_else() -> None:
    torch.rand(7)
    first = moved(3)
    torch.rand(5)
    assert same(first, moved(3))
    assert same(first, moved(3, rank=0))
    assert not same(first, moved(4))
    assert not same(first, moved(3, seed=1))
    assert not same(first, moved(3, rank=1)), "two processes must not drop the same channels"


def test_a_step_after_all_freezing_draws_nothing() -> None:
    step = step_of(plan_of(freeze="until-step=9"))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    step.begin(math.inf, 1.0, 0.1)
    assert torch.equal(torch.rand(3), expected)
    assert all(weight.requires_grad for weight in step.segmenter.parameters())


def test_modes_and_progress_are_set_at_every_step() -> None:
    step = step_of(plan_of(freeze="until-step=2"), norm=True)
    for number, trains in ((0, False), (1, False), (2, True), (3, True)):
        step.segmenter.eval()
        step(batch_of(number), number, number / 4, 0.1)
        assert step.segmenter.progress == number / 4
        assert step.segmenter.head.training
        assert step.segmenter.backbone.training is trains
        assert all(weight.requires_grad is trains for weight in step.segmenter.backbone.parameters())


def test_a_thawed_backbone_is_made_known_to_those_who_exchange_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """What wraps a network for several processes only exchanges gradients of weights that wanted one at that time."""
    step = step_of(plan_of(freeze="until-step=2"))
    again: list[bool] = []
    wrap: Callable[..., Any] = Fabric.setup_module

    def setup(fabric: Fabric, network: Any) -> Any:
        again.append(all(weight.requires_grad for weight in network.backbone.parameters()))
        return wrap(fabric, network)

    monkeypatch.setattr(Fabric, "setup_module", setup)
    for world, wrapped in ((1, []), (2, [True])):
        again.clear()
        monkeypatch.setattr(Fabric, "world_size", world)
        for number in range(5):
            step.begin(number, 0.0, 0.1)
        assert again == wrapped
        step.begin(0, 0.0, 0.1)


class Sizes(nn.Module):
    """A loss that keeps how many crops each part has, for every group of targets."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        shapes = (targets["classes"].shape, targets["height"].shape)
        assert shapes[1][1] == 1
        assert torch.equal(targets["height"][:, 0], targets["classes"].float()), "crop by crop"
        self.seen.append((len(maps["classes"]), *(shape[0] for shape in shapes)))
        return nn.functional.cross_entropy(maps["classes"], targets["classes"])


@pytest.mark.parametrize(("accumulate", "sizes"), [(1, [8]), (3, [3, 3, 2]), (99, [1] * 8)])
def test_all_targets_are_split_as_the_images_are(accumulate: int, sizes: list[int]) -> None:
    images, targets = batch_of(0)
    targets["height"] = targets["classes"][:, None].float()
    loss = Sizes()
    step = step_of(plan_of(accumulate=accumulate), loss=loss)
    total = step((images, targets), 0, 0.0, 0.1)
    assert loss.seen[::2] == loss.seen[1::2] == [(size, size, size) for size in sizes]
    torch.testing.assert_close(total, step_of(plan_of())(batch_of(0), 0, 0.0, 0.1))


def test_layout_and_device_are_those_of_the_plan_and_the_fabric() -> None:
    for channels_last, layout in ((True, torch.channels_last), (False, torch.contiguous_format)):
        plan = plan_of()
        plan.train.channels_last = channels_last
        step = step_of(plan)
        assert step.layout == layout
        assert step.segmenter.decoder.weight.is_contiguous(memory_format=layout)


def test_a_gradient_beyond_the_limit_is_clipped_and_a_smaller_one_left() -> None:
    def length(clip: float) -> float:
        step = step_of(plan_of(clip=clip))
        before = weights(step)
        step(batch_of(0), 0, 0.0, 1.0)
        return float(torch.cat([(value - before[name]).flatten() for name, value in weights(step).items()]).norm())

    free = length(0.0)
    assert length(free / 4) == pytest.approx(free / 4, rel=1e-3)
    assert length(free * 4) == pytest.approx(free, rel=1e-5)


@pytest.mark.parametrize("clip", [0.0, 1e-3, 1e3])
def test_the_norm_of_the_gradient_is_kept_as_it_was_before_clipping(clip: float) -> None:
    step = step_of(plan_of(clip=clip))
    step.begin(0, 0.0, 0.1)
    gradients = torch.autograd.grad(step.loss(*batch_of(0)), list(step.segmenter.parameters()))
    expected = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    step(batch_of(0), 0, 0.0, 0.1)
    row = step.norms.row()
    assert row["gradient"] == row["gradient_max"] == pytest.approx(expected, rel=1e-5)
    assert row.get("clipped") == {0.0: None, 1e-3: 1.0, 1e3: 0.0}[clip]
    assert ("clipped" in row) is (clip > 0)
