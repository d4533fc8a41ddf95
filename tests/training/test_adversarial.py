from __future__ import annotations

import csv
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.training.conftest import Tiny, stream
from tests.training.test_loop import Killed, killed_at, same, stream_until, weights

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import AdversarialPlan, Plan
from maskwright.training import adversarial, checkpoint
from maskwright.training.adversarial import Adversary, probabilities, softened, verdict_loss

if TYPE_CHECKING:
    from pathlib import Path

    from tests.training.conftest import Bench

    from maskwright.training.loop import Trainer

LN2 = math.log(2)


def opposed(
    bench: Bench, optim: dict[str, Any] | None = None, train: dict[str, Any] | None = None, **wanted: Any
) -> Plan:
    plan = bench.plan(optim, {"dropout": 0.3}, **(train or {}))
    plan.adversarial = AdversarialPlan(**{"weight": 0.1, "width": 6, "lr": 2e-3, **wanted})
    return plan


def opponent(**wanted: Any) -> Adversary:
    plan = Plan(adversarial=AdversarialPlan(**{"weight": 0.5, "width": 6, **wanted}))
    made = adversarial.create(Tiny(), plan, "cpu")  # type: ignore[arg-type]
    assert made is not None
    return made


def of_opponent(trainer: Trainer) -> dict[str, torch.Tensor]:
    assert trainer.adversary is not None
    return {name: value.clone() for name, value in trainer.adversary.network.state_dict().items()}


def maps(seed: int = 0, size: int = 8, channels: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, channels, size, size, generator=random)
    labels = torch.randint(0, 2, (2, size, size), generator=random)
    return torch.randn(2, 3, 2 * size, 2 * size, generator=random), logits, labels


# The maps


def test_the_true_map_is_softened_as_in_the_paper() -> None:
    """Section 3.2 by hand: 0.9 for the true class where the prediction is below, the others in proportion."""
    predicted = torch.tensor([[0.2, 0.95, 0.0], [0.6, 0.04, 1.0], [0.2, 0.01, 0.0]])[None, :, None]
    truth = softened(torch.zeros(1, 1, 3, dtype=torch.int64), predicted, 0.9)
    wanted = torch.tensor([[0.9, 0.95, 0.9], [0.075, 0.04, 0.1], [0.025, 0.01, 0.0]])[None, :, None]
    torch.testing.assert_close(truth, wanted)
    hard = softened(torch.zeros(1, 1, 3, dtype=torch.int64), predicted, 1.0)
    assert hard[0, :, 0].tolist() == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_a_prediction_without_doubt_is_left_as_it_is() -> None:
    predicted = torch.tensor([[1.0], [0.0]])[None, :, None]
    assert torch.equal(softened(torch.zeros(1, 1, 1, dtype=torch.int64), predicted, 0.9), predicted)


def test_one_channel_is_two_classes() -> None:
    found = probabilities(torch.tensor([[[[math.log(3)]]]]))
    assert found.flatten().tolist() == pytest.approx([0.25, 0.75])


# The losses


def test_equations_two_and_three_by_hand() -> None:
    mask = torch.ones(1, 1, 4, 4)
    verdict = torch.full((1, 1, 1, 1), math.log(3))  # a = 3/4
    assert verdict_loss(verdict, mask, true=True).item() == pytest.approx(math.log(4 / 3))
    assert verdict_loss(verdict, mask, true=False).item() == pytest.approx(math.log(4))


def test_a_verdict_counts_by_the_labelled_share_of_its_block() -> None:
    mask = torch.ones(1, 1, 4, 8)
    mask[..., 4:] = 0
    mask[..., :2, 4:] = 1
    verdicts = torch.tensor([[[[math.log(3), -math.log(3)]]]])
    expected = (math.log(4 / 3) + 0.5 * math.log(4)) / 1.5
    assert verdict_loss(verdicts, mask, true=True).item() == pytest.approx(expected)
    assert verdict_loss(verdicts, torch.zeros_like(mask), true=True).item() == 0


@pytest.mark.parametrize("settings", [{}, {"input": "product"}, {"network": "two-branch"}])
def test_ignored_pixels_are_masked_on_both_sides(settings: dict[str, Any]) -> None:
    images, logits, labels = maps()
    labels[:, :3] = IGNORE
    found = []
    for seed in (1, 2):
        changed = logits.clone()
        changed[:, :, :3] = torch.randn(2, 2, 3, 8, generator=torch.Generator().manual_seed(seed)) * 9
        changed.requires_grad_()
        foe = opponent(**settings)
        loss = foe.challenge(images, changed, labels)
        loss.backward()
        foe.learn()
        found.append((loss.detach(), foe.network.state_dict()))
        assert changed.grad is not None
        assert (changed.grad[:, :, :3] == 0).all()
        assert changed.grad[:, :, 3:].abs().max() > 0
    assert torch.equal(found[0][0], found[1][0])
    assert same(found[0][1], found[1][1])


def test_nothing_labelled_moves_nobody() -> None:
    images, logits, labels = maps()
    foe = opponent()
    before = {name: value.clone() for name, value in foe.network.state_dict().items()}
    assert foe.challenge(images, logits, torch.full_like(labels, IGNORE)).item() == 0
    foe.learn()
    assert same(before, foe.network.state_dict())


def test_the_network_learns_from_the_verdict_and_the_opponent_does_not() -> None:
    images, logits, labels = maps()
    foe = opponent()
    logits.requires_grad_()
    foe.challenge(images, logits, labels).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() > 0
    assert all(weight.grad is None for weight in foe.network.parameters())
    before = {name: value.clone() for name, value in foe.network.state_dict().items()}
    foe.learn()
    assert not same(before, foe.network.state_dict())


def test_the_weight_scales_what_it_adds() -> None:
    images, logits, labels = maps()
    one, two = (opponent(weight=weight).challenge(images, logits, labels) for weight in (0.5, 1.0))
    torch.testing.assert_close(2 * one, two)


def test_it_tells_noise_from_truth_and_the_losses_say_so() -> None:
    foe = opponent(lr=5e-3, width=12)
    for seed in range(60):
        images, logits, labels = maps(seed)
        foe.challenge(images, logits, torch.zeros_like(labels))
        foe.learn()
    row = foe.row()
    assert row["adversary_loss"] < LN2  # at chance 2 log 2
    assert row["fooling_loss"] > 2 * LN2  # at chance log 2


# In the loop


@pytest.mark.parametrize("channels_last", [True, False])
def test_killed_and_resumed_both_end_in_the_same_bits(bench: Bench, tmp_path: Path, channels_last: bool) -> None:
    train = {"validations": 4, "checkpoint_seconds": 1e-9, "channels_last": channels_last}
    plan = opposed(bench, {"ema": 0.9, "accumulate": 2}, train, input="product")
    whole = bench.trainer(plan)
    whole.fit()
    bench.run = tmp_path / "second"
    for step in (3, 6, 12):
        bench.batches = partial(stream_until, last=step - 2)
        with pytest.raises(Killed):
            bench.trainer(plan).fit()
        bench.batches = stream
        with pytest.raises(Killed):
            bench.trainer(plan, killed_at(step)).fit()
    again = bench.trainer(plan)
    again.fit()
    assert same(weights(whole), weights(again))
    assert same(of_opponent(whole), of_opponent(again))
    drop_seconds = [[{**row, "seconds": 0} for row in trainer.history] for trainer in (whole, again)]
    assert drop_seconds[0] == drop_seconds[1]
    one, two = checkpoint.load(whole.job.run), checkpoint.load(again.job.run)
    assert one is not None
    assert two is not None
    assert same(one.tensors, two.tensors)
    assert one.state["adversary"] == two.state["adversary"]
    assert any(name.startswith("adversary_optimizer.0.exp_avg") for name in one.tensors)


def test_without_weight_there_is_no_opponent_and_nothing_else_changes(bench: Bench, tmp_path: Path) -> None:
    trainers = []
    for wanted in ({"weight": 0.0}, {"weight": 0.0, "lr": 0.5}, {"weight": 0.5}):
        bench.run = tmp_path / str(len(trainers))
        trainer = bench.trainer(opposed(bench, **wanted))
        trainer.fit()
        trainers.append(trainer)
    without, still, opposing = trainers
    assert without.adversary is None
    assert list(without.history[0]) == ["step", "seconds", "loss", "lr", "val_iou"]
    assert same(weights(without), weights(still))
    assert not same(weights(without), weights(opposing))


def test_both_losses_reach_history_and_loggers(bench: Bench) -> None:
    trainer = bench.trainer(opposed(bench))
    trainer.fit()
    with (bench.run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[5:] == ["fooling_loss", "adversary_loss"]
    assert float(rows[0]["fooling_loss"]) == pytest.approx(LN2, abs=0.4)
    assert float(rows[0]["adversary_loss"]) == pytest.approx(2 * LN2, abs=0.6)
    assert all(float(row["adversary_loss"]) > 0 for row in rows)


def test_the_opponents_rate_follows_the_schedule(bench: Bench) -> None:
    trainer = bench.trainer(opposed(bench, {"warmup": 0, "schedule": "cosine"}, {"steps": 2}))
    trainer.fit()
    assert trainer.adversary is not None
    assert trainer.adversary.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)


def test_micro_batches_teach_as_one_batch_does(bench: Bench, tmp_path: Path) -> None:
    ends = []
    for accumulate in (1, 4):
        bench.run = tmp_path / str(accumulate)
        plan = opposed(bench, {"name": "sgd", "lr": 0.1, "accumulate": accumulate}, {"steps": 3})
        plan.model.dropout = 0.0
        trainer = bench.trainer(plan)
        trainer.fit()
        ends.append((of_opponent(trainer), [row["adversary_loss"] for row in trainer.history]))
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-4)
    for name, value in ends[0][0].items():
        torch.testing.assert_close(value, ends[1][0][name], rtol=1e-3, atol=1e-4)


def test_an_opponent_that_is_no_number_ends_it_before_it_is_saved(bench: Bench) -> None:
    trainer = bench.trainer(opposed(bench, train={"steps": 2}))
    assert trainer.adversary is not None
    torch.nn.init.constant_(trainer.adversary.network.layers[-1].bias, math.nan)
    with pytest.raises(MaskwrightError, match=r"became nan"):
        trainer.fit()
    assert checkpoint.load(bench.run) is None
