from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maskwright.core.plan import OptimPlan
from maskwright.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable


@given(st.integers(1, 400))
def test_fixed_steps_make_progress_step_by_total_exactly(total: int) -> None:
    schedule = Schedule(total)
    for step in range(1, total + 1):
        assert not schedule.done
        schedule.advance()
        schedule.spent_seconds += 3.0
        assert not schedule.due()
        schedule.retime()
        assert (schedule.step, schedule.total, schedule.progress) == (step, total, step / total)
    assert schedule.done


def test_progress_to_go_is_shared_evenly_among_the_steps_to_go() -> None:
    schedule = Schedule(10, budget_seconds=100.0)
    for _ in range(5):
        schedule.advance()
    assert schedule.progress == pytest.approx(0.5)
    schedule.spent_seconds = 50.0
    assert schedule.due()
    schedule.retime()
    assert (schedule.total, schedule.progress) == (10, pytest.approx(0.5))
    schedule.advance()
    schedule.spent_seconds = 80.0  # 20 s are left; the last correction was 30 s ago, and one step was made since
    schedule.retime()
    assert schedule.total == 7
    schedule.advance()
    assert schedule.progress == pytest.approx(1.0)
    assert schedule.done


def test_a_spent_budget_leaves_one_last_step() -> None:
    schedule = Schedule(100, step=30, progress=0.3, budget_seconds=10.0, spent_seconds=12.0)
    schedule.retime()
    assert schedule.total == 31
    assert not schedule.done
    schedule.advance()
    assert schedule.done
    assert schedule.progress == pytest.approx(1.0)


def test_what_is_reserved_is_taken_from_the_steps_and_given_back() -> None:
    schedule = Schedule(100, budget_seconds=100.0)
    for seconds in (20.0, 50.0, 10.0):
        schedule.reserve(seconds)
        assert schedule.budget_seconds == 100.0 - seconds
    assert Schedule.from_json(json.loads(json.dumps(schedule.to_json()))) == schedule
    schedule.advance()
    schedule.spent_seconds = 1.0
    schedule.reserve(99.5)  # more than is left: the next step is the last
    schedule.retime()
    assert schedule.total == 2


def run_down(schedule: Schedule, seconds: Callable[[float], float]) -> float:
    """Make the steps of a schedule, each of so many seconds at its time; return the seconds of the slowest one."""
    slowest = 0.0
    while not schedule.done:
        before, taken = schedule.progress, seconds(schedule.spent_seconds)
        schedule.advance()
        schedule.spent_seconds += taken
        assert before < schedule.progress <= 1 + 1e-9
        slowest = max(slowest, taken)
        if schedule.due():
            schedule.retime()
    assert schedule.progress == pytest.approx(1.0)
    return slowest


@example(27, [0.25, 4.0], 1)
@given(st.integers(20, 600), st.lists(st.floats(0.2, 4.0), min_size=1, max_size=8), st.integers(0, 5))
def test_a_machine_of_any_speed_ends_within_its_budget(planned: int, speeds: list[float], seed: int) -> None:
    """Simulate a machine whose steps take `speeds` times as long as planned, a new factor every so often."""
    schedule = Schedule(planned, budget_seconds=100.0)
    factors = [speeds[(place + seed) % len(speeds)] for place in range(len(speeds))]
    slowest = run_down(
        schedule, lambda now: 100.0 / planned * factors[min(int(now / 100.0 * len(speeds)), len(speeds) - 1)]
    )
    # What is not yet known of a change of speed is at most what happens in a few corrections.
    assert abs(schedule.spent_seconds - 100.0) <= 6.0 + 2 * slowest


def test_a_machine_that_stalls_near_the_end_ends_in_time_all_the_same() -> None:
    schedule = Schedule(1200, budget_seconds=100.0)
    run_down(schedule, lambda now: 0.08 if now < 75 else 1.2)
    assert schedule.spent_seconds <= 105


def test_a_stall_early_on_hardly_moves_the_schedule() -> None:
    schedule = Schedule(1000, budget_seconds=100.0)
    totals = []
    while not schedule.done:
        schedule.advance()
        schedule.spent_seconds += 1.0 if 30 <= schedule.spent_seconds < 36 else 0.1
        if schedule.due():
            schedule.retime()
            totals.append(schedule.total)
    assert min(totals) >= 850
    assert schedule.total == pytest.approx(946, abs=2)
    assert schedule.spent_seconds <= 101


@given(st.integers(50, 2000), st.floats(0.25, 4.0))
def test_a_steady_machine_uses_its_budget_to_a_few_percent(planned: int, factor: float) -> None:
    schedule = Schedule(planned, budget_seconds=100.0)
    seconds = 100.0 / planned * factor
    run_down(schedule, lambda _now: seconds)
    assert abs(schedule.spent_seconds - 100.0) <= seconds


def test_several_processes_correct_by_their_steps_only() -> None:
    schedule = Schedule(500, step=3, budget_seconds=100.0, spent_seconds=50.0)
    assert schedule.due()
    assert not schedule.due(alone=False)
    schedule.step = 10
    assert schedule.due(alone=False)


def rates(schedule: Literal["cosine", "poly", "constant", "cooldown"], warmup: float = 0.0) -> list[float]:
    plan, schedule = OptimPlan(lr=2.0, schedule=schedule, warmup=warmup), Schedule(4)
    found = []
    while not schedule.done:
        found.append(schedule.learning_rate(plan))
        schedule.advance()
    return found


def test_golden_learning_rates() -> None:
    root = math.sqrt(0.5)
    assert rates("cosine") == pytest.approx([2.0, 1 + root, 1.0, 1 - root])
    assert rates("poly") == pytest.approx([2 * left**0.9 for left in (1.0, 0.75, 0.5, 0.25)])
    assert rates("constant") == [2.0] * 4
    # The cooldown is half of the training: after three steps half of it is done.
    plan, half = OptimPlan(lr=2.0, schedule="cooldown", cooldown=0.5), Schedule(4)
    found = []
    while not half.done:
        found.append(half.learning_rate(plan))
        half.advance()
    assert found == pytest.approx([2.0, 2.0, 2.0, 2 * (1 - root)])


def test_warm_up_rises_linearly_and_never_from_zero() -> None:
    assert rates("constant", warmup=0.5) == pytest.approx([1.0, 2.0, 2.0, 2.0])
    assert rates("constant", warmup=0.75) == pytest.approx([2 / 3, 4 / 3, 2.0, 2.0])
    assert rates("cosine", warmup=0.5)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("schedule", ["cosine", "poly", "constant", "cooldown"])
def test_a_progress_rounded_past_its_end_still_has_a_rate(
    schedule: Literal["cosine", "poly", "constant", "cooldown"],
) -> None:
    rate = Schedule(10, step=9, progress=1 + 1e-15, budget_seconds=1.0).learning_rate(OptimPlan(schedule=schedule))
    assert isinstance(rate, float)
    assert rate >= 0


@given(st.integers(100, 1000), st.floats(0.3, 3.0), st.integers(10, 90))
def test_correcting_the_pace_does_not_make_the_rate_jump(planned: int, factor: float, share: int) -> None:
    plan = OptimPlan(lr=1.0, schedule="cosine", warmup=0.0)
    schedule = Schedule(planned, budget_seconds=100.0)
    for _ in range(planned * share // 100):
        schedule.advance()
    schedule.marks = [(schedule.step - 1, 1.0 * share - 100.0 / planned * factor)]
    schedule.spent_seconds = 1.0 * share
    before = schedule.learning_rate(plan)
    schedule.retime()
    assert schedule.learning_rate(plan) == before
    schedule.advance()
    left = max(planned * (100 - share) / 100 / factor, 1)
    assert abs(schedule.learning_rate(plan) - before) <= math.pi / 2 * 1.5 * (1 - share / 100) / left + 1e-9


def test_the_state_survives_json_exactly() -> None:
    schedule = Schedule(300, 7, 0.1 + 0.2, 1 / 3, 3 / 7, 2 / 7, [(0, 0.0), (5, 1 / 7)])
    assert Schedule.from_json(json.loads(json.dumps(schedule.to_json()))) == schedule
