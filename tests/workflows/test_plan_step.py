from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.planning.facts_by_hand import CPU, CUDA
from tests.workflows import toy_data as toy

from maskwright.core.plan import Plan, SamplingPlan, SplitPlan
from maskwright.data.formats import read_dataset
from maskwright.data.loader import TrainingCrops
from maskwright.data.split import with_splits
from maskwright.data.survey import survey
from maskwright.planning.cost import StepCost, pixels
from maskwright.workflows.plan_parts import step

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.planning.machine import Machine

PLAN = Plan(sampling=SamplingPlan(crop=(32, 32), batch=3))


@pytest.mark.parametrize(
    ("machine", "waits"),
    [(replace(CPU, cores=1), True), (CPU, False), (replace(CUDA, cores=1), False)],
    ids=["one core", "two cores", "GPU"],
)
def test_a_step_waits_for_its_crops_on_an_only_core(
    machine: Machine, waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.write(tmp_path)
    seen = survey(read_dataset(tmp_path))
    dataset = with_splits(seen.dataset, SplitPlan(), 0, seen)
    network = StepCost(0.5 / pixels(PLAN), 0.1, 4.0, spent_seconds=2.0)
    monkeypatch.setattr(step, "step_cost", lambda *_: network)
    made: list[int] = []
    real = TrainingCrops.crop
    monkeypatch.setattr(TrainingCrops, "crop", lambda self, at, slot: made.append(slot) or real(self, at, slot))
    cost = step.measured(PLAN, dataset, seen, machine)
    if not waits:
        assert cost is network
        assert not made
        return
    assert made == [0, 1, 2] * 3
    assert cost.seconds(PLAN) > network.seconds(PLAN)
    assert cost.spent_seconds - 2.0 >= 2 * cost.crop_seconds * pixels(PLAN)
    assert replace(cost, crop_seconds=0.0, spent_seconds=2.0) == network
