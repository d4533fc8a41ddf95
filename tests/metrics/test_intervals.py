from __future__ import annotations

import numpy as np

from maskwright.metrics.intervals import bootstrap, by_group


def mean(totals: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return totals[:, :1] / totals[:, 1:]


def test_groups_add_up_and_loners_stay() -> None:
    totals = by_group(np.array([[1.0], [2.0], [4.0], [8.0]]), ["a", None, "a", None])
    assert totals.tolist() == [[5], [2], [8]]


def test_a_loner_is_no_group_of_the_same_name() -> None:
    assert len(by_group(np.ones((2, 1)), ["0", None])) == 2


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        values = random.normal(0.7, 0.1, 60)
        low, high = bootstrap(np.stack([values, np.ones(60)], 1), mean, seed, resamples=400)
        covered += bool(low[0] <= 0.7 <= high[0])
    assert 180 <= covered <= 199  # 95 % of 200, give or take three standard deviations


def test_agrees_with_the_normal_theory() -> None:
    values = np.random.default_rng(1).normal(0, 1, 400)
    low, high = bootstrap(np.stack([values, np.ones(400)], 1), mean, 0)
    error = values.std() / 20
    np.testing.assert_allclose([low[0], high[0]], values.mean() + 1.96 * error * np.array([-1, 1]), atol=0.2 * error)


def test_groups_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(2).normal(0, 1, 20), 20)
    sums = np.stack([values, np.ones(400)], 1)
    alone = np.subtract(*bootstrap(sums, mean, 0)[::-1])
    together = np.subtract(*bootstrap(by_group(sums, [str(index // 20) for index in range(400)]), mean, 0)[::-1])
    assert together > 3 * alone


def test_same_seed_same_interval() -> None:
    sums = np.stack([np.arange(10.0), np.ones(10)], 1)
    assert np.array_equal(bootstrap(sums, mean, 3), bootstrap(sums, mean, 3))
    assert not np.array_equal(bootstrap(sums, mean, 3), bootstrap(sums, mean, 4))


def test_one_image_bounds_nothing() -> None:
    assert np.isnan(bootstrap(np.array([[1.0, 1.0]]), mean, 0)).all()


def test_rarely_defined_values_use_the_draws_that_have_them() -> None:
    # Only one of two images shows the class: a quarter of the draws have no value, the others all have 0.5.
    low, high = bootstrap(np.array([[0.5, 1.0], [0.0, 0.0]]), mean, 0)
    assert (low[0], high[0]) == (0.5, 0.5)
    assert np.isnan(bootstrap(np.zeros((2, 2)), mean, 0)).all()
