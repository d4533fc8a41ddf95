"""The working resolution follows from the diameters of the objects, where objects are learnt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.planning.facts_by_hand import facts, fingerprint, flat, kind, reason, values

from maskwright.core.fingerprint import Fingerprint, ObjectStats, Spread
from maskwright.core.plan import Plan
from maskwright.planning import rules_data, rules_instance
from maskwright.planning.task_rules import rules_of

if TYPE_CHECKING:
    from maskwright.planning.facts import Facts


def of_objects(median: float, small: float, side: float = 1536) -> Fingerprint:
    """Images whose long side alone would be halved, with thick objects."""
    diameter = Spread(small, small, median, 2 * median, 2 * median)
    objects = ObjectStats(12, 900, 0, flat(75), diameter, 0.1, 0.0, 0, 0.1, 0.0)
    return fingerprint(side, side, class_stats=(kind("ground", 0.9, None), kind("cell", 0.1, 100.0)), objects=objects)


def planned(found: Fingerprint, task: str = "instance") -> Facts:
    made = facts(found)
    return replace(made, needs=rules_of(Plan(task=task)).needs(made))


@pytest.mark.parametrize(
    ("median", "small", "scale"),
    [
        (100, 50, 0.5),  # as far as the long side says
        (25, 20, 0.8),  # 20 px of the median
        (40, 10, 0.8),  # 8 px of the small ones
        (12, 5, 1.0),  # never enlarged
    ],
)
def test_objects_keep_the_size_that_they_need(median: float, small: float, scale: float) -> None:
    decided = rules_data.working_resolution(planned(of_objects(median, small)), Plan(task="instance"))
    assert values(decided) == {"data.scale": scale}


def test_the_reason_names_what_decides() -> None:
    plan = Plan(task="instance")
    median = rules_data.working_resolution(planned(of_objects(25, 20)), plan)
    small = rules_data.working_resolution(planned(of_objects(40, 10)), plan)
    assert "the objects are 25 px across (median)" in reason(median, "data.scale")
    assert "10% of the objects are at most 10 px across, and need 8 px" in reason(small, "data.scale")


def test_other_tasks_and_data_without_objects_need_nothing() -> None:
    assert planned(of_objects(12, 5), "semantic").needs == ()
    assert rules_instance.needs(facts()) == ()
    nothing = replace(of_objects(12, 5).objects, objects=0, diameter=None)
    assert rules_instance.needs(facts(replace(of_objects(12, 5), objects=nothing))) == ()
