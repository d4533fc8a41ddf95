"""Times of the parts of a network: which parts, and that hooks leave nothing behind."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.core.plan import DataPlan, ModelPlan
from maskwright.diagnosis.layer_times import part_times
from maskwright.inference.engine import TorchEngine
from maskwright.models.build import create
from maskwright.models.bundle import Card, CardClasses

pytestmark = pytest.mark.usefixtures("one_thread")


def test_parts_have_times_and_all_weights() -> None:
    network = create("swiftnet", 3)
    card = Card(
        model=ModelPlan(name="swiftnet"),
        classes=CardClasses(names=["a", "b", "c"], colors=[(0, 0, 0), (1, 1, 1), (2, 2, 2)]),
        data=DataPlan(),
    )
    engine = TorchEngine(network, card, "cpu")
    parts = part_times(engine, np.zeros((64, 64, 3), np.uint8))
    assert all(part.milliseconds > 0 for part in parts)
    assert {part.name.split(".")[0] for part in parts} == {"backbone", "decoder", "head"}
    idle = sum(weight.numel() for head in network.aux for weight in head.parameters())
    whole = sum(weight.numel() for weight in network.parameters()) - idle
    assert sum(part.parameters for part in parts) <= whole
    assert sum(part.parameters for part in parts) > 0.9 * whole
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
