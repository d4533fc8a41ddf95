"""Large and few objects are found as boxes, small and many ones in dense maps, unless the user has chosen."""

from __future__ import annotations

from typing import Any

import pytest

from maskwright.core.fingerprint import ObjectStats, Spread
from maskwright.core.plan import Plan, PredictPlan
from maskwright.planning.rules_objects import FEW, LARGE, family
from maskwright.workflows.plan_parts.object_models import with_family


def spread(median: float) -> Spread:
    return Spread(median, median, median, median, median)


def objects(across: float | None, count: float) -> ObjectStats:
    diameter = None if across is None else spread(across)
    return ObjectStats(10, 30, 0, spread(count), diameter, touching=0, overlapping=0, lost=0, cut=0, parted=0)


@pytest.mark.parametrize(
    ("across", "count", "name"),
    [
        (123, 3, "maskrcnn"),
        (LARGE, FEW, "maskrcnn"),
        (LARGE - 1, FEW, None),
        (LARGE, FEW + 1, None),
        (20, 44, None),
        (None, 0, None),
    ],
)
def test_the_size_and_number_of_objects_choose(across: float | None, count: float, name: str | None) -> None:
    assert [decision.value for decision in family(objects(across, count))] == ([] if name is None else [name])


def test_without_objects_nothing_is_chosen() -> None:
    assert family(None) == []


class Found:
    objects = objects(123, 3)


def chosen(pins: set[str], task: str = "instance", **sections: Any) -> str:
    found: Any = Found()
    plan, kept = with_family(Plan(task=task, **sections), frozenset(pins), found)
    assert kept == pins | ({"model.name"} if plan.model.name == "maskrcnn" else set())
    assert ("model.name" in plan.reasons) == (plan.model.name == "maskrcnn")
    return plan.model.name


def test_the_users_settings_come_first() -> None:
    assert chosen({"optim.lr", "data.scale"}) == "maskrcnn"
    assert chosen({"model.pretrained", "predict.flip", "adversarial.weight"}) == "maskrcnn"  # neither is switched on
    for key in ("model.name", "model.backbone", "loss.terms", "objects.formulation"):
        assert chosen({key}) == "swiftnet"
    assert chosen({"predict.flip"}, predict=PredictPlan(flip=True)) == "swiftnet"
    assert chosen(set(), task="semantic") == "swiftnet"
