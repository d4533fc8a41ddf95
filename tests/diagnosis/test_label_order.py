"""What to label next: the expected overlap by hand, and near-duplicates that are not named twice."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.diagnosis.label_order import expected_risk, order


def test_the_expected_loss_of_overlap_by_hand() -> None:
    """Class 0: two pixels at 0.9 and 0.5, class 1: one at 0.6. Missed 1 in all, so 1/2 a class: 1.4/2.5 and 0.6/1.5."""
    labels, confidence = np.array([[0, 0, 1, 255]], np.uint8), np.array([[0.9, 0.5, 0.6, 0.1]])
    assert expected_risk(labels, confidence, 3) == pytest.approx(1 - (1.4 / 2.5 + 0.6 / 1.5) / 2)
    assert expected_risk(labels, np.ones((1, 4)), 3) == 0
    assert expected_risk(np.full((2, 2), 255, np.uint8), np.ones((2, 2)), 3) == 0


def test_the_riskiest_first_and_then_another_kind() -> None:
    risks = np.array([0.5, 0.49, 0.3, 0.1])
    features = np.array([[0.0, 7.0], [0.01, 7.0], [1.0, 7.0], [1.0, 7.0]])
    assert order(risks, features, 2) == [0, 2]
    assert sorted(order(risks, features, 9)) == [0, 1, 2, 3]
