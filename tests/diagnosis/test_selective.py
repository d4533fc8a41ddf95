"""Measures of a risk, against numbers worked out by hand and against the plain definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.diagnosis import selective

ERROR = np.array([0.0, 0.2, 0.4, 1.0])
NUMBERS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12)


def test_the_mean_error_grows_with_the_coverage_as_worked_out_by_hand():
    errors = selective.coverage_errors(np.array([1.0, 2.0, 3.0, 4.0]), ERROR)
    np.testing.assert_allclose(errors, [0.0, 0.1, 0.2, 0.4])
    assert selective.aurc(np.array([1.0, 2.0, 3.0, 4.0]), ERROR) == pytest.approx(0.175)


def test_images_of_equal_risk_count_as_their_mean():
    errors = selective.coverage_errors(np.array([0.0, 1.0, 1.0, 2.0]), ERROR)
    np.testing.assert_allclose(errors, [0.0, 0.15, 0.2, 0.4])  # 0; (0 + .3) / 2; (0 + .3 + .3) / 3; all


def test_recovered_is_the_way_from_a_random_order_to_the_best():
    # AURC: best .175, random .4; of the order 0, .4, .2, 1 it is (0 + .2 + .2 + .4) / 4 = .2.
    assert selective.recovered(np.array([1.0, 3.0, 2.0, 4.0]), ERROR) == pytest.approx((0.4 - 0.2) / (0.4 - 0.175))
    assert selective.recovered(ERROR, ERROR) == pytest.approx(1)
    assert selective.recovered(np.zeros(4), ERROR) == pytest.approx(0)
    assert selective.recovered(-ERROR, ERROR) < 0
    assert math.isnan(selective.recovered(ERROR, np.full(4, 0.3)))


def test_auroc_is_the_share_of_pairs_in_order():
    positive = np.array([False, True, False, True])
    # Pairs: .2 > 0 and 1 > 0 and 1 > .4 in order, .2 < .4 not.
    assert selective.auroc(ERROR, positive) == pytest.approx(3 / 4)
    assert selective.auroc(np.zeros(4), positive) == pytest.approx(1 / 2)
    assert math.isnan(selective.auroc(ERROR, np.zeros(4, bool)))


def test_the_worst_fifth_holds_at_least_one_image_and_all_that_are_as_bad():
    assert selective.worst(np.arange(10) / 10).tolist() == [False] * 8 + [True] * 2
    assert selective.worst(np.array([0.1, 0.3, 0.3])).tolist() == [False, True, True]


@given(NUMBERS)
def test_auroc_agrees_with_counting_all_pairs(pairs):
    score, level = (np.array(column, float) for column in zip(*pairs, strict=True))
    positive = level > 2
    ordered = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    found = selective.auroc(score, positive)
    assert math.isnan(found) if not ordered else found == pytest.approx(float(np.mean(ordered)))


@settings(max_examples=25)
@given(NUMBERS, st.integers(0, 2**32 - 1))
def test_the_area_is_the_average_over_random_orders_of_equal_risks(pairs, seed):
    risk, error = (np.array(column, float) for column in zip(*pairs, strict=True))
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(100):
        order = np.lexsort((rng.random(len(risk)), risk))
        areas.append(float((np.cumsum(error[order]) / np.arange(1, len(risk) + 1)).mean()))
    spread = float(np.std(areas))
    assert selective.aurc(risk, error) == pytest.approx(float(np.mean(areas)), abs=6 * spread / 10 + 1e-9)


@given(NUMBERS)
def test_a_weight_of_two_is_an_image_counted_twice_in_the_pairs(pairs):
    score, level = (np.array(column, float) for column in zip(*pairs, strict=True))
    positive, weight = level > 2, 1 + (np.arange(len(score)) % 2)
    twice = np.repeat(np.arange(len(score)), weight)
    one, other = selective.auroc(score, positive, weight), selective.auroc(score[twice], positive[twice])
    assert one == pytest.approx(other, nan_ok=True)


@given(NUMBERS)
def test_a_weight_of_zero_leaves_an_image_out(pairs):
    risk, error = (np.array(column, float) for column in zip(*pairs, strict=True))
    kept = np.arange(len(risk)) != 0
    assert selective.recovered(risk, error, kept.astype(float)) == pytest.approx(
        selective.recovered(risk[kept], error[kept]), nan_ok=True
    )


def test_judged_gives_an_interval_over_groups_and_none_for_few():
    rng = np.random.default_rng(0)
    error = rng.random(40)
    risk = error + 0.2 * rng.normal(size=40)
    found = selective.judged(risk, error, [None] * 40)
    value, low, high = found["recovered"]
    assert value == pytest.approx(selective.recovered(risk, error))
    assert low is not None
    assert high is not None
    assert 0 < low < value < high
    area, low, high = found["auroc"]
    assert area is not None
    assert low is not None
    assert high is not None
    assert 0.5 < low < area < high < 1
    assert selective.judged(risk, error, ["a", "b"] * 20)["recovered"][1:] == (None, None)


def test_images_of_a_single_group_have_no_interval_and_no_warning():
    rng = np.random.default_rng(0)
    found = selective.judged(rng.random(12), rng.random(12), ["video"] * 12)
    assert found["recovered"][0] is not None
    assert found["recovered"][1:] == found["auroc"][1:] == (None, None)
