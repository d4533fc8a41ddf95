from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maskwright.core.plan import OptimPlan
from maskwright.training.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable


@given(st.integers(1, 400))
def test_fixed_steps_make_progress_step_by_total_exactly(total: int) -> None:
    pace = Pace(total)
    for step in range(1, total + 1):
        assert not pace.done
        pace.advance()
        pace.spent_seconds += 3.0
        assert not pace.due()
        pace.retime()
        assert (pace.step, pace.total, pace.progress) == (step, total, step / total)
    assert pace.done


def test_progress_to_go_is_shared_evenly_among_the_steps_to_go() -> None:
    pace = Pace(10, budget_seconds=100.0)
    for _ in range(5):
        pace.advance()
    assert pace.progress == pytest.approx(0.5)
    pace.spent_seconds = 50.0
    assert pace.due()
    pace.retime()
    assert (pace.total, pace.progress) == (10, pytest.approx(0.5))
    pace.advance()
    pace.spent_seconds = 80.0  # 20 s are left; the last correction was 30 s ago, and one step was made since
    pace.retime()
    assert pace.total == 7
    pace.advance()
    assert pace.progress == pytest.approx(1.0)
    assert pace.done


def test_a_spent_budget_leaves_one_last_step() -> None:
    pace = Pace(100, step=30, progress=0.3, budget_seconds=10.0, spent_seconds=12.0)
    pace.retime()
    assert pace.total == 31
    assert not pace.done
    pace.advance()
    assert pace.done
    assert pace.progress == pytest.approx(1.0)


def run_down(pace: Pace, seconds: Callable[[float], float]) -> float:
    """Make the steps of a pace, each of so many seconds at its time; return the seconds of the slowest one."""
    slowest = 0.0
    while not pace.done:
        before, taken = pace.progress, seconds(pace.spent_seconds)
        pace.advance()
        pace.spent_seconds += taken
        assert before < pace.progress <= 1 + 1e-9
        slowest = max(slowest, taken)
        if pace.due():
            pace.retime()
    assert pace.progress == pytest.approx(1.0)
    return slowest


@example(27, [0.25, 4.0], 1)
@given(st.integers(20, 600), st.lists(st.floats(0.2, 4.0), min_size=1, max_size=8), st.integers(0, 5))
def test_a_machine_of_any_speed_ends_within_its_budget(planned: int, speeds: list[float], seed: int) -> None:
    """Simulate a machine whose steps take `speeds` times as long as planned, a new factor every so often."""
    pace = Pace(planned, budget_seconds=100.0)
    factors = [speeds[(place + seed) % len(speeds)] for place in range(len(speeds))]
    slowest = run_down(
        pace, lambda now: 100.0 / planned * factors[min(int(now / 100.0 * len(speeds)), len(speeds) - 1)]
    )
    # What is not yet known of a change of speed is at most what happens in a few corrections.
    assert abs(pace.spent_seconds - 100.0) <= 6.0 + 2 * slowest


def test_a_machine_that_stalls_near_the_end_ends_in_time_all_the_same() -> None:
    pace = Pace(1200, budget_seconds=100.0)
    run_down(pace, lambda now: 0.08 if now < 75 else 1.2)
    assert pace.spent_seconds <= 105


def test_a_stall_early_on_hardly_moves_the_schedule() -> None:
    pace = Pace(1000, budget_seconds=100.0)
    totals = []
    while not pace.done:
        pace.advance()
        pace.spent_seconds += 1.0 if 30 <= pace.spent_seconds < 36 else 0.1
        if pace.due():
            pace.retime()
            totals.append(pace.total)
    assert min(totals) >= 850
    assert pace.total == pytest.approx(946, abs=2)
    assert pace.spent_seconds <= 101


@given(st.integers(50, 2000), st.floats(0.25, 4.0))
def test_a_steady_machine_uses_its_budget_to_a_few_percent(planned: int, factor: float) -> None:
    pace = Pace(planned, budget_seconds=100.0)
    seconds = 100.0 / planned * factor
    run_down(pace, lambda _now: seconds)
    assert abs(pace.spent_seconds - 100.0) <= seconds


def test_several_processes_correct_by_their_steps_only() -> None:
    pace = Pace(500, step=3, budget_seconds=100.0, spent_seconds=50.0)
    assert pace.due()
    assert not pace.due(alone=False)
    pace.step = 10
    assert pace.due(alone=False)


def rates(schedule: Literal["cosine", "poly", "constant"], warmup: float = 0.0) -> list[float]:
    plan, pace = OptimPlan(lr=2.0, schedule=schedule, warmup=warmup), Pace(4)
    found = []
    while not pace.done:
        found.append(pace.learning_rate(plan))
        pace.advance()
    return found


def test_golden_learning_rates() -> None:
    root = math.sqrt(0.5)
    assert rates("cosine") == pytest.approx([2.0, 1 + root, 1.0, 1 - root])
    assert rates("poly") == pytest.approx([2 * left**0.9 for left in (1.0, 0.75, 0.5, 0.25)])
    assert rates("constant") == [2.0] * 4


def test_warm_up_rises_linearly_and_never_from_zero() -> None:
    assert rates("constant", warmup=0.5) == pytest.approx([1.0, 2.0, 2.0, 2.0])
    assert rates("constant", warmup=0.75) == pytest.approx([2 / 3, 4 / 3, 2.0, 2.0])
    assert rates("cosine", warmup=0.5)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("schedule", ["cosine", "poly", "constant"])
def test_a_progress_rounded_past_its_end_still_has_a_rate(schedule: Literal["cosine", "poly", "constant"]) -> None:
    rate = Pace(10, step=9, progress=1 + 1e-15, budget_seconds=1.0).learning_rate(OptimPlan(schedule=schedule))
    assert isinstance(rate, float)
    assert rate >= 0


@given(st.integers(100, 1000), st.floats(0.3, 3.0), st.integers(10, 90))
def test_correcting_the_pace_does_not_make_the_rate_jump(planned: int, factor: float, share: int) -> None:
    plan = OptimPlan(lr=1.0, schedule="cosine", warmup=0.0)
    pace = Pace(planned, budget_seconds=100.0)
    for _ in range(planned * share // 100):
        pace.advance()
    pace.marks = [(pace.step - 1, 1.0 * share - 100.0 / planned * factor)]
    pace.spent_seconds = 1.0 * share
    before = pace.learning_rate(plan)
    pace.retime()
    assert pace.learning_rate(plan) == before
    pace.advance()
    left = max(planned * (100 - share) / 100 / factor, 1)
    assert abs(pace.learning_rate(plan) - before) <= math.pi / 2 * 1.5 * (1 - share / 100) / left + 1e-9


def test_the_state_survives_json_exactly() -> None:
    pace = Pace(300, 7, 0.1 + 0.2, 1 / 3, 2 / 7, [(0, 0.0), (5, 1 / 7)])
    assert Pace.from_json(json.loads(json.dumps(pace.to_json()))) == pace
