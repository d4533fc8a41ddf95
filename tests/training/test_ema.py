from __future__ import annotations

import pytest
import torch
from torch import nn

from maskwright.training.ema import EMA


def network(value: float) -> nn.Module:
    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for tensor in (*net.parameters(), net[1].running_mean, net[1].running_var):
            tensor.fill_(value)
        net[1].num_batches_tracked.fill_(int(value))
    return net


def floats(model: nn.Module) -> list[float]:
    return [float(value) for value in model.state_dict().values() if value.is_floating_point()]


@pytest.mark.parametrize(("step", "decay"), [(0, 1 / 10), (8, 9 / 18), (990, 0.9)])
def test_the_decay_rises_to_its_full_value(step: int, decay: float) -> None:
    average = EMA(network(0.0), 0.9)
    average.update(network(1.0), step)
    assert floats(average.model) == pytest.approx([1 - decay] * 6)


def test_without_decay_it_copies() -> None:
    average = EMA(network(0.0), 0.0)
    average.update(network(3.0), 500)
    assert floats(average.model) == [3.0] * 6


def test_statistics_are_averaged_and_counters_copied() -> None:
    average = EMA(network(1.0), 0.5)
    average.update(network(5.0), 1000)
    norm = average.model[1]
    assert float(norm.running_mean) == pytest.approx(3.0)
    assert int(norm.num_batches_tracked) == 5


def test_it_is_a_copy_that_neither_trains_nor_is_trained() -> None:
    model = network(2.0).train()
    average = EMA(model, 0.9)
    assert not average.model.training
    assert not any(weight.requires_grad for weight in average.model.parameters())
    assert all(weight.requires_grad for weight in model.parameters())
    average.update(network(0.0), 3)
    assert floats(model) == [2.0] * 6


def test_many_updates_converge_to_the_model() -> None:
    average, model = EMA(network(0.0), 0.9), network(1.0)
    for step in range(200):
        average.update(model, step)
    assert floats(average.model) == pytest.approx([1.0] * 6, abs=1e-6)
