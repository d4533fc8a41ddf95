from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as judge

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.metrics import confusion

# By hand: truth 0 0 1 1 ignored, prediction 0 1 1 1 0.
TRUTH = np.array([[0, 0, 1, 1, IGNORE]], np.uint8)
PREDICTION = np.array([[0, 1, 1, 1, 0]], np.uint8)


def test_by_hand() -> None:
    matrix = confusion.confusion_matrix(PREDICTION, TRUTH, 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    counts = confusion.per_class(matrix)
    nan = np.nan
    np.testing.assert_allclose(confusion.iou(counts), [1 / 2, 2 / 3, nan])
    np.testing.assert_allclose(confusion.dice(counts), [2 / 3, 4 / 5, nan])
    np.testing.assert_allclose(confusion.precision(counts), [1, 2 / 3, nan])
    np.testing.assert_allclose(confusion.recall(counts), [1 / 2, 1, nan])
    np.testing.assert_allclose(confusion.accuracy(counts), [3 / 4, 3 / 4, nan])
    assert confusion.pixel_accuracy(counts) == 3 / 4
    assert confusion.mean_defined(confusion.iou(counts)) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_missed_and_made_up_classes_count() -> None:
    matrix = confusion.confusion_matrix(np.array([[0, 2]], np.uint8), np.array([[0, 1]], np.uint8), 4)
    counts = confusion.per_class(matrix)
    for rate in (confusion.iou, confusion.dice, confusion.precision):
        np.testing.assert_array_equal(rate(counts), [1, 0, 0, np.nan])
    np.testing.assert_array_equal(confusion.recall(counts), [1, 0, np.nan, np.nan])


def test_one_class() -> None:
    counts = confusion.confusion_matrix(np.zeros(3, np.uint8), np.array([0, 0, IGNORE], np.uint8), 1)
    assert counts.tolist() == [[2]]


def test_nothing_labelled_is_undefined() -> None:
    counts = confusion.per_class(confusion.confusion_matrix(PREDICTION, np.full_like(TRUTH, IGNORE), 2))
    for rate in confusion.RATES.values():
        assert np.isnan(rate(counts)).all()
    assert np.isnan(confusion.pixel_accuracy(counts))
    assert np.isnan(confusion.mean_defined(confusion.iou(counts)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.sampled_from([2, 5, 21, 254, 255]), pixels=st.integers(1, 300))
def test_agrees_with_scikit_learn(seed: int, classes: int, pixels: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, pixels).astype(np.uint8)
    prediction = np.where(random.random(pixels) < 0.5, truth, random.integers(0, classes, pixels)).astype(np.uint8)
    truth[random.random(pixels) < 0.1] = IGNORE
    seen = truth != IGNORE
    matrix = confusion.confusion_matrix(prediction, truth, classes)
    if not seen.any():
        assert matrix.sum() == 0
        return
    t, p = truth[seen], prediction[seen]
    assert np.array_equal(matrix, judge.confusion_matrix(t, p, labels=range(classes)))
    counts = confusion.per_class(matrix)
    options = {"labels": range(classes), "average": None, "zero_division": 0}
    for ours, theirs in [
        (confusion.iou, judge.jaccard_score),
        (confusion.dice, judge.f1_score),
        (confusion.precision, judge.precision_score),
        (confusion.recall, judge.recall_score),
    ]:
        np.testing.assert_allclose(np.nan_to_num(ours(counts)), theirs(t, p, **options))
    assert confusion.pixel_accuracy(counts) == pytest.approx(judge.accuracy_score(t, p))


def test_errors_name_the_label() -> None:
    with pytest.raises(MaskwrightError, match="prediction holds label 3, but there are 3 classes"):
        confusion.confusion_matrix(np.array([3], np.uint8), np.array([0], np.uint8), 3)
    with pytest.raises(MaskwrightError, match="truth holds label 7, but there are 3 classes"):
        confusion.confusion_matrix(np.array([0, 0], np.uint8), np.array([7, IGNORE], np.uint8), 3)
    with pytest.raises(MaskwrightError, match="must agree"):
        confusion.confusion_matrix(np.zeros(3, np.uint8), np.zeros(4, np.uint8), 3)
