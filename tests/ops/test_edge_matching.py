"""The largest matching of edge pixels, against solvers that know no geometry, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from maskwright.ops.edge_matching import matched

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


@given(two_maps(), REACHES)
def test_pixels_where_both_maps_have_an_edge_are_matched(maps: tuple[np.ndarray, np.ndarray], reach: float) -> None:
    found, truth = maps
    of_found, of_truth = matched(found, truth, reach)
    assert of_found[found & truth].all()
    assert of_truth[found & truth].all()


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
