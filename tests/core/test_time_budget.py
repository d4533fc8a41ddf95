"""Shares of a time budget and deadlines, at a clock that stands where the test puts it."""

from __future__ import annotations

import pytest

from maskwright.core import time_budget
from maskwright.core.time_budget import TimeBudget


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock whose only entry is the time."""
    now = [1000.0]
    monkeypatch.setattr(time_budget.time, "monotonic", lambda: now[0])
    return now


def test_a_budget_begins_now_or_when_it_is_said_to(clock: list[float]) -> None:
    assert TimeBudget.of(600).deadline == 1600
    assert TimeBudget.of(600, 900).deadline == 1500
    clock[0] = 1100
    assert TimeBudget.of(600).started == 1100


def test_the_shares_of_ten_minutes(clock: list[float]) -> None:
    budget = TimeBudget.of(600)
    assert budget.report_deadline == 1597
    assert budget.survey_seconds() == pytest.approx(60)
    assert budget.training_seconds() == pytest.approx(510)
    assert budget.postprocess_seconds() == pytest.approx(30)
    clock[0] = 1040
    assert budget.training_seconds() == pytest.approx(470)  # what is left of it
    assert budget.survey_seconds() == pytest.approx(60)


def test_a_postprocessor_gets_a_minute_at_most(clock: list[float]) -> None:
    assert [TimeBudget.of(seconds).postprocess_seconds() for seconds in (100, 1200, 36_000, None)] == [5, 60, 60, 60]


def test_a_fit_gets_as_long_as_it_takes_but_three_percent_at_most() -> None:
    assert [TimeBudget.of(seconds).fit_seconds(30) for seconds in (100, 1200, None)] == [3, 30, 30]


def test_without_a_budget_there_is_no_deadline(clock: list[float]) -> None:
    budget = TimeBudget.of(None)
    assert (budget.deadline, budget.report_deadline) == (None, None)
    assert (budget.survey_seconds(), budget.training_seconds()) == (None, None)
    assert (budget.share_until_report(0.5, 1), budget.within_report(5)) == (None, None)


@pytest.mark.parametrize(
    ("each", "images", "fewest", "fitting", "kept"),
    [
        (0.5, 40, 8, 0, 20 + 3),  # time for all images
        (0.5, 400, 8, 0, 90 + 3),  # no more than 15 % of the budget
        (0.5, 400, 8, 30, 60 + 30 + 3),  # of which the fit takes its part
        (20.0, 40, 8, 30, 160 + 30 + 3),  # some images are scored in any case
    ],
)
def test_what_is_kept_for_the_evaluation(
    clock: list[float], each: float, images: int, fewest: int, fitting: float, kept: float
) -> None:
    assert TimeBudget.of(600).evaluation_seconds(each, images, fewest, fitting) == pytest.approx(kept)


def test_estimates_take_a_small_part_of_the_time_so_far(clock: list[float]) -> None:
    budget = TimeBudget.of(600)
    assert budget.allows_estimate(0.0)
    assert not budget.allows_estimate(0.1)
    clock[0] += 100
    assert budget.allows_estimate(3.4)
    assert not budget.allows_estimate(3.6)


def test_parts_end_in_time_for_the_report(clock: list[float]) -> None:
    budget = TimeBudget.of(103)  # the report begins at 1100
    assert budget.share_until_report(0.5, 20) == 1040
    assert budget.share_until_report(1.0, 0) == 1100
    assert budget.within_report(30) == 1030
    assert budget.within_report(300) == 1100
    assert budget.within_report(30, start=1050) == 1080
    assert budget.within_report(30, start=1090) == 1100
    clock[0] = 1090
    assert budget.within_report(30) == 1100
    assert budget.share_until_report(0.5, 0) == 1095
