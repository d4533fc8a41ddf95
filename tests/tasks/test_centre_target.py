"""Centres and offsets of objects: golden numbers, and what a warp does to the offsets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from maskwright.core.plan import AugmentPlan
from maskwright.core.targets import Target
from maskwright.data.geometry import LINEAR_DRAWS, linear_part, placed
from maskwright.data.targets import shrunk, unknown, warped, without
from maskwright.tasks.centre_target import centre_values

maps = arrays.arrays(np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3))


def known(ids: np.ndarray) -> np.ndarray:
    return np.zeros(ids.shape, bool)


def test_the_centre_of_a_parted_object_lies_between_its_parts():
    ids = np.zeros((5, 9), np.int32)
    ids[2, [0, 1, 7, 8]] = 1
    heat, offsets = centre_values(ids, known(ids))
    assert np.unravel_index(heat.argmax(), heat.shape) == (2, 4)
    assert heat[2, 4] == 1
    assert heat[2, 6] == pytest.approx(math.exp(-4 / (2 * 2.0**2)))  # a small object has a spread of 2 px
    assert offsets[0, 2, [0, 1, 7, 8]].tolist() == [4, 3, -3, -4]
    assert offsets[1, 2, [0, 1, 7, 8]].tolist() == [0, 0, 0, 0]
    assert np.isnan(offsets[:, ids == 0]).all()


def test_the_heat_of_a_large_object_is_wide_and_that_of_neighbours_does_not_add_up():
    ids = np.zeros((60, 60), np.int32)
    ids[:, :30], ids[:, 30:] = 1, 2
    heat, _ = centre_values(ids, known(ids))
    spread = math.sqrt(4 / math.pi * 1800) / 6
    rows, columns = np.indices(ids.shape)
    each = [np.exp(((rows - 30) ** 2 + (columns - column) ** 2) / (-2 * spread**2)) for column in (14, 44)]
    np.testing.assert_allclose(heat[22:38, 10:50], np.maximum(*each)[22:38, 10:50], rtol=1e-5)


@given(maps)
def test_offsets_lead_to_the_mean_of_the_pixels(ids):
    _, offsets = centre_values(ids, known(ids))
    for number in set(ids[ids > 0].tolist()):
        rows, columns = np.nonzero(ids == number)
        np.testing.assert_allclose(rows + offsets[1, rows, columns], rows.mean(), atol=1e-5)
        np.testing.assert_allclose(columns + offsets[0, rows, columns], columns.mean(), atol=1e-5)


def test_nothing_is_known_of_ignored_pixels():
    ids = np.ones((4, 4), np.int32)
    gone = known(ids)
    gone[0] = True
    assert np.isnan(centre_values(ids, gone)[0][0]).all()


def square() -> Target:
    ids = np.zeros((40, 60), np.int32)
    ids[10:22, 20:44] = 1
    heat, offsets = centre_values(ids, known(ids))
    return Target((ids > 0).astype(np.uint8), heat[None], vectors=offsets)


@given(st.lists(st.floats(0, 0.99), min_size=LINEAR_DRAWS, max_size=LINEAR_DRAWS))
def test_offsets_turn_and_scale_with_the_image(draws):
    augment = AugmentPlan(flip_vertical=0.5, transpose=0.5, rotate=180)
    view = placed(linear_part(augment, draws), (40, 60), (64, 64), (16, 32), (0.5, 0.5))
    found = warped(square(), view)
    rows, columns = np.nonzero(found.labels == 1)
    if not len(rows):
        return
    assert found.vectors is not None
    x, y = columns + found.vectors[0, rows, columns], rows + found.vectors[1, rows, columns]
    nearest = 1.5 * abs(np.linalg.inv(view.linear)).sum(axis=1).max()  # the nearest source pixel is taken
    assert np.abs(x - np.median(x)).max() < nearest
    assert np.abs(y - np.median(y)).max() < nearest


def test_offsets_shrink_with_the_target_and_go_with_the_data():
    small = shrunk(square(), (20, 30))
    assert small.vectors is not None
    np.testing.assert_allclose(small.vectors[0, 7, 10:12], [10.5 / 2, 8.5 / 2])  # of pixels 21 and 23
    gone = np.zeros((20, 30), bool)
    gone[7, 10] = True
    left = without(small, gone)
    assert left.vectors is not None
    assert np.isnan(left.vectors[:, 7, 10]).all()
    assert np.isfinite(left.vectors[:, 7, 11]).all()
    blank = unknown(small, (4, 5))
    assert blank.vectors is not None
    assert blank.vectors.shape == (2, 4, 5)
    assert np.isnan(blank.vectors).all()
