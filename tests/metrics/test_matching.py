"""One-to-one matches, by hand and beside StarDist's formula."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.object_references import iou_matrix, stardist
from tests.metrics.objects import box, flat_scene, image, scene

from maskwright.metrics.matching import THRESHOLDS, best_matches, match_counts
from maskwright.metrics.object_overlap import compare


def test_two_squares_of_which_one_is_shifted() -> None:
    truth = image(box(0, 0, 10, 10), box(20, 0, 10, 10))
    found = image(box(0, 0, 10, 10), box(20, 2, 10, 10))  # IoU 80 / 120
    assert match_counts(truth, found, (0.5, 2 / 3, 0.7)).tolist() == [[2, 0, 0], [2, 0, 0], [1, 1, 1]]


def test_a_merge_and_a_split_of_equal_halves() -> None:
    two, one = image(box(0, 0, 10, 10), box(0, 10, 10, 10)), image(box(0, 0, 10, 20))
    assert match_counts(two, one, (0.5, 0.55)).tolist() == [[1, 0, 1], [0, 1, 2]]
    assert match_counts(one, two, (0.5, 0.55)).tolist() == [[1, 1, 0], [0, 2, 1]]


def test_as_many_objects_as_possible_are_matched() -> None:
    """The best pair, of IoU 1, would leave the two others with one of 0.3; the second best ones have 0.7 and 0.6."""
    truth, found = image(box(0, 0, 1, 10), box(0, 0, 1, 6)), image(box(0, 0, 1, 10), box(0, 3, 1, 7))
    assert match_counts(truth, found, (0.5, 0.65, 0.75)).tolist() == [[2, 0, 0], [1, 1, 1], [1, 1, 1]]


def test_classes_do_not_matter() -> None:
    truth, found = image(box(0, 0, 3, 3)), image(box(0, 0, 3, 3, index=2))
    assert match_counts(truth, found, (0.5,)).tolist() == [[1, 0, 0]]


def test_crowds_are_neither_found_nor_missed() -> None:
    truth = image(box(0, 0, 10, 10, crowd=True))
    assert match_counts(truth, image(), (0.5,)).tolist() == [[0, 0, 0]]
    assert match_counts(truth, image(box(0, 0, 10, 10), box(2, 2, 3, 3)), (0.5,)).tolist() == [[0, 0, 0]]


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_counts_are_those_of_stardist(seed: int) -> None:
    for truth, found in (scene(seed, crowds=False), flat_scene(seed)):
        counts = match_counts(truth, found)
        assert counts.tolist() == [list(stardist(truth, found, threshold)) for threshold in THRESHOLDS]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_of_the_largest_matchings_the_one_with_most_iou_is_taken(seed: int) -> None:
    """As StarDist's assignment, which weighs IoU below any pair."""
    from scipy.optimize import linear_sum_assignment

    truth, found = scene(seed, classes=1, crowds=False)
    if not len(truth) or not len(found):
        return
    compared = compare(truth, found)
    iou = compared.iou
    taken = best_matches(compared, iou, iou >= 0.3)
    scores = iou_matrix(truth, found)
    scores = np.where(scores >= 0.3, scores, 0)  # StarDist weighs pairs below the threshold too
    places = linear_sum_assignment(-(scores >= 0.3).astype(float) - scores / (2 * min(scores.shape)))
    best = scores[places][scores[places] >= 0.3].sum()
    np.testing.assert_allclose(iou[taken].sum(), best)
    assert all(len(set(column)) == len(column) for column in compared.pairs[taken].T.tolist())
