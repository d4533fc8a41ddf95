"""Times of the parts of a network: which parts, and that hooks leave nothing behind."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from maskwright.core.plan import DataPlan, ModelPlan
from maskwright.diagnosis.layer_times import part_times
from maskwright.inference.engine import TorchEngine
from maskwright.models.build import create
from maskwright.models.bundle import Card, CardClasses
from maskwright.models.cost import count

pytestmark = pytest.mark.usefixtures("one_thread")


def test_parts_have_times_and_all_weights() -> None:
    network = create("swiftnet", 3)
    trained = copy.deepcopy(network)
    card = Card(
        model=ModelPlan(name="swiftnet"),
        classes=CardClasses(names=["a", "b", "c"], colors=[(0, 0, 0), (1, 1, 1), (2, 2, 2)]),
        data=DataPlan(),
    )
    engine = TorchEngine(network, card, "cpu")
    parts = part_times(engine, np.zeros((64, 64, 3), np.uint8), trained)
    assert all(part.milliseconds > 0 for part in parts)
    assert {part.name.split(".")[0] for part in parts} == {"backbone", "decoder", "head"}
    assert sum(part.parameters for part in parts) == count(trained).parameters
    for part in parts:
        own = trained.get_submodule(part.name).parameters()
        assert part.parameters == sum(weight.numel() for weight in own), part.name
    folded = sum(weight.numel() for weight in network.parameters())
    assert folded < sum(weight.numel() for weight in trained.parameters())  # the engine counts otherwise
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
