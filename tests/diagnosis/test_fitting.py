"""Over- and under-fitting: intervals of a difference by hand, and curves whose end is known."""

from __future__ import annotations

import pytest

from maskwright.diagnosis.fitting import difference, jumps, past_the_best, still_improves
from maskwright.metrics.scores import Estimate


def test_the_interval_of_a_difference_by_hand() -> None:
    """0.9 (0.87 to 0.95) less 0.7 (0.58 to 0.74): sqrt(0.03^2 + 0.04^2) below, sqrt(0.05^2 + 0.12^2) above."""
    found = difference(Estimate(0.9, 0.87, 0.95), Estimate(0.7, 0.58, 0.74))
    assert found == pytest.approx((0.2, 0.15, 0.33))
    assert difference(Estimate(0.9, None, None), Estimate(0.7, 0.6, 0.8)) == (pytest.approx(0.2), None, None)
    assert difference(Estimate(None, None, None), Estimate(0.7, 0.6, 0.8)) == (None, None, None)


def test_validation_scores_decide_whether_it_still_improves() -> None:
    assert still_improves([0.1, 0.3, 0.4, 0.5, 0.55], []) is True
    assert still_improves([0.1, 0.5, 0.55, 0.55, 0.551], []) is False
    assert still_improves([9, 5, 3, 2, 1], [], higher_is_better=False) is True


def test_without_validation_scores_the_loss_decides() -> None:
    assert still_improves([0.5], [10 - 0.3 * step for step in range(30)]) is True
    assert still_improves([0.5], [1.0] * 30) is False
    assert still_improves([0.5], [1.0] * 19) is None


def test_a_score_that_falls_again_was_past_its_best() -> None:
    assert past_the_best([0.1, 0.6, 0.5, 0.5, 0.5])
    assert not past_the_best([0.1, 0.4, 0.5, 0.5, 0.6])
    assert not past_the_best([0.6, 0.5])


def test_jumps_of_the_loss() -> None:
    assert jumps([3.0, 2.0, 3.0, 2.0, 3.1]) == 1
    assert jumps([3.0, float("nan"), 2.0]) == 1
    assert jumps([]) == 0
