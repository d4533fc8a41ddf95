"""Norms of gradients in the history: by hand, over a kill, and when a step of half precision overflows."""

from __future__ import annotations

import csv
import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch
from tests.training.test_loop import Killed, stream, stream_until

from maskwright.training import checkpoint
from maskwright.training.norms import GradientNorms

if TYPE_CHECKING:
    from tests.training.conftest import Bench

CPU = torch.device("cpu")


def test_a_row_by_hand_and_the_next_one_starts_anew() -> None:
    norms = GradientNorms(clip=2.0)
    for norm in (1.0, 2.0, 6.0):  # one at the limit is left as it is
        norms.add(torch.tensor(norm))
    assert norms.row() == {"gradient": 3.0, "gradient_max": 6.0, "clipped": pytest.approx(1 / 3)}
    norms.add(torch.tensor(0.5))
    assert norms.row() == {"gradient": 0.5, "gradient_max": 0.5, "clipped": 0.0}
    assert norms.row() == {"gradient": None, "gradient_max": None, "clipped": None}
    assert list(GradientNorms(clip=0.0).row()) == ["gradient", "gradient_max"]


def test_steps_that_overflow_are_left_out() -> None:
    norms = GradientNorms(clip=1.0)
    for norm in (float("inf"), 3.0, float("nan"), 0.5):
        norms.add(torch.tensor(norm))
    assert norms.row() == {"gradient": 1.75, "gradient_max": 3.0, "clipped": 0.5}
    norms.add(torch.tensor(float("inf")))
    assert norms.row() == {"gradient": None, "gradient_max": None, "clipped": None}


def test_a_checkpoint_keeps_them_to_the_last_bit() -> None:
    norms, again = GradientNorms(clip=0.0), GradientNorms(clip=0.0)
    assert norms.save() == []
    for norm in torch.rand(5):
        norms.add(norm)
    again.restore(json.loads(json.dumps(norms.save())), CPU)
    assert again.save() == norms.save()
    assert again.row() == norms.row()


def test_a_kill_between_two_rows_changes_no_row(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row every fourth step, and a kill after the sixth."""
    monkeypatch.setattr("maskwright.training.loop.ROWS", 5)
    plan = bench.plan({"clip": 0.5}, steps=20, validations=1, checkpoint_seconds=1e-9)
    whole = bench.trainer(plan)
    whole.fit()
    bench.run = tmp_path_factory.mktemp("second")
    bench.batches = partial(stream_until, last=6)
    with pytest.raises(Killed):
        bench.trainer(plan).fit()
    point = checkpoint.load(bench.run)
    assert point is not None
    assert len(point.state["norms"]) == 2
    bench.batches = stream
    again = bench.trainer(plan)
    again.fit()
    names = ("step", "gradient", "gradient_max", "clipped")
    rows = [[tuple(row[name] for name in names) for row in trainer.history] for trainer in (whole, again)]
    assert rows[0] == rows[1]
    assert [row[0] for row in rows[0]] == [4, 8, 12, 16, 20]
    assert all(0 < row[1] < row[2] for row in rows[0])
    with (bench.run / "history.csv").open(newline="") as file:
        assert [float(row["gradient_max"]) for row in csv.DictReader(file)] == [row[2] for row in rows[0]]


def test_a_checkpoint_of_an_earlier_version_goes_on_without_norms(bench: Bench) -> None:
    plan = bench.plan(steps=6, checkpoint_seconds=1e-9)
    bench.batches = partial(stream_until, last=3)
    with pytest.raises(Killed):
        bench.trainer(plan).fit()
    point = checkpoint.load(bench.run)
    assert point is not None
    del point.state["norms"]
    for row in point.state["history"]:
        del row["gradient"], row["gradient_max"], row["clipped"]
    checkpoint.save(bench.run, point, 3)
    bench.batches = stream
    trainer = bench.trainer(plan)
    trainer.fit()
    assert ["gradient" in row for row in trainer.history] == [False] * 3 + [True] * 3
    with (bench.run / "history.csv").open(newline="") as file:
        assert [bool(row["gradient"]) for row in csv.DictReader(file)] == [False] * 3 + [True] * 3
