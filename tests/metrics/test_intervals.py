from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from maskwright.metrics.intervals import _student, by_group, intervals

SCRIPT = Path(__file__).parents[2] / "benchmarks/interval_coverage.py"
ONE, ENDLESS = np.ones(1), np.full(1, np.inf)


@pytest.fixture(scope="module")
def simulation() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def mean(totals: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return totals[:, :1] / totals[:, 1:]


def around(values: np.ndarray, top: np.ndarray = ONE) -> tuple[float, float]:
    """Bound the mean of single values."""
    count = len(values)
    low, high = intervals(np.stack([values, np.ones(count)], 1), np.ones(count), mean, top)
    return float(low[0]), float(high[0])


def test_groups_add_up_and_loners_stay() -> None:
    totals, sizes = by_group(np.array([[1.0], [2.0], [4.0], [8.0]]), ["a", None, "a", None])
    assert totals.tolist() == [[5], [2], [8]]
    assert sizes.tolist() == [2, 1, 1]


def test_a_loner_is_no_group_of_the_same_name() -> None:
    assert len(by_group(np.ones((2, 1)), ["0", None])[0]) == 2


def test_the_t_table_agrees_with_scipy() -> None:
    freedom = np.geomspace(1, 1e5, 500)
    np.testing.assert_allclose(_student(freedom), stats.t.ppf(0.975, freedom), rtol=0.004)


def test_by_hand_on_both_scales() -> None:
    # 0.4 and 0.6 three times each: mean 0.5; standard error of the mean sqrt(6 x 0.01 / 30) = 0.044721; of the six
    # deviations all squares are 0.01, so 1.5 x 6 = 9 degrees of freedom, cut to 5: t = 2.5706 and the half 0.114961.
    values = np.array([0.4, 0.6] * 3)
    odds = np.exp(0.114961 / (0.5 * 0.5))  # the slope of the logit at 0.5 is 4
    np.testing.assert_allclose(around(values), (1 / (1 + odds), odds / (1 + odds)), rtol=1e-4)
    step = np.exp(0.114961 / 0.5)
    np.testing.assert_allclose(around(values, ENDLESS), (0.5 / step, 0.5 * step), rtol=1e-4)


def test_a_difference_without_ends_stays_on_its_own_scale() -> None:
    """With the numbers from above, which are shifted to both sides of 0, and to 0 itself."""
    for middle in (-0.5, 0.0, 0.05):
        low, high = around(np.array([-0.1, 0.1] * 3) + middle, np.full(1, np.nan))
        np.testing.assert_allclose((low, high), (middle - 0.114961, middle + 0.114961), rtol=1e-4)


def test_agrees_with_the_normal_theory() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.05, 400)
    error = values.std(ddof=1) / 20
    np.testing.assert_allclose(around(values), values.mean() + 1.97 * error * np.array([-1, 1]), atol=0.02 * error)


@pytest.mark.parametrize(("rows", "count"), [("images", 20), ("sequences", 5), ("sequences", 15), ("unequal", 10)])
def test_covers_the_truth_as_often_as_it_says(simulation: dict[str, Any], rows: str, count: int) -> None:
    held, width = simulation["coverage"](simulation[rows](count), repeats=400, rounds=8, bootstrap=False)["maskwright"]
    assert (held >= 0.92).all()  # 95 % of 400, give or take three standard deviations
    assert (held <= 0.985).all()
    assert (width < 0.75).all()  # not by being as wide as the whole range


def test_a_bootstrap_of_few_sequences_does_not(simulation: dict[str, Any]) -> None:
    found = simulation["coverage"](simulation["sequences"](5), repeats=200, rounds=8)
    assert (found["bootstrap"][0] < 0.9).all()
    assert (found["maskwright"][0] > found["bootstrap"][0]).all()


def test_groups_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(2).uniform(0.3, 0.7, 20), 20)
    sums = np.stack([values, np.ones(400)], 1)
    alone = np.subtract(*intervals(sums, np.ones(400), mean, ONE)[::-1])
    groups = by_group(sums, [str(index // 20) for index in range(400)])
    assert np.subtract(*intervals(*groups, mean, ONE)[::-1]) > 3 * alone


def test_one_large_group_among_small_ones_widens_it() -> None:
    sums = np.stack([np.array([0.5, 0.6, 0.7, 0.6, 0.5, 0.7]), np.ones(6)], 1)
    equal = np.subtract(*intervals(sums, np.ones(6), mean, ONE)[::-1])
    sizes = np.array([20.0, 1, 1, 1, 1, 1])  # they say as much as 1.5 equal groups, so one degree of freedom is left
    assert np.subtract(*intervals(sums, sizes, mean, ONE)[::-1]) > 2 * equal


@pytest.mark.parametrize("count", [1, 2, 3])
def test_less_than_four_rows_bound_nothing(count: int) -> None:
    assert np.isnan(around(np.linspace(0.4, 0.6, count))).all()


def test_rows_that_do_not_know_the_class_do_not_count() -> None:
    shown = np.array([[0.5, 1.0], [0.7, 1.0], [0.6, 1.0], *[[0.0, 0.0]] * 9])
    assert np.isnan(intervals(shown, np.ones(12), mean, ONE)).all()
    shown[3] = 0.4, 1.0
    low, high = intervals(shown, np.ones(12), mean, ONE)
    assert 0 < low[0] < 0.4
    assert 0.7 < high[0] < 1


@pytest.mark.parametrize("top", [ONE, ENDLESS], ids=["share", "length"])
def test_rows_that_are_all_alike_bound_nothing(top: np.ndarray) -> None:
    assert np.isnan(around(np.full(12, 0.3), top)).all()
    low, high = around(np.array([0.3] * 11 + [0.3001]), top)
    assert 0.2999 < low < 0.3 < high < 0.3001


def test_a_class_that_is_never_found_may_yet_be() -> None:
    # A quarter and more of other images may hold it: (1 - p)^12 = 0.025 at p = 0.2647.
    assert around(np.zeros(12)) == (0, pytest.approx(0.26465, abs=1e-5))
    assert around(np.ones(12)) == (pytest.approx(0.73535, abs=1e-5), 1)
    assert np.isnan(around(np.zeros(12), ENDLESS)).all()


def test_an_undefined_value_has_no_bounds() -> None:
    assert np.isnan(intervals(np.zeros((6, 2)), np.ones(6), mean, ONE)).all()


def test_many_rows_are_taken_in_parts() -> None:
    values = np.random.default_rng(3).uniform(0, 1, 257)
    low, high = around(values)
    error = values.std(ddof=1) / np.sqrt(257)
    assert high - low == pytest.approx(2 * 1.97 * error, rel=0.02)
