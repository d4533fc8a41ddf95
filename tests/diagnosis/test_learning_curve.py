"""Learning curves: planted ones are found again, no curve falls, and the intervals cover what comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.diagnosis import learning_curve
from maskwright.diagnosis.learning_curve import fit

SIZES = (25, 50, 100, 200)


def test_a_planted_curve_is_found_again() -> None:
    """a = 0.8, b = 1, c = 1/2: 0.6, 0.6586, 0.7, 0.7293; at 400 images 0.75."""
    curve = fit(SIZES, [0.8 - n**-0.5 for n in SIZES])
    assert curve.score(400) == pytest.approx(0.75, abs=2e-3)
    assert curve.gain(200, 200) == pytest.approx(0.75 - 0.8 + 200**-0.5, abs=2e-3)
    assert curve.images_for(0.75) == pytest.approx(400, rel=0.06)
    assert curve.images_for(0.95) == np.inf


def test_a_point_by_hand() -> None:
    curve = learning_curve.Curve(0.9, 2.0, 1.0, np.array([[0.9, 2.0, 1.0], [0.9, 4.0, 1.0]]), 0.0, np.zeros(2))
    assert curve.score(10) == pytest.approx(0.7)
    assert curve.gain(10, 10) == pytest.approx(0.1)
    assert curve.images_for(0.8) == pytest.approx(20)
    assert curve.interval(10, 1.0) == pytest.approx((0.5, 0.7))
    assert curve.gain_interval(10, 10, 1.0) == pytest.approx((0.1, 0.2))


@settings(max_examples=25)
@given(
    st.floats(0.4, 1.0),
    st.floats(0.0, 2.0),
    st.floats(0.1, 1.5),
    st.integers(4, 60),
    st.sampled_from([0.0, 0.01, 0.05]),
)
def test_curves_rise_and_their_intervals_hold_them(a: float, b: float, c: float, least: int, noise: float) -> None:
    sizes = [least * 2**step for step in range(4)]
    rng = np.random.default_rng(least)
    curve = fit(sizes, [a - b * n**-c + rng.normal(0, noise) for n in sizes])
    values = [curve.score(n) for n in (*sizes, 2 * sizes[-1], 100 * sizes[-1])]
    assert values == sorted(values)
    assert values[-1] <= 1
    assert curve.gain(sizes[-1], sizes[-1]) >= 0
    low, high = curve.gain_interval(sizes[-1], sizes[-1])
    assert 0 <= low <= high
    low, high = curve.interval(2 * sizes[-1])
    assert low < curve.score(2 * sizes[-1]) < high


@settings(max_examples=25)
@given(st.floats(0.5, 0.95), st.floats(0.1, 1.5), st.floats(0.3, 1.0))
def test_without_noise_twice_the_images_are_predicted_within_two_points(a: float, b: float, c: float) -> None:
    curve = fit(SIZES, [a - b * n**-c for n in SIZES])
    assert curve.score(400) == pytest.approx(a - b * 400**-c, abs=0.02)


def test_intervals_of_80_percent_cover_the_next_training() -> None:
    """Four trainings, a spread of 1.2 points between trainings, at twice the images."""
    rng, hits, errors = np.random.default_rng(0), [], []
    for draw in range(80):
        a, b, c = rng.uniform(0.6, 0.9), rng.uniform(0.3, 2), np.exp(rng.normal(np.log(0.5), 0.5))
        scores = [a - b * n**-c + rng.normal(0, 0.012) for n in SIZES]
        truth = a - b * 400**-c + rng.normal(0, 0.012)
        curve = fit(SIZES, scores, seed=draw)
        low, high = curve.interval(400, 0.8)
        hits.append(low <= truth <= high)
        errors.append(abs(curve.score(400) - truth))
    assert 0.75 <= np.mean(hits) <= 0.95
    assert np.mean(errors) < 0.02


def test_what_is_hard_for_all_trainings_cancels_in_a_gain() -> None:
    """Images that differ widely widen the interval of a score, but not that of a gain."""
    scores = [0.8 - n**-0.5 for n in SIZES]
    hard = np.random.default_rng(1).normal(0, 0.2, 30)
    plain = fit(SIZES, scores)
    wide = fit(SIZES, scores, np.array(scores) + hard[:, None])
    width = [np.diff(curve.interval(400))[0] for curve in (plain, wide)]
    gains = [np.diff(curve.gain_interval(200, 200))[0] for curve in (plain, wide)]
    assert width[1] > 1.5 * width[0]
    assert gains[1] < 1.2 * gains[0]


def test_images_of_one_group_are_drawn_together() -> None:
    scores = [0.8 - n**-0.5 for n in SIZES]
    hard = np.repeat(np.random.default_rng(1).normal(0, 0.2, 6), 10)
    each = np.array(scores) + hard[:, None]
    alone = fit(SIZES, scores, each).interval(400)
    together = fit(SIZES, scores, each, [str(place // 10) for place in range(60)]).interval(400)
    assert np.diff(together)[0] > 1.5 * np.diff(alone)[0]
    assert fit(SIZES, scores, each, ["one"] * 60).interval(400) == pytest.approx(
        fit(SIZES, scores).interval(400), abs=0.01
    )
