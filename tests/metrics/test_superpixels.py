"""Measures of superpixels: golden numbers by hand, and a plain second implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.errors import MaskwrightError
from maskwright.metrics.superpixels import (
    agreement,
    boundaries,
    boundary_recall,
    explained_variation,
    undersegmentation_error,
)

HALVES = np.repeat([[0, 0, 0, 1, 1, 1]], 4, axis=0)  # 4x6, cut in the middle
OFF_BY_ONE = np.repeat([[7, 7, 9, 9, 9, 9]], 4, axis=0)


def test_boundaries_lie_on_both_sides_and_not_at_the_border() -> None:
    assert boundaries(HALVES).tolist() == [[False, False, True, True, False, False]] * 4
    assert not boundaries(np.zeros((3, 3), int)).any()


def test_recall_by_hand() -> None:
    assert boundary_recall(HALVES, HALVES) == 1
    # The reach of so small an image is 0: of the columns 2 and 3, only 2 is a boundary of both.
    assert boundary_recall(OFF_BY_ONE, HALVES) == 0.5
    assert boundary_recall(np.zeros((4, 6), int), HALVES) == 0
    assert math.isnan(boundary_recall(HALVES, np.zeros((4, 6), int)))


def test_recall_reaches_a_share_of_the_diagonal() -> None:
    truth, near, far = (np.zeros((300, 400), int) for _ in range(3))  # diagonal 500, reach 1.25, so 1
    truth[:, 100:], near[:, 102:], far[:, 103:] = 1, 1, 1
    assert boundary_recall(near, truth) == 0.5  # 99 and 100 against 101 and 102: 100 is 1 off
    assert boundary_recall(far, truth) == 0
    # Of 180x240 the diagonal is 300 and the reach 0.75, so 1.
    assert boundary_recall(near[:180, :240], truth[:180, :240]) == 0.5


def test_undersegmentation_by_hand() -> None:
    assert undersegmentation_error(HALVES, HALVES) == 0
    # 9 holds 4 pixels of the left half and 12 of the right one: min(4, 12) + min(12, 4) = 8 of 24.
    assert undersegmentation_error(OFF_BY_ONE, HALVES) == pytest.approx(8 / 24)
    assert undersegmentation_error(HALVES, np.zeros((4, 6), int)) == 0


def test_variation_by_hand() -> None:
    image = np.array([[0, 2, 10, 12]])
    # Mean 6: squares 36 + 16 + 16 + 36 = 104; means 1 and 11: 4 * 25 = 100.
    assert explained_variation(np.array([[0, 0, 5, 5]]), image) == pytest.approx(100 / 104)
    assert explained_variation(np.array([[0, 0, 0, 0]]), image) == 0
    assert explained_variation(np.array([[0, 1, 2, 3]]), np.dstack([image, image])) == pytest.approx(1)
    assert explained_variation(np.array([[0, 1, 1, 1]]), np.ones((1, 4))) == 1


@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12))
def test_a_plain_implementation_agrees(seed: int, height: int, width: int) -> None:
    generator = np.random.default_rng(seed)
    labels, truth = generator.integers(-2, 4, (2, height, width))
    leaks = 0
    for superpixel in np.unique(labels):
        for segment in np.unique(truth[labels == superpixel]):
            shared = ((labels == superpixel) & (truth == segment)).sum()
            leaks += min(shared, (labels == superpixel).sum() - shared)
    assert undersegmentation_error(labels, truth) == pytest.approx(leaks / labels.size)
    image = generator.normal(size=(height, width, 3))
    within = sum(
        np.square(image[labels == superpixel] - image[labels == superpixel].mean(axis=0)).sum()
        for superpixel in np.unique(labels)
    )
    total = np.square(image - image.mean(axis=(0, 1))).sum()
    expected = 1 - within / total if total else 1
    assert explained_variation(labels, image) == pytest.approx(expected, abs=1e-9)


def test_annotators_are_averaged_and_the_worst_is_named() -> None:
    none = np.zeros((4, 6), int)
    found = agreement(OFF_BY_ONE, [HALVES, OFF_BY_ONE, none])
    assert (found.recall, found.worst_recall) == (0.75, 0.5)  # who drew no boundary has no recall
    assert (found.error, found.worst_error) == pytest.approx((8 / 72, 8 / 24))
    assert math.isnan(agreement(HALVES, [none]).recall)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(MaskwrightError, match="no annotator"):
        agreement(HALVES, [])
    for measure in (boundary_recall, undersegmentation_error, explained_variation):
        with pytest.raises(MaskwrightError, match=r"shape \(4, 6\) cannot be compared .* shape \(4, 5\)"):
            measure(HALVES, HALVES[:, 1:])
