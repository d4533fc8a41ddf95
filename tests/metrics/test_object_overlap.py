"""Which objects share pixels, and which predicted ones lie in what is ignored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.object_references import iou_matrix
from tests.metrics.objects import SIDE, box, full, image, scene

from maskwright.core.instances import Instance
from maskwright.metrics.object_overlap import compare, joined


def test_by_hand() -> None:
    truth = image(box(0, 0, 4, 4), box(10, 10, 2, 2, index=2, crowd=True))
    found = image(box(2, 1, 4, 3, score=0.5), box(0, 0, 4, 4, index=2, score=0.25))
    compared = compare(truth, found)
    assert compared.pairs.tolist() == [[0, 0]]  # the other one that overlaps is of another class
    assert compared.shared.tolist() == [6]
    assert compared.iou.tolist() == [6 / 22]
    assert (compared.truth.area.tolist(), compared.found.area.tolist()) == ([16, 4], [12, 16])
    assert compared.found.box.tolist() == [[2, 1, 6, 4], [0, 0, 4, 4]]
    assert compared.found.score.tolist() == [0.5, 0.25]
    assert compared.truth.exempt.tolist() == [False, True]
    assert compare(truth, found, by_class=False).pairs.tolist() == [[0, 0], [0, 1]]


def test_boxes_that_overlap_without_a_common_pixel_are_a_pair_of_nothing() -> None:
    ring = np.ones((5, 5), np.bool_)
    ring[1:4, 1:4] = False
    compared = compare(image(Instance(1, 0, 0, ring)), image(box(1, 1, 3, 3)))
    assert (compared.pairs.tolist(), compared.shared.tolist()) == ([[0, 0]], [0])


def test_boxes_that_only_touch_are_no_pair() -> None:
    assert not len(compare(image(box(0, 0, 3, 3)), image(box(3, 0, 3, 3), box(0, 3, 3, 3))).pairs)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_shared_pixels_are_those_of_the_whole_masks(seed: int) -> None:
    truth, found = scene(seed, classes=1)
    compared = compare(truth, found)
    values = np.zeros((len(truth), len(found)))
    values[tuple(compared.pairs.T)] = compared.iou
    np.testing.assert_array_equal(values, iou_matrix(truth, found).reshape(values.shape))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_ignored_pixels_belong_to_no_prediction(seed: int) -> None:
    truth, found = scene(seed, crowds=False)
    ignored = np.random.default_rng(seed).random(truth.size) < 0.55
    outside = ignored & ~np.any(
        [full(entry, truth.size) for entry in truth.objects] or [np.zeros_like(ignored)], axis=0
    )
    compared = compare(truth, found, ignored)
    unseen = np.array([(full(entry, truth.size) & outside).sum() for entry in found.objects])
    areas = np.array([entry.area for entry in found.objects])
    assert compared.found.area.tolist() == (areas - unseen).tolist()
    assert compared.excused.tolist() == compared.found.exempt.tolist() == (unseen > areas / 2).tolist()
    assert compared.shared.tolist() == compare(truth, found).shared.tolist()


@pytest.mark.parametrize(("width", "excused"), [(6, True), (5, False)])
def test_crowds_excuse_predictions_of_their_class_that_lie_mostly_inside(width: int, excused: bool) -> None:
    truth = image(box(0, 0, 10, width, crowd=True))
    compared = compare(truth, image(box(0, 0, 10, 10), box(0, 0, 10, 10, index=2)))
    assert compared.excused.tolist() == [excused, False]
    assert compared.found.exempt.tolist() == [False, False]
    assert compared.found.area.tolist() == [100, 100]


def test_a_crowd_and_ignored_pixels_excuse_together_and_no_pixel_twice() -> None:
    truth = image(box(0, 0, 10, 3, crowd=True))
    ignored = np.zeros(truth.size, np.bool_)
    for columns, excused in ((slice(0, 5), False), (slice(0, 6), True)):
        ignored[:] = False
        ignored[:, columns] = True
        assert compare(truth, image(box(0, 0, 10, 10)), ignored).excused.tolist() == [excused]


def test_a_pixel_in_two_crowds_is_excused_once() -> None:
    """Each stroke of a brush may be a crowd of its own: 3 of 10 columns lie in both, and 6 would be most of them."""
    truth = image(box(0, 0, 10, 3, crowd=True), box(0, 0, 11, 3, crowd=True), box(0, 40, 5, 5, crowd=True))
    compared = compare(truth, image(box(0, 0, 10, 10), box(0, 38, 10, 5)))
    assert compared.excused.tolist() == [False, False]
    more = image(*truth.objects, box(0, 3, 10, 3, crowd=True))
    assert compare(more, image(box(0, 0, 10, 10))).excused.tolist() == [True]


def test_comparisons_join_in_order() -> None:
    parts = [compare(*scene(seed)) for seed in (1, 2, 3)]
    whole = joined(parts)
    assert len(whole.truth) == sum(len(part.truth) for part in parts)
    for number, part in enumerate(parts):
        for ours, theirs in ((whole.truth, part.truth), (whole.found, part.found)):
            assert ours.area[ours.image == number].tolist() == theirs.area.tolist()
        chosen = whole.truth.image[whole.pairs[:, 0]] == number
        assert whole.iou[chosen].tolist() == part.iou.tolist()
        assert (whole.found.image[whole.pairs[chosen, 1]] == number).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), least=st.sampled_from((0.0, 0.3, 0.5, 0.95)))
def test_leaving_out_low_scores_later_is_leaving_them_out_before(seed: int, least: float) -> None:
    pictures = [scene(seed), scene(seed + 10**7)]
    kept = [(truth, image(*(e for e in found.objects if e.score >= least))) for truth, found in pictures]
    late = joined([compare(*pair) for pair in pictures]).above(least)
    early = joined([compare(*pair) for pair in kept])
    for ours, theirs in ((late, early), (late.truth, early.truth), (late.found, early.found)):
        for name, expected in vars(theirs).items():
            if isinstance(expected, np.ndarray):
                np.testing.assert_array_equal(getattr(ours, name), expected)


@pytest.mark.parametrize("at_once", [1, 7, 256])
def test_pairs_are_those_of_a_double_loop(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("maskwright.ops.boxes.AT_ONCE", at_once)
    rng = np.random.default_rng(0)

    def some(count: int) -> list[Instance]:
        corners = rng.integers(0, SIDE - 8, (count, 2)).tolist()
        small = [box(top, left, *rng.integers(1, 8, 2).tolist()) for top, left in corners]
        return [box(0, 0, SIDE, 1), *small, box(0, 0, SIDE, SIDE)]

    truth, found = image(*some(60)), image(*some(50))
    expected = [
        [i, j]
        for i, one in enumerate(truth.objects)
        for j, other in enumerate(found.objects)
        if max(one.top, other.top) < min(one.rows.stop, other.rows.stop)
        and max(one.left, other.left) < min(one.columns.stop, other.columns.stop)
    ]
    assert compare(truth, found).pairs.tolist() == expected
