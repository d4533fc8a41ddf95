from __future__ import annotations

import contextlib
import csv
import errno
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric.plugins import MixedPrecision
from tests.training.conftest import batch_of, stream
from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress, Saved
from maskwright.metrics.scores import Metric
from maskwright.training import checkpoint
from maskwright.training.loggers import COLUMNS
from maskwright.training.optimizers import OPTIMIZERS
from maskwright.training.schedule import Marks
from maskwright.training.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from tests.training.conftest import Bench

    from maskwright.training.loggers import Row
    from maskwright.training.loop import Trainer
    from maskwright.training.objective import Targets
    from maskwright.training.step import Batch


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.inputs.segmenter.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@contextlib.contextmanager
def stream_until(step: int, last: int) -> Iterator[Iterator[Batch]]:
    """Yield the batches from `step` on, and die for want of that of `last`."""

    def some() -> Iterator[Batch]:
        yield from map(batch_of, range(step, last))
        raise Killed

    yield some()


class Killed(BaseException):
    """As sudden as SIGKILL, as far as the loop can tell: nothing catches it."""


def killed_at(step: int) -> Any:
    def validate(_model: nn.Module, at: int) -> float:
        if at == step:
            raise Killed
        return at / 100

    return validate


def test_it_learns_and_says_how_far_it_is(bench: Bench) -> None:
    trainer = bench.trainer(bench.plan(steps=30))
    best = trainer.fit()
    losses = [row["loss"] for row in trainer.history]
    assert trainer.schedule.step == 30
    assert losses[-1] is not None
    assert losses[0] is not None
    assert losses[-1] < 0.8 * losses[0]
    assert (best.step, best.score) == (30, 0.3)
    progress = [event for event in bench.events if isinstance(event, Progress)]
    assert [event.done for event in progress] == list(range(1, 31))
    assert progress[-1].seconds_left == 0
    assert progress[-1].score == 0.3
    assert Saved(bench.run, 30) in bench.events


def test_history_rows_and_the_marks_of_validation(bench: Bench) -> None:
    asked: list[int] = []
    trainer = bench.trainer(bench.plan(steps=10, validations=4), lambda _model, step: asked.append(step) or 0.5)
    trainer.fit()
    assert asked == [3, 5, 8, 10]
    with (bench.run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 11)]
    assert [int(row["step"]) for row in rows if row["val_iou"]] == asked
    assert float(rows[0]["lr"]) == pytest.approx(0.02)
    assert [float(row["lr"]) for row in rows[1:]] == sorted((float(row["lr"]) for row in rows[1:]), reverse=True)


def test_long_trainings_keep_two_hundred_rows_and_the_last(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskwright.training.loop.ROWS", 5)
    trainer = bench.trainer(bench.plan(steps=23, validations=1), lambda _model, _step: None)
    trainer.fit()
    assert [row["step"] for row in trainer.history] == [4, 8, 12, 16, 20, 23]


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize(
    ("channels_last", "freeze", "rank"), [(True, "none", 0), (False, "none", 0), (True, "until-step=5", 2)]
)
def test_killed_and_resumed_it_ends_in_the_same_bits(
    bench: Bench, tmp_path: Path, name: str, channels_last: bool, freeze: str, rank: int
) -> None:
    optim = {"name": name, "lr": 0.02, "ema": 0.9, "freeze": freeze}
    plan = bench.plan(
        optim, {"dropout": 0.3}, rank, validations=4, checkpoint_seconds=1e-9, channels_last=channels_last
    )
    whole = bench.trainer(plan, norm=True)
    best = whole.fit()
    bench.run = tmp_path / "second"
    for step in (3, 6, 6, 12):
        bench.batches = partial(stream_until, last=step - 2)
        with pytest.raises(Killed):
            bench.trainer(plan, norm=True).fit()
        bench.batches = stream
        with pytest.raises(Killed):
            bench.trainer(plan, killed_at(step), norm=True).fit()
    again = bench.trainer(plan, norm=True)
    end = again.fit()
    assert same(weights(whole), weights(again))
    assert same(best.weights, end.weights)
    assert (best.score, best.step, best.stale) == (end.score, end.step, end.stale)
    drop_seconds = [[{**row, "seconds": 0} for row in trainer.history] for trainer in (whole, again)]
    assert drop_seconds[0] == drop_seconds[1]
    one, two = checkpoint.load(whole.inputs.run), checkpoint.load(again.inputs.run)
    assert one is not None
    assert two is not None
    assert same(one.tensors, two.tensors)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_the_scale_of_half_precision_goes_on_where_it_stood(bench: Bench, tmp_path: Path, name: str) -> None:
    """It grows while gradients stay finite: one that starts anew would be another one for thousands of steps."""
    bench.precision = lambda: MixedPrecision(
        "16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    )
    plan = bench.plan({"name": name, "lr": 0.002}, steps=5, checkpoint_seconds=1e-9, precision="16-mixed")
    whole = bench.trainer(plan)
    whole.fit()
    bench.run = tmp_path / "second"
    bench.batches = partial(stream_until, last=3)
    with pytest.raises(Killed):
        bench.trainer(plan).fit()
    bench.batches = stream
    again = bench.trainer(plan)
    again.fit()
    one, two = (trainer.inputs.fabric.strategy.precision.state_dict() for trainer in (whole, again))
    assert (one["scale"], one["_growth_tracker"]) == (32.0, 1)
    assert one == two
    assert same(weights(whole), weights(again))


def test_a_finished_run_resumes_to_what_it_is(bench: Bench) -> None:
    plan = bench.plan()
    first = bench.trainer(plan)
    best = first.fit()
    again = bench.trainer(plan, killed_at(12))
    end = again.fit()
    assert again.schedule.step == 12
    assert same(best.weights, end.weights)
    assert same(weights(first), weights(again))


def test_patience_ends_a_training_that_no_longer_gets_better(bench: Bench) -> None:
    scores = iter([0.3, 0.5, 0.4, 0.5, 0.9])
    plan = bench.plan(steps=10, validations=10, patience=2)
    best = bench.trainer(plan, lambda _model, _step: next(scores)).fit()
    assert (best.score, best.step, best.stale) == (0.5, 4, 2)  # of equal scores the newer, but no improvement
    again = bench.trainer(plan, lambda _model, _step: next(scores))
    assert again.fit().step == 4
    assert again.schedule.step == 4


def test_the_best_weights_are_the_averaged_ones_of_their_step(bench: Bench) -> None:
    kept: dict[int, dict[str, Tensor]] = {}

    def validate(model: nn.Module, step: int) -> float:
        assert not model.training
        kept[step] = {name: value.clone() for name, value in model.state_dict().items()}
        return {4: 0.2, 8: 0.9, 12: 0.1}[step]

    best = bench.trainer(bench.plan(), validate).fit()
    assert best.step == 8
    assert same(best.weights, kept[8])


def test_of_a_metric_that_should_be_low_the_lowest_is_the_best(bench: Bench) -> None:
    bench.metric = Metric("rmse", "RMSE", "Root of the mean squared error.", unit="", higher_is_better=False)
    scores = iter([0.7, 0.5, 0.5, 0.6, 0.1])
    plan = bench.plan(steps=10, validations=10, patience=2)
    trainer = bench.trainer(plan, lambda _model, _step: next(scores))
    best = trainer.fit()
    assert (best.score, best.step, best.stale) == (0.5, 3, 2)
    assert [row["val_rmse"] for row in trainer.history] == [0.7, 0.5, 0.5, 0.6]
    with (bench.run / "history.csv").open(newline="") as file:
        assert next(csv.reader(file)) == [*COLUMNS, "gradient", "gradient_max", "clipped", "val_rmse"]
    assert [event.score for event in bench.events if isinstance(event, Progress)] == [0.7, 0.5, 0.5, 0.5]


def test_before_the_first_validation_there_is_no_best(bench: Bench) -> None:
    bench.batches = partial(stream_until, last=3)
    trainer = bench.trainer(bench.plan(steps=12, validations=1))
    assert (trainer.best.score, trainer.best.weights) == (None, {})
    with pytest.raises(Killed):
        trainer.fit()
    assert [event.score for event in bench.events if isinstance(event, Progress)] == [None] * 3


def test_without_a_score_the_newest_weights_are_kept(bench: Bench) -> None:
    trainer = bench.trainer(bench.plan(patience=1), lambda _model, _step: None)
    best = trainer.fit()
    assert (best.step, best.score, best.stale) == (12, None, 0)
    assert same(best.weights, trainer.ema.model.state_dict())


class NaNs(nn.Module):
    """A loss that stops being a number after some calls."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good

    def forward(self, logits: Tensor, _labels: Tensor) -> Tensor:
        self.good -= 1
        return logits.square().mean() * (1.0 if self.good >= 0 else float("nan"))


def test_a_loss_that_is_no_number_ends_it_with_a_cure_and_no_checkpoint(bench: Bench) -> None:
    bench.loss = NaNs(good=2 * 4)  # each step asks twice: the head, and the auxiliary one
    trainer = bench.trainer(bench.plan(checkpoint_seconds=1e-9))
    with pytest.raises(
        MaskwrightError,
        match=r"the loss became nan at step 5: .* `optim\.lr=0\.005`, or train with `train\.precision=32-true`",
    ):
        trainer.fit()
    found = checkpoint.load(bench.run)
    assert found is not None
    assert found.state["schedule"]["step"] == 4
    assert all(value.isfinite().all() for value in found.tensors.values())


def test_no_checkpoint_is_made_of_what_is_no_number(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also between the rows of the history, which are far apart in a long training."""
    monkeypatch.setattr("maskwright.training.loop.ROWS", 1)
    bench.loss = NaNs(good=2 * 4)
    with pytest.raises(MaskwrightError, match="the loss became nan at step 5"):
        bench.trainer(bench.plan(checkpoint_seconds=1e-9, validations=1)).fit()
    found = checkpoint.load(bench.run)
    assert found is not None
    assert found.state["schedule"]["step"] == 4


def test_a_full_disk_ends_it_with_the_last_good_checkpoint(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    write = checkpoint.write_bytes

    def fills_up(path: Path, content: bytes) -> None:
        if len(saved) == 3:
            monkeypatch.setattr("pathlib.Path.write_bytes", full)
        saved.append(1)
        write(path, content)

    def full(_path: Path, _content: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_bytes", fills_up)
    with pytest.raises(MaskwrightError, match="the disk is full"):
        bench.trainer(bench.plan(checkpoint_seconds=1e-9)).fit()
    found = checkpoint.load(bench.run)
    assert found is not None
    assert found.state["schedule"]["step"] == 3


@pytest.mark.parametrize("parts", [2, 3, 8, 50])
def test_micro_batches_move_the_weights_as_one_batch_does(bench: Bench, tmp_path: Path, parts: int) -> None:
    ends = []
    for accumulate in (1, parts):
        bench.run = tmp_path / str(accumulate)
        optim = {"name": "sgd", "lr": 0.1, "accumulate": accumulate, "clip": 0.5}
        trainer = bench.trainer(bench.plan(optim, steps=5))
        trainer.fit()
        ends.append((weights(trainer), [row["loss"] for row in trainer.history]))
    for name, value in ends[0][0].items():
        torch.testing.assert_close(value, ends[1][0][name], rtol=1e-4, atol=1e-6)
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-4)


def test_the_gradient_is_clipped_to_its_norm(bench: Bench) -> None:
    trainer = bench.trainer(
        bench.plan({"name": "sgd", "lr": 1.0, "momentum": 0.0, "clip": 0.25, "weight_decay": 0.0, "warmup": 0}, steps=1)
    )
    before = weights(trainer)
    trainer.fit()
    after = weights(trainer)
    moved = torch.cat([(after[name] - before[name]).flatten() for name in after])
    assert float(moved.norm()) == pytest.approx(0.25, rel=1e-3)


def test_auxiliary_heads_count_by_their_weight(bench: Bench) -> None:
    class Recorded(nn.Module):
        def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
            assert logits.shape[2:] == labels.shape[1:]
            return logits.sum() * 0 + 1.0

    bench.loss = Recorded()
    trainer = bench.trainer(bench.plan(steps=1))
    trainer.fit()
    assert trainer.history[-1]["loss"] == pytest.approx(1.0 + trainer.inputs.plan.loss.auxiliary)


def test_chance_is_new_at_every_step_and_the_same_in_every_run(bench: Bench, tmp_path: Path) -> None:
    """Dropout must not drop the same channels for ever, nor others after a resume."""
    drawn: list[float] = []

    class Dice(nn.Module):
        def forward(self, logits: Tensor, _labels: Tensor) -> Tensor:
            drawn.append(torch.rand(()).item())
            return logits.square().mean()

    bench.loss = Dice()
    for name in ("one", "two"):
        bench.run = tmp_path / name
        bench.trainer(bench.plan(steps=5)).fit()
        torch.rand(3)
    half = len(drawn) // 2
    assert drawn[:half] == drawn[half:]
    assert len(set(drawn)) == half == 10


def test_loggers_hear_every_row_of_the_history(bench: Bench) -> None:
    class Kept:
        def __init__(self) -> None:
            self.rows: list[Row] = []

        def numbers(self, row: Row) -> None:
            self.rows.append(row)

        def picture(self, name: str, image: NDArray[np.uint8], step: int) -> None: ...

        def resumed(self, step: int) -> None: ...

        def close(self) -> None: ...

    kept = Kept()
    bench.loggers = [kept]
    trainer = bench.trainer(bench.plan(steps=4))
    trainer.fit()
    assert kept.rows == trainer.history
    assert len(kept.rows) == 4


def test_a_budget_corrects_the_number_of_steps(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that says that every look at it takes a second: a step takes longer than planned."""
    seconds = iter(float(number) for number in range(100_000))
    monkeypatch.setattr("maskwright.training.loop.time.monotonic", lambda: next(seconds))
    trainer = bench.trainer(bench.plan(steps=50, budget_seconds=40.0, validations=2))
    trainer.fit()
    assert 17 <= trainer.schedule.step <= 23
    assert trainer.schedule.progress == pytest.approx(1.0)
    assert [row["step"] for row in trainer.history if row["val_iou"] is not None][-1] == trainer.schedule.step


def test_what_follows_the_steps_is_estimated_as_they_go_on_and_after_a_resume_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(float(number) for number in range(100_000))
    monkeypatch.setattr("maskwright.training.loop.time.monotonic", lambda: next(seconds))
    asked: list[float] = []

    def reserve(_network: nn.Module) -> float | None:
        asked.append(trainer.schedule.progress)
        return 60.0 if len(asked) == 2 else None  # None leaves it as it is, here also after the resume

    def interrupted(_network: nn.Module, _step: int) -> float:
        raise KeyboardInterrupt

    plan = bench.plan(steps=50, budget_seconds=200.0, checkpoint_seconds=1e-9, validations=2)
    trainer = bench.trainer(plan, interrupted, reserve)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    trainer = bench.trainer(plan, reserve=reserve)
    trainer.fit()
    assert asked == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.05)
    assert (trainer.schedule.budget_seconds, trainer.schedule.reserved_seconds) == (140.0, 60.0)
    assert trainer.schedule.spent_seconds == pytest.approx(140, abs=10)


def test_a_changed_plan_is_not_gone_on_with(bench: Bench) -> None:
    bench.trainer(bench.plan()).fit()
    with pytest.raises(MaskwrightError, match="was changed after the training began"):
        bench.trainer(bench.plan({"name": "sgd"})).fit()


@given(st.integers(1, 12), st.integers(1, 60))
def test_every_mark_is_passed_once_and_the_last_at_the_end(count: int, steps: int) -> None:
    marks = Marks(count)
    passed = [step for step in range(1, steps + 1) if marks.passed(step / steps)]
    assert len(passed) == min(count, steps)
    assert passed[-1] == steps
    if steps >= count:
        assert passed == [-(-mark * steps // count) for mark in range(1, count + 1)]
    assert not marks.passed(1.0)


def test_marks_passed_together_count_as_one() -> None:
    marks = Marks(4)
    assert [marks.passed(progress) for progress in (0.2, 0.6, 0.7, 0.75, 1.0)] == [False, True, False, True, True]


def test_a_resume_with_other_threads_or_a_damaged_checkpoint_says_so(bench: Bench) -> None:
    plan = bench.plan(steps=4, checkpoint_seconds=1e-9)
    bench.trainer(plan).fit()
    bench.events.clear()
    bench.trainer(plan).fit()
    assert not [event for event in bench.events if isinstance(event, Note)]
    newest = sorted((bench.run / "checkpoint").glob("step-*"))[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    torch.set_num_threads(2)
    bench.trainer(plan).fit()
    torch.set_num_threads(1)
    damaged, threads = (event.text for event in bench.events if isinstance(event, Note))
    assert damaged.startswith(f"{newest} is damaged")
    assert "began with 1 threads and continues with 2" in threads


@pytest.mark.parametrize(("batch", "world", "parts"), [(8, 1, 3), (7, 3, 2), (3, 3, 1)])
def test_every_process_cuts_its_crops_into_equally_many_parts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, batch: int, world: int, parts: int
) -> None:
    """Were they to differ, the process with more would wait for the others for ever."""
    plan = bench.plan({"accumulate": 3})
    plan.sampling.batch = batch
    for size in {-(-batch // world), batch // world}:
        trainer = bench.trainer(plan)
        seen: list[int] = []

        def counted(
            images: Tensor, targets: Targets, step: TrainingStep = trainer.step, seen: list[int] = seen
        ) -> Tensor:
            assert len(targets["classes"]) == len(images)
            seen.append(len(images))
            return TrainingStep.loss(step, images, targets)

        monkeypatch.setattr(trainer.step, "loss", counted)
        monkeypatch.setattr(type(trainer.inputs.fabric), "world_size", world)
        trainer._step(batch_of(0, size))
        assert len(seen) == parts
        assert sum(seen) == size


@pytest.mark.parametrize(("full_size", "compared"), [(False, (4, 4)), (True, (8, 8))])
def test_every_label_is_compared_where_the_plan_says_so(
    bench: Bench, full_size: bool, compared: tuple[int, int]
) -> None:
    seen: list[tuple[int, ...]] = []

    class Looking(torch.nn.CrossEntropyLoss):
        def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
            seen.append(tuple(labels.shape[1:]))
            return super().forward(logits, labels)

    bench.loss = Looking()
    plan = bench.plan()
    plan.loss.full_size = full_size
    bench.trainer(plan)._step(batch_of(0))
    assert seen == [compared, compared]
