"""What is minimised: the task's loss on every output, and further objectives beside it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.training.conftest import Tiny, stream
from tests.training.test_loop import Killed, same, stream_until, weights
from torch import Tensor, nn

from maskwright.core.channels import Channels, class_channels
from maskwright.core.plan import AdversarialPlan, Plan
from maskwright.training import checkpoint, objectives
from maskwright.training.adversarial import AdversarialObjective
from maskwright.training.objective import Supervised, by_group
from maskwright.training.processes import alone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.training.conftest import Bench

GROUPS = (
    Channels(name="offset", count=2, activation="none", vector=True),
    *class_channels(3),
    Channels(name="height", count=1, activation="none"),
)


class Recorded(nn.Module):
    """A loss that keeps what it is given, and is the mean of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        self.seen.append((maps, targets))
        return torch.stack([group.mean() for group in maps.values()]).mean()


def test_maps_are_divided_into_their_groups_in_order() -> None:
    maps = torch.arange(2 * 6 * 4 * 5, dtype=torch.float32).reshape(2, 6, 4, 5)
    found = by_group(maps, GROUPS)
    assert list(found) == ["offset", "classes", "height"]
    assert torch.equal(found["offset"], maps[:, :2])
    assert torch.equal(found["classes"], maps[:, 2:5])
    assert torch.equal(found["height"], maps[:, 5:])


def test_a_single_group_is_the_whole_without_a_copy() -> None:
    maps = torch.zeros(2, 3, 4, 5)
    assert by_group(maps, class_channels(3))["classes"] is maps


def test_every_output_is_compared_at_its_own_stride() -> None:
    random = torch.Generator().manual_seed(0)
    outputs = [torch.randn(2, 6, side, side, generator=random).bfloat16() for side in (8, 4, 2)]
    offset, labels = torch.randn(2, 2, 8, 8, generator=random), torch.randint(0, 3, (2, 8, 8), generator=random)
    targets = {"offset": offset, "classes": labels, "height": offset[:, :1]}
    loss = Recorded()
    total = Supervised(loss, GROUPS, auxiliary=0.5).loss(torch.zeros(2, 3, 8, 8), outputs, targets)
    for (maps, coarse), output, places in zip(loss.seen, outputs, (range(8), (1, 3, 5, 7), (2, 6)), strict=True):
        assert list(maps) == list(coarse) == ["offset", "classes", "height"]
        assert all(group.dtype == torch.float32 for group in maps.values()), "sums of bfloat16 would be coarse"
        assert torch.equal(torch.cat(list(maps.values()), 1), output.float())
        rows = torch.tensor(list(places))
        assert torch.equal(coarse["classes"], labels[:, rows][:, :, rows])
        assert torch.equal(coarse["offset"], offset[:, :, rows][:, :, :, rows])
        assert torch.equal(coarse["height"], coarse["offset"][:, :1])
    main, *others = (torch.stack([group.mean() for group in maps.values()]).mean() for maps, _ in loss.seen)
    torch.testing.assert_close(total, main + 0.5 * torch.stack(others).mean())


def test_without_auxiliary_heads_it_is_the_loss() -> None:
    maps = torch.randn(1, 3, 4, 4)
    found = Supervised(Recorded(), class_channels(3), 0.4).loss(maps, [maps], {"classes": torch.zeros(1, 4, 4)})
    assert found == maps.mean()


def test_the_task_s_loss_has_no_state_and_no_row_of_its_own() -> None:
    supervised, point = Supervised(Recorded(), class_channels(2), 0.4), checkpoint.Checkpoint()
    supervised.after_step(0.5)
    supervised.save(point)
    supervised.restore(point)
    assert (supervised.row(), point.tensors, point.state) == ({}, {}, {})


def test_only_what_the_plan_asks_for_is_built() -> None:
    fabric = alone(torch.device("cpu"), "32-true")
    create: Any = partial(objectives.create, Tiny(), fabric=fabric)  # type: ignore[arg-type]
    assert create(plan=Plan()) == []
    (made,) = create(plan=Plan(adversarial=AdversarialPlan(weight=0.1, width=6)))
    assert isinstance(made, AdversarialObjective)


class Shrinking:
    """An objective with a state: the more steps, the more it pulls every map towards nothing."""

    def __init__(self) -> None:
        self.count, self.paces = torch.zeros(()), [0.0][:0]

    def loss(self, _images: Tensor, outputs: Sequence[Tensor], _targets: dict[str, Tensor]) -> Tensor:
        return 0.1 * (1 + self.count) * outputs[0].square().mean()

    def after_step(self, pace: float) -> None:
        self.count = self.count + 1
        self.paces.append(pace)

    def row(self) -> dict[str, float | None]:
        return {"shrunk": float(self.count)}

    def save(self, point: checkpoint.Checkpoint) -> None:
        point.add("shrinking", {"count": self.count})

    def restore(self, point: checkpoint.Checkpoint) -> None:
        self.count = point.part("shrinking")["count"]


@pytest.fixture
def shrinking(monkeypatch: pytest.MonkeyPatch) -> list[Shrinking]:
    """One for each trainer made, by a new line in the table."""
    made: list[Shrinking] = []

    def create(_segmenter: object, _plan: Plan, _fabric: object) -> Shrinking:
        made.append(Shrinking())
        return made[-1]

    monkeypatch.setitem(objectives.OBJECTIVES, "shrinking", create)
    return made


def test_a_further_objective_adds_to_the_loss_and_to_the_history(bench: Bench, shrinking: list[Shrinking]) -> None:
    bench.loss = nn.CrossEntropyLoss()
    plan = bench.plan({"name": "sgd", "lr": 0.02, "warmup": 0.5, "schedule": "constant"}, steps=4, validations=1)
    trainer = bench.trainer(plan)
    supervised, other = trainer.step.objectives
    assert isinstance(supervised, Supervised)
    assert other is shrinking[0]
    trainer.fit()
    assert [row["shrunk"] for row in trainer.history] == [1, 2, 3, 4]
    assert shrinking[0].paces == pytest.approx([0.5, 1.0, 1.0, 1.0]), "a share of the highest learning rate"


def test_the_loss_is_the_sum_of_all(bench: Bench, shrinking: list[Shrinking]) -> None:
    trainer = bench.trainer(bench.plan())
    images, targets = next(iter_batches())
    trainer.step.begin(0, 0.0, 0.01)
    shrinking[0].count += 4
    outputs = trainer.step.model(images, with_aux=True, upsample=trainer.inputs.plan.loss.full_size)
    parts = [objective.loss(images, outputs, targets) for objective in trainer.step.objectives]
    assert all(part > 0 for part in parts)
    torch.testing.assert_close(trainer.step.loss(images, targets), parts[0] + parts[1])


def iter_batches() -> Any:
    with stream(0) as batches:
        return batches


def test_its_state_is_saved_and_goes_on(bench: Bench, tmp_path: Path, shrinking: list[Shrinking]) -> None:
    plan = bench.plan(checkpoint_seconds=1e-9)
    whole = bench.trainer(plan)
    whole.fit()
    bench.run = tmp_path / "second"
    bench.batches = partial(stream_until, last=5)
    with pytest.raises(Killed):
        bench.trainer(plan).fit()
    bench.batches = stream
    again = bench.trainer(plan)
    again.fit()
    assert same(weights(whole), weights(again))
    assert [float(one.count) for one in shrinking] == [12, 5, 12]
    assert again.history[-1]["shrunk"] == 12
