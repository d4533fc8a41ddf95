from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import cdist

from maskwright.ops import distance


def labels_of(seed: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.kron(random.integers(0, 3, (height, width)), np.ones((3, 2))).astype(np.uint8)[: height + 2, : width + 1]


def test_contour_by_hand() -> None:
    labels = np.zeros((6, 7), np.uint8)
    labels[2:5, 2:5] = 1
    inside = np.zeros((6, 7), bool)
    inside[1, 1] = inside[1, 5] = True  # corners touch the square by a corner only: not by a side
    inside[3, 3] = True
    assert not distance.contour(labels)[inside].any()
    assert distance.contour(labels)[~inside].all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 12), width=st.integers(1, 12), reach=st.integers(1, 4))
def test_contour_and_band_are_what_erosion_takes_away(seed: int, height: int, width: int, reach: int) -> None:
    labels = labels_of(seed, height, width)
    contour, band = distance.contour(labels), distance.band(labels, reach)
    for label in range(3):
        mask = labels == label
        assert np.array_equal(contour & mask, mask & ~ndimage.binary_erosion(mask))
        square = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=reach)
        assert np.array_equal(band & mask, mask & ~square)


def test_nearest_by_hand() -> None:
    there, back = distance.nearest_distances(np.array([[0, 0], [10, 10]]), np.array([[3, 4], [10, 10], [0, 1]]))
    assert there.tolist() == [1, 0]
    assert back.tolist() == pytest.approx([5, 0, 1])


@pytest.mark.parametrize("pairs", [0, 10**9])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([3, 30, 2000]), count=st.integers(1, 400))
def test_both_ways_are_exact(pairs: int, seed: int, size: int, count: int) -> None:
    random = np.random.default_rng(seed)
    first = random.integers(0, size, (count, 2)) + 70_000
    second = random.integers(0, size, (random.integers(1, 400), 2)) + 70_000
    exact = cdist(first, second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distance, "PAIRS_A_PIXEL", pairs)
        there, back = distance.nearest_distances(first, second)
    np.testing.assert_allclose(there, exact.min(1), rtol=1e-5)
    np.testing.assert_allclose(back, exact.min(0), rtol=1e-5)


def test_a_box_too_long_for_exact_products_is_transformed() -> None:
    first, second = np.array([[0, 0], [30_000, 1]]), np.array([[1, 0], [30_000, 0]])
    there, back = distance.nearest_distances(first, second)
    assert there.tolist() == back.tolist() == [1, 1]


def test_signed_by_hand() -> None:
    """Two pixels of a region, one of which nothing is known, two around it: the edge lies between pixels."""
    inside = np.array([[True, True, False, False, False]])
    outside = np.array([[False, False, False, True, True]])
    assert distance.signed_distance(inside, outside).tolist() == [[-2.5, -1.5, 0, 1.5, 2.5]]
    assert not distance.signed_distance(inside, np.zeros_like(inside)).any()
    assert not distance.signed_distance(np.zeros_like(inside), outside).any()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 12), width=st.integers(1, 12))
def test_signed_is_the_distance_to_the_nearest_of_the_other_kind(seed: int, height: int, width: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (height, width))
    inside, outside = labels == 0, labels == 1
    field = distance.signed_distance(inside, outside)
    assert (field[labels == 2] == 0).all()
    if inside.any() and outside.any():
        there = cdist(np.argwhere(outside), np.argwhere(inside))
        np.testing.assert_allclose(field[outside], there.min(1) - 0.5, rtol=1e-6)
        np.testing.assert_allclose(field[inside], 0.5 - there.min(0), rtol=1e-6)
