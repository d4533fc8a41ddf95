"""The largest matching of edge pixels, against solvers that know no geometry, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from maskwright.ops import edge_matching
from maskwright.ops.edge_matching import Matcher, matched

REACHES = st.sampled_from([0.0, 0.9, 1.0, 1.5, 2.0, 2.3, 3.2, 30.0])


@st.composite
def two_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    return draw(arrays(np.bool_, shape)), draw(arrays(np.bool_, shape))


def distances(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.argwhere(found)[:, None] - np.argwhere(truth)[None], axis=-1)


def largest(possible: np.ndarray) -> int:
    """Count the pairs of a largest matching by SciPy's Hopcroft and Karp."""
    if not possible.size:
        return 0
    return int(np.count_nonzero(maximum_bipartite_matching(csr_array(possible), "column") >= 0))


@given(two_maps(), REACHES)
def test_no_matching_has_more_pairs(maps: tuple[np.ndarray, np.ndarray], reach: float) -> None:
    found, truth = maps
    of_found, of_truth = matched(found, truth, reach)
    assert not (of_found & ~found).any()
    assert not (of_truth & ~truth).any()
    possible = distances(found, truth) <= reach
    # The matched pixels alone can be matched completely, and no matching is larger.
    among = possible[np.ix_(of_found[found], of_truth[truth])]
    assert of_found.sum() == of_truth.sum() == largest(possible) == largest(among)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.02, 0.3), st.floats(0.02, 0.3))
def test_no_matching_has_more_pairs_where_paths_are_long(seed: int, dense: float, other: float) -> None:
    random = np.random.default_rng(seed)
    found, truth = random.random((40, 50)) < dense, random.random((40, 50)) < other
    of_found, _ = matched(found, truth, 2.5)
    assert of_found.sum() == largest(distances(found, truth) <= 2.5)


def least_cost(distance: np.ndarray, reach: float) -> float:
    """Return the least sum of distances, where a pair that is not possible costs far more than all others together."""
    cost = np.where(distance <= reach, distance, 1e6)
    return float(cost[linear_sum_assignment(cost)].sum())


@given(two_maps(), REACHES)
def test_the_found_pixels_are_those_of_the_shortest_pairs(maps: tuple[np.ndarray, np.ndarray], reach: float) -> None:
    found, truth = maps
    of_found, _ = matched(found, truth, reach)
    chosen = distances(of_found, truth)
    cost = least_cost(chosen, reach)
    assert cost < 1e6
    alone = min(found.sum(), truth.sum()) - of_found.sum()
    assert least_cost(distances(found, truth), reach) == pytest.approx(cost + 1e6 * alone, abs=1e-6)


@pytest.mark.parametrize("cells", [0, 10_000])
def test_large_and_small_parts_get_the_same_least_sum(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A part with more cells than that is solved as a linear programme.
    monkeypatch.setattr(edge_matching, "DENSE", cells)
    random = np.random.default_rng(0)
    found, truth = (random.random((60, 60)) < share for share in (0.2, 0.15))
    of_found, of_truth = matched(found, truth, 2.9)
    assert of_found.sum() == of_truth.sum() == largest(distances(found, truth) <= 2.9)
    cost = least_cost(distances(of_found, truth), 2.9)
    assert cost == pytest.approx(least_cost(distances(found, truth), 2.9) % 1e6, abs=1e-6)


@given(st.lists(two_maps().map(lambda maps: maps[0]), min_size=2, max_size=4), two_maps(), REACHES)
def test_what_was_matched_before_changes_no_number(
    earlier: list[np.ndarray], maps: tuple[np.ndarray, np.ndarray], reach: float
) -> None:
    found, truth = maps
    matcher = Matcher(truth, reach)
    for other in earlier:
        matcher.matched(np.resize(other, truth.shape))
    of_found, of_truth = matcher.matched(found)
    assert of_found.sum() == of_truth.sum() == matched(found, truth, reach)[0].sum()
    assert not (of_found & ~found).any()
    shortest = least_cost(distances(matched(found, truth, reach)[0], truth), reach)
    assert least_cost(distances(of_found, truth), reach) == pytest.approx(shortest, abs=1e-6)


def test_the_nearer_of_two_found_lines_is_matched() -> None:
    found, truth = np.zeros((2, 12, 30), bool)
    truth[5, 4:26] = True
    found[3, 4:26] = found[6, 4:26] = True
    of_found, of_truth = matched(found, truth, 2.5)
    assert np.array_equal(of_truth, truth)
    assert np.flatnonzero(of_found.any(axis=1)).tolist() == [6]


def test_a_pair_more_moves_all_others() -> None:
    # Within a reach of 1 the greedy pairs are 1-1, 2-2, ..., 9-9; found 0 gets a partner only if all of them move.
    found, truth = np.zeros((2, 1, 11), bool)
    found[0, :10] = True
    truth[0, 1:] = True
    of_found, of_truth = matched(found, truth, 1)
    assert of_found.sum() == of_truth.sum() == 10


def test_the_reach_includes_its_end() -> None:
    found, truth = np.zeros((2, 5, 6), bool)
    found[0, 0] = truth[3, 4] = True
    assert matched(found, truth, 5)[0].sum() == 1
    assert matched(found, truth, 4.99)[0].sum() == 0


@pytest.mark.parametrize("shift", [1, 3, 10])
@pytest.mark.parametrize("reach", [2.9, 4.34])
def test_a_shifted_line_is_found_within_the_reach(shift: int, reach: float) -> None:
    found, truth = np.zeros((2, 40, 50), bool)
    truth[15, 5:45] = True
    found[15 + shift, 5:45] = True
    of_found, of_truth = matched(found, truth, reach)
    assert of_found.sum() == of_truth.sum() == (40 if shift <= reach else 0)


def test_nothing_is_matched_with_nothing() -> None:
    empty, full = np.zeros((4, 5), bool), np.ones((4, 5), bool)
    for found, truth in ((empty, empty), (empty, full), (full, empty)):
        assert not np.any(matched(found, truth, 2))
