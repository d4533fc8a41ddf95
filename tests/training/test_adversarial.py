from __future__ import annotations

import csv
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.training.conftest import Tiny, stream
from tests.training.test_loop import Killed, killed_at, same, stream_until, weights

from maskwright.core.channels import Channels, class_channels
from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import AdversarialPlan, Plan
from maskwright.training import adversarial, checkpoint
from maskwright.training.adversarial import AdversarialObjective, probabilities, softened, verdict_loss
from maskwright.training.loggers import COLUMNS
from maskwright.training.processes import alone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.training.conftest import Bench

    from maskwright.training.loop import Trainer

LN2 = math.log(2)


def adversarial_plan(
    bench: Bench, optim: dict[str, Any] | None = None, train: dict[str, Any] | None = None, **wanted: Any
) -> Plan:
    plan = bench.plan(optim, {"dropout": 0.3}, **(train or {}))
    plan.adversarial = AdversarialPlan(**{"weight": 0.1, "width": 6, "lr": 2e-3, **wanted})
    return plan


def discriminator(**wanted: Any) -> AdversarialObjective:
    plan = Plan(adversarial=AdversarialPlan(**{"weight": 0.5, "width": 6, **wanted}))
    made = adversarial.create(Tiny(), plan, alone(torch.device("cpu"), "32-true"))  # type: ignore[arg-type]
    assert made is not None
    return made


def adversary(trainer: Trainer) -> AdversarialObjective:
    _, objective = trainer.step.objectives
    assert isinstance(objective, AdversarialObjective)
    return objective


def of_discriminator(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in adversary(trainer).network.state_dict().items()}


def shown(foe: AdversarialObjective, images: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return foe.loss(images, [logits], {"classes": labels})


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
    found = probabilities(torch.tensor([[[[math.log(3)]]]]), "sigmoid")
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
        foe = discriminator(**settings)
        loss = shown(foe, images, changed, labels)
        loss.backward()
        foe.after_step(1.0)
        found.append((loss.detach(), foe.network.state_dict()))
        assert changed.grad is not None
        assert (changed.grad[:, :, :3] == 0).all()
        assert changed.grad[:, :, 3:].abs().max() > 0
    assert torch.equal(found[0][0], found[1][0])
    assert same(found[0][1], found[1][1])


def test_nothing_labelled_moves_nobody() -> None:
    images, logits, labels = maps()
    foe = discriminator()
    before = {name: value.clone() for name, value in foe.network.state_dict().items()}
    assert shown(foe, images, logits, torch.full_like(labels, IGNORE)).item() == 0
    foe.after_step(1.0)
    assert same(before, foe.network.state_dict())


def test_the_network_learns_from_the_verdict_and_the_discriminator_does_not() -> None:
    images, logits, labels = maps()
    foe = discriminator()
    logits.requires_grad_()
    shown(foe, images, logits, labels).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() > 0
    assert all(weight.grad is None for weight in foe.network.parameters())
    before = {name: value.clone() for name, value in foe.network.state_dict().items()}
    foe.after_step(1.0)
    assert not same(before, foe.network.state_dict())


def test_the_weight_scales_what_it_adds() -> None:
    images, logits, labels = maps()
    one, two = (shown(discriminator(weight=weight), images, logits, labels) for weight in (0.5, 1.0))
    torch.testing.assert_close(2 * one, two)


def test_it_tells_noise_from_truth_and_the_losses_say_so() -> None:
    foe = discriminator(lr=5e-3, width=12)
    for seed in range(60):
        images, logits, labels = maps(seed)
        shown(foe, images, logits, torch.zeros_like(labels))
        foe.after_step(1.0)
    row = foe.row()
    assert row["discriminator_loss"] < LN2  # at chance 2 log 2
    assert row["adversarial_loss"] > 2 * LN2  # at chance log 2


# In the loop


@pytest.mark.parametrize("channels_last", [True, False])
def test_killed_and_resumed_both_end_in_the_same_bits(bench: Bench, tmp_path: Path, channels_last: bool) -> None:
    train = {"validations": 4, "checkpoint_seconds": 1e-9, "channels_last": channels_last}
    plan = adversarial_plan(bench, {"ema": 0.9, "accumulate": 2}, train, input="product")
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
    assert same(of_discriminator(whole), of_discriminator(again))
    drop_seconds = [[{**row, "seconds": 0} for row in trainer.history] for trainer in (whole, again)]
    assert drop_seconds[0] == drop_seconds[1]
    one, two = checkpoint.load(whole.inputs.run), checkpoint.load(again.inputs.run)
    assert one is not None
    assert two is not None
    assert same(one.tensors, two.tensors)
    assert one.state["discriminator"] == two.state["discriminator"]
    assert any(name.startswith("discriminator_optimizer.0.exp_avg") for name in one.tensors)


def test_without_weight_there_is_no_discriminator_and_nothing_else_changes(bench: Bench, tmp_path: Path) -> None:
    trainers = []
    for wanted in ({"weight": 0.0}, {"weight": 0.0, "lr": 0.5}, {"weight": 0.5}):
        bench.run = tmp_path / str(len(trainers))
        trainer = bench.trainer(adversarial_plan(bench, **wanted))
        trainer.fit()
        trainers.append(trainer)
    without, still, opposing = trainers
    assert [type(objective).__name__ for objective in without.step.objectives] == ["Supervised"]
    assert list(without.history[0]) == [*COLUMNS, "gradient", "gradient_max", "clipped", "val_iou"]
    assert same(weights(without), weights(still))
    assert not same(weights(without), weights(opposing))


def test_both_losses_reach_history_and_loggers(bench: Bench) -> None:
    trainer = bench.trainer(adversarial_plan(bench))
    trainer.fit()
    with (bench.run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[8:] == ["adversarial_loss", "discriminator_loss"]
    assert float(rows[0]["adversarial_loss"]) == pytest.approx(LN2, abs=0.4)
    assert float(rows[0]["discriminator_loss"]) == pytest.approx(2 * LN2, abs=0.6)
    assert all(float(row["discriminator_loss"]) > 0 for row in rows)


def test_the_discriminators_rate_follows_the_schedule(bench: Bench) -> None:
    trainer = bench.trainer(adversarial_plan(bench, {"warmup": 0, "schedule": "cosine"}, {"steps": 2}))
    trainer.fit()
    assert adversary(trainer).optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)


def test_micro_batches_teach_as_one_batch_does(bench: Bench, tmp_path: Path) -> None:
    ends = []
    for accumulate in (1, 4):
        bench.run = tmp_path / str(accumulate)
        plan = adversarial_plan(bench, {"name": "sgd", "lr": 0.1, "accumulate": accumulate}, {"steps": 3})
        plan.model.dropout = 0.0
        trainer = bench.trainer(plan)
        trainer.fit()
        ends.append((of_discriminator(trainer), [row["discriminator_loss"] for row in trainer.history]))
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-4)
    for name, value in ends[0][0].items():
        torch.testing.assert_close(value, ends[1][0][name], rtol=1e-3, atol=1e-4)


def test_a_discriminator_that_is_no_number_ends_it_before_it_is_saved(bench: Bench) -> None:
    trainer = bench.trainer(adversarial_plan(bench, train={"steps": 2}))
    torch.nn.init.constant_(adversary(trainer).network.layers[-1].bias, math.nan)
    with pytest.raises(MaskwrightError, match=r"^the loss became nan at step 1: "):
        trainer.fit()
    assert checkpoint.load(bench.run) is None
    words = r"^adversarial training: adversarial_loss became nan: lower .* `adversarial\.lr=0\.0005`$"
    with pytest.raises(MaskwrightError, match=words):
        adversary(trainer).row()


# The maps of several groups


class TwoGroups(Tiny):
    groups = (Channels(name="height", count=1, activation="none"), *class_channels(2))


class Heights(Tiny):
    groups = (Channels(name="height", count=1, activation="none"),)


def test_it_judges_the_class_channels_alone() -> None:
    images, logits, labels = maps()
    fabric = alone(torch.device("cpu"), "32-true")
    plan = Plan(adversarial=AdversarialPlan(weight=0.5, width=6))
    foe = AdversarialObjective(TwoGroups(), plan, fabric)  # type: ignore[arg-type]
    both = torch.cat([torch.full_like(logits[:, :1], math.inf), logits], 1).requires_grad_()
    loss = shown(foe, images, both, labels)
    assert loss.item() == shown(discriminator(), images, logits, labels).item()
    loss.backward()
    assert both.grad is not None
    assert (both.grad[:, 0] == 0).all()
    assert (both.grad[:, 1:].abs().amax((0, 2, 3)) > 0).all()


def test_a_network_without_classes_is_refused() -> None:
    plan = Plan(adversarial=AdversarialPlan(weight=0.5))
    with pytest.raises(
        MaskwrightError, match=r"adversarial\.weight is 0\.5, .* does not output: set `adversarial\.weight=0`$"
    ):
        adversarial.create(Heights(), plan, alone(torch.device("cpu"), "32-true"))  # type: ignore[arg-type]


def test_auxiliary_outputs_are_not_judged() -> None:
    images, logits, labels = maps()
    loss = discriminator().loss(images, [logits, torch.full_like(logits, math.nan)], {"classes": labels})
    assert loss.item() == shown(discriminator(), images, logits, labels).item()


def test_before_the_first_step_there_is_nothing_to_tell() -> None:
    images, logits, labels = maps()
    foe = discriminator()
    shown(foe, images, logits, labels)
    assert foe.row() == {}
    foe.after_step(0.25)
    assert list(foe.row()) == ["adversarial_loss", "discriminator_loss"]
    assert foe.optimizer.param_groups[0]["lr"] == pytest.approx(0.25 * foe.plan.adversarial.lr)
