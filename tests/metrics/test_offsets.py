from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.metrics.offsets import CANDIDATES, Top, ascend, fit_offsets, mean_iou, mean_iou_by_offset

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pixels(seed: int, count: int, classes: int, lean: float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Scores that know the truth but for noise, and hold too little of class 1 by `lean`."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count).astype(np.uint8)
    scores = rng.normal(size=(count, classes)).astype(np.float32)
    scores[np.arange(count), truth] += 1.5
    scores[:, 1] -= np.float32(lean)
    return scores, truth


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), classes=st.integers(2, 5))
def test_every_candidate_scores_what_adding_it_scores(seed: int, classes: int) -> None:
    scores, truth = pixels(seed, 60, classes)
    for index in range(classes):
        values = mean_iou_by_offset(Top(scores), truth, index)
        for candidate, value in zip(CANDIDATES, values, strict=True):
            moved = scores.copy()
            moved[:, index] += np.float32(candidate)
            assert value == pytest.approx(mean_iou(moved, truth), abs=0.02)  # ties at a candidate itself
        assert np.mean(np.abs(values - [mean_iou(added(scores, index, c), truth) for c in CANDIDATES])) < 1e-3


def added(scores: NDArray[np.float32], index: int, value: float) -> NDArray[np.float32]:
    moved = scores.copy()
    moved[:, index] += np.float32(value)
    return moved


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), moves=st.lists(st.tuples(st.integers(0, 4), st.floats(-2, 2)), max_size=8))
def test_the_two_likeliest_stay_right_whatever_is_moved(seed: int, moves: list[tuple[int, float]]) -> None:
    scores, _ = pixels(seed, 50, 5)
    top = Top(scores)
    for index, value in moves:
        top.add(index, value)
        scores = added(scores, index, value)
    fresh = Top(scores)
    np.testing.assert_array_equal(top.first, fresh.first)
    np.testing.assert_array_equal(top.second, fresh.second)


def test_a_class_held_too_low_is_raised() -> None:
    scores, truth = pixels(0, 20_000, 4, lean=1.5)
    before = scores.copy()
    found = ascend(scores, truth)
    np.testing.assert_array_equal(scores, before)
    assert found.argmax() == 1
    assert found[1] - np.delete(found, 1).mean() == pytest.approx(1.5, abs=0.4)
    fitted = fit_offsets(scores, truth, np.arange(len(truth)) % 10)
    assert 0 < fitted[1] < found[1]
    assert mean_iou(scores + fitted, truth) > mean_iou(scores, truth) + 0.01


def test_nothing_is_moved_where_nothing_helps() -> None:
    scores, truth = pixels(1, 5000, 4)
    assert not fit_offsets(scores, truth, np.arange(len(truth)) % 10).any()
    assert not fit_offsets(scores, truth, np.zeros(len(truth), np.int64)).any()


def test_of_one_image_the_pixels_are_halved() -> None:
    """A model from ten images has one validation image, and may find a rare class with an offset only."""
    scores, truth = pixels(0, 20_000, 4, lean=1.5)
    fitted = fit_offsets(scores, truth, np.zeros(len(truth), np.int64))
    assert mean_iou(scores + fitted, truth) > mean_iou(scores, truth) + 0.01


def test_halves_that_do_not_help_each_other_move_nothing() -> None:
    first, second = pixels(2, 5000, 4, lean=1.5), pixels(3, 5000, 4, lean=-1.5)
    scores, truth = (np.concatenate(parts) for parts in zip(first, second, strict=True))
    assert not fit_offsets(scores, truth, np.repeat([0, 1], 5000)).any()


def test_the_climb_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, truth = pixels(0, 2000, 4, lean=1.5)
    now = 0.0

    def tick() -> float:
        nonlocal now
        now += 1.0
        return now

    monkeypatch.setattr(time, "monotonic", tick)
    assert not ascend(scores, truth, deadline=0.5).any()
    now = 0.0
    cut = ascend(scores, truth, deadline=2.5)  # time for two classes
    assert np.unique(cut[2:]).size == 1
    assert cut[1] > cut[3]


def test_a_class_that_is_nowhere_true_is_left_alone() -> None:
    """Pushing it away would end its false alarms here, and it would not be found elsewhere."""
    scores, truth = pixels(0, 2000, 4)
    scores[:, 1] += 2.0  # false alarms of a class that is nowhere true
    keep = truth != 1
    offsets = ascend(scores[keep], truth[keep])
    others = ascend(scores[keep][:, [0, 2, 3]], np.array([0, 9, 1, 2], np.uint8)[truth[keep]])
    assert offsets.tolist() == [others[0], 0.0, others[1], others[2]]
