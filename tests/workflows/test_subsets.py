"""Subsets for learning curves: nested, whole groups where there are enough of them, and reproducible."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.plan import CrfPlan, Plan
from maskwright.core.records import ImageRef, Record
from maskwright.workflows.diagnose_parts.subsets import FEWEST_GROUPS, beginning, ordered, short_plan


def records(images: int, groups: int) -> list[Record]:
    return [
        Record(f"{place:03}", ImageRef(Path(f"{place}.png")), None, group=f"g{place % groups}" if groups else None)
        for place in range(images)
    ]


@given(st.integers(1, 80), st.integers(0, 30), st.integers(0, 5))
def test_subsets_are_nested(images: int, groups: int, seed: int) -> None:
    each, whole = ordered(records(images, groups), seed)
    assert sorted(record.id for record in each) == [f"{place:03}" for place in range(images)]
    parts = [{record.id for record in beginning(each, share, whole=whole)} for share in (0.125, 0.25, 0.5, 1.0)]
    assert parts[0] <= parts[1] <= parts[2] <= parts[3]
    assert len(parts[3]) == images
    assert parts[0]


def test_many_groups_stay_together() -> None:
    each, whole = ordered(records(60, FEWEST_GROUPS), 0)
    assert whole
    kept = beginning(each, 0.25, whole=True)
    assert len(kept) == 15
    assert {record.group for record in kept}.isdisjoint(record.group for record in each[len(kept) :])


def test_few_groups_are_divided() -> None:
    each, whole = ordered(records(60, 3), 0)
    assert not whole
    assert {record.group for record in beginning(each, 0.25, whole=whole)} == {"g0", "g1", "g2"}


def test_another_seed_draws_other_images() -> None:
    assert ordered(records(30, 0), 0)[0] == ordered(records(30, 0), 0)[0]
    assert ordered(records(30, 0), 0)[0] != ordered(records(30, 0), 1)[0]


def test_a_short_run_has_its_steps_and_nothing_else_changes() -> None:
    plan = Plan()
    plan.train.budget_seconds, plan.postprocess.crf = 600.0, CrfPlan()
    short = short_plan(plan, 30, 7)
    assert (short.train.steps, short.train.budget_seconds, short.seed, short.postprocess.crf) == (30, None, 7, None)
    assert plan.train.budget_seconds == 600
    assert short.optim == plan.optim
