from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.planning.facts_by_hand import CPU, CUDA, facts, fingerprint, flat

from maskwright.core.fingerprint import EdgeStats
from maskwright.core.plan import LossPlan, ModelPlan, Plan
from maskwright.planning.cost import StepCost
from maskwright.planning.planner import make
from maskwright.planning.rules_data import flips
from maskwright.planning.rules_time import tiles

if TYPE_CHECKING:
    from maskwright.planning.machine import Machine

PHOTOGRAPHS = {"flip_horizontal": 1.0, "flip_vertical": 1.0}


def planned(machine: Machine = CPU, pins: frozenset[str] = frozenset(), **found: float) -> Plan:
    seen = facts(fingerprint(**{**PHOTOGRAPHS, **found}), machine, epochs=3.0)
    pinned = Plan(task="edges", model=ModelPlan(name="hed"), loss=LossPlan(auxiliary=5.0))
    return make(seen, pinned, pins, lambda _plan: StepCost(1e-6, 100.0, 1.0))


@pytest.mark.parametrize(("machine", "batch"), [(CPU, 2), (CUDA, 8)])
def test_edges_are_learnt_at_every_scale_with_few_crops_a_step(machine: Machine, batch: int) -> None:
    plan = planned(machine)
    assert (plan.model.name, plan.sampling.batch, plan.loss.auxiliary) == ("crisp", batch, 1.0)
    assert plan.loss.terms == {"balanced_cross_entropy": 1.0}
    assert plan.loss.full_size


def test_what_the_user_chose_stays() -> None:
    plan = planned(pins=frozenset({"model.name", "loss.auxiliary"}))
    assert (plan.model.name, plan.loss.auxiliary) == ("hed", 5.0)


def test_images_stay_upright_though_edges_look_alike_either_way_up() -> None:
    augment = planned().augment
    assert (augment.flip_horizontal, augment.flip_vertical, augment.transpose, augment.rotate) == (0.5, 0.0, 0.0, 5.0)


@pytest.mark.parametrize(("alike", "flip", "scale"), [(1.0, True, 1.5), (0.2, False, 1.0)])
def test_the_flipped_image_is_enlarged(alike: float, flip: bool, scale: float) -> None:
    predict = planned(flip_horizontal=alike).predict
    assert (predict.flip, predict.flip_scale) == (flip, scale)


@pytest.mark.parametrize(("seconds", "scales"), [(1199.0, ()), (1201.0, (0.5, 2.0))])
def test_after_a_long_training_more_sizes_are_averaged(seconds: float, scales: tuple[float, ...]) -> None:
    seen = facts(fingerprint(**PHOTOGRAPHS), CPU, train_seconds=seconds)
    plan = make(seen, Plan(task="edges"), frozenset(), lambda _plan: StepCost(1e-9, 0.1, 1.0))
    assert plan.predict.scales == scales


def test_reasons_speak_of_edges_where_there_are_no_masks() -> None:
    found = fingerprint(**PHOTOGRAPHS, edges=EdgeStats(1, flat(1), 0.02, None))
    for seen, word in ((found, "edges"), (fingerprint(), "masks")):
        decisions = [*flips(facts(seen), Plan()), *tiles(facts(seen), Plan())]
        said = [decision.reason for decision in decisions if "mirror images" in decision.reason]
        assert len(said) == 3
        assert all(reason.startswith(f"{word} and their ") for reason in said)
