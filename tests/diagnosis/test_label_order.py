"""What to label next: the riskiest first, and near-duplicates that are not named twice."""

from __future__ import annotations

import numpy as np

from maskwright.diagnosis.label_order import order


def test_the_riskiest_first_and_then_another_kind() -> None:
    risks = np.array([0.5, 0.49, 0.3, 0.1])
    features = np.array([[0.0, 7.0], [0.01, 7.0], [1.0, 7.0], [1.0, 7.0]])
    assert order(risks, features, 2) == [0, 2]
    assert sorted(order(risks, features, 9)) == [0, 1, 2, 3]
