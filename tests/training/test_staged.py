"""A network that grows with the progress of its training: killed at any stage, it ends in the same bits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch
from tests.training.test_loop import Killed, same, stream_until, weights

from maskwright import models
from maskwright.training.loop import Trainer
from maskwright.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from tests.training.conftest import Bench


def trainer(bench: Bench) -> Trainer:
    plan = bench.plan(steps=9, checkpoint_seconds=1e-9)
    torch.manual_seed(0)
    network = models.create("fcn8s", 2, 3, "vgg16", width_factor=1 / 64, staged=True)
    return Trainer(replace(bench.trainer(plan).inputs, segmenter=network), Schedule(plan.train.steps))


def moved(one: Trainer) -> list[bool]:
    return [bool(skip.weight.any()) for skip in one.inputs.segmenter.head.skips]


def test_a_staged_training_goes_on_bit_by_bit(bench: Bench, tmp_path: Path) -> None:
    whole = trainer(bench)
    whole.fit()
    assert moved(whole) == [True, True]
    bench.run = tmp_path / "killed"
    for last, stage in ((2, [False, False]), (5, [True, False]), (8, [True, True])):
        bench.batches = partial(stream_until, last=last)
        dying = trainer(bench)
        with pytest.raises(Killed):
            dying.fit()
        assert moved(dying) == stage
    bench.batches = partial(stream_until, last=99)
    again = trainer(bench)
    best = again.fit()
    assert same(weights(whole), weights(again))
    assert best.step == 9
