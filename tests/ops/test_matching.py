"""The matching of least cost, against every other one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskwright.ops.matching import matched

COSTS = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-9, 9))


@given(COSTS)
def test_no_other_matching_costs_less(costs: np.ndarray) -> None:
    rows, columns = matched(costs)
    assert len(rows) == min(costs.shape)
    assert (np.diff(rows) > 0).all()
    table = costs if costs.shape[0] <= costs.shape[1] else costs.T
    least = min(
        sum(table[row, column] for row, column in enumerate(order))
        for order in permutations(range(table.shape[1]), table.shape[0])
    )
    assert costs[rows, columns].sum() == pytest.approx(least)


@given(COSTS.filter(lambda costs: costs.shape[0] > 1), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_costs_that_are_not_finite_are_avoided_where_that_is_possible(costs: np.ndarray, strange: float) -> None:
    costs[0] = strange
    rows, columns = matched(costs)
    assert len(rows) == min(costs.shape)
    assert (0 in rows) == (costs.shape[0] <= costs.shape[1])
    assert np.isfinite(costs[rows, columns]).sum() == min(costs.shape[0] - 1, costs.shape[1])


def test_nothing_is_matched_with_nothing() -> None:
    assert [len(part) for part in matched(np.zeros((3, 0)))] == [0, 0]
