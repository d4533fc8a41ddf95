"""Connected regions of label maps: by hand, against SciPy, and what becomes of those that go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from maskwright.core.classes import IGNORE
from maskwright.ops.small_regions import regions_of
from maskwright.ops.tiles import UNCUT, Cuts

SPECK = np.array([[0, 0, 0, 0], [0, 1, 0, 2], [0, 0, 2, 2]], np.uint8)


def test_areas_borders_and_heirs_by_hand() -> None:
    found = regions_of(SPECK, 3)
    assert found.labels.tolist() == [0, 1, 2]
    assert found.areas.tolist() == [8, 1, 3]
    # The speck of class 1 has four neighbours of class 0; class 2 has one above it and two at its left.
    assert found.borders.tolist() == [[0, 4, 4], [4, 0, 0], [4, 0, 0]]
    assert found.surrounding.tolist() == [1, 0, 0]
    assert found.without(found.areas < 2).tolist() == [[0, 0, 0, 0], [0, 0, 0, 2], [0, 0, 2, 2]]


def test_a_region_without_a_border_and_one_without_a_class_stay() -> None:
    alone = np.full((3, 4), 2, np.uint8)
    np.testing.assert_array_equal(regions_of(alone, 3).without(np.ones(1, np.bool_)), alone)
    half = np.full((2, 4), IGNORE, np.uint8)
    half[:, 2:] = 1
    found = regions_of(half, 3)
    assert found.borders.tolist() == [[0, 0, 0], [0, 2, 0]]  # what is ignored is no class
    np.testing.assert_array_equal(found.without(np.ones(2, np.bool_)), half)


def test_borders_hold_no_more_than_the_classes() -> None:
    """An image with noise has hundreds of thousands of regions, so each must not have a number for 256 labels."""
    noise = np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.uint8)
    noise[:8] = IGNORE
    borders = regions_of(noise, 2).borders
    held = borders if borders.base is None else borders.base
    assert held.nbytes == borders.nbytes == len(borders) * 2 * 8


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
def test_regions_are_those_of_scipy(seed: int, height: int, width: int, classes: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, (height, width)).astype(np.uint8)
    found = regions_of(labels, classes)
    np.testing.assert_array_equal(found.labels[found.ids], labels)
    expected = [
        (index, int((places == number).sum()))
        for index in range(classes)
        for places, count in [ndimage.label(labels == index, np.ones((3, 3)))]
        for number in range(1, count + 1)
    ]
    assert sorted(expected) == sorted(zip(found.labels.tolist(), found.areas.tolist(), strict=True))
    assert found.borders.sum() == 2 * ((labels[1:] != labels[:-1]).sum() + (labels[:, 1:] != labels[:, :-1]).sum())


def test_a_region_that_is_cut_stays_since_the_rest_of_it_is_unknown() -> None:
    labels = np.zeros((5, 6), np.uint8)
    labels[0, 1] = labels[4, 3] = labels[2, 0] = labels[1, 5] = labels[2, 3] = 1
    for cuts, place in (("top", (0, 1)), ("bottom", (4, 3)), ("left", (2, 0)), ("right", (1, 5))):
        found = regions_of(labels, 2, Cuts(**{cuts: True}))
        left = np.argwhere(found.without(found.areas < 2))
        assert left.tolist() == [list(place)]
    assert not regions_of(labels, 2).without(found.areas < 2).any()


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (slice(0, 9), slice(0, 7), UNCUT),
        (slice(0, 12), slice(0, 12), UNCUT),
        (slice(1, 9), slice(0, 6), Cuts(top=True, right=True)),
        (slice(0, 8), slice(1, 7), Cuts(bottom=True, left=True)),
    ],
)
def test_a_part_is_cut_where_the_image_goes_on(rows: slice, columns: slice, expected: Cuts) -> None:
    assert Cuts.of(rows, columns, (9, 7)) == expected
