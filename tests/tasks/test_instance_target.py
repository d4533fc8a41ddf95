"""Depths and borders: golden numbers, and SciPy's distance transform as a judge."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from maskwright.tasks.instance_target import borders, depths, object_values

maps = arrays.arrays(np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3))


def test_a_square_is_deepest_in_its_middle():
    ids = np.zeros((7, 7), np.int32)
    ids[1:6, 1:6] = 4
    third = np.float32(1 / 3)
    expected = np.zeros((7, 7), np.float32)
    expected[1:6, 1:6] = third
    expected[2:5, 2:5] = 2 * third
    expected[3, 3] = 1
    np.testing.assert_allclose(depths(ids), expected, rtol=1e-6)


def test_touching_objects_have_an_edge_between_them():
    ids = np.array([[0, 1, 1, 1, 2, 2, 2, 0]], np.int32).repeat(9, 0)
    row = depths(ids)[4]
    np.testing.assert_allclose(row, [0, 0.5, 1, 0.5, 0.5, 1, 0.5, 0])


def test_the_edge_of_the_image_is_no_edge():
    ids = np.zeros((5, 6), np.int32)
    ids[:, :3] = 1
    np.testing.assert_allclose(depths(ids)[2], [1, 2 / 3, 1 / 3, 0, 0, 0], rtol=1e-6)
    assert (depths(np.ones((3, 4), np.int32)) == 1).all()


def test_a_pixel_alone_is_its_own_middle():
    ids = np.zeros((3, 3), np.int32)
    ids[1, 1] = 70_000
    assert depths(ids)[1, 1] == 1


@given(maps)
def test_depths_equal_a_transform_of_each_object(ids):
    found = depths(ids)
    assert (found[ids == 0] == 0).all()
    for number in set(ids[ids > 0].tolist()):
        mask = ids == number
        wide = np.pad(mask, 20, mode="edge")  # the object continues beyond the edge of the image
        if wide.all():
            continue
        distance = ndimage.distance_transform_edt(wide)[20:-20, 20:-20]
        np.testing.assert_allclose(found[mask], distance[mask] / distance[mask].max(), rtol=1e-4)


def test_borders_lie_where_two_objects_are_near():
    ids = np.zeros((1, 12), np.int32)
    ids[0, 1:4], ids[0, 5:8], ids[0, 11] = 1, 2, 2
    assert np.flatnonzero(borders(ids)[0]).tolist() == [3, 4, 5]


@given(maps)
def test_borders_equal_a_plain_search(ids):
    found = borders(ids)
    for row, column in np.ndindex(ids.shape):
        near = ids[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        assert found[row, column] == (len(set(near[near > 0].tolist())) > 1)


def test_nothing_is_known_of_ignored_pixels():
    ids = np.ones((4, 4), np.int32)
    unknown = np.zeros((4, 4), bool)
    unknown[0] = True
    values = object_values(ids, unknown)
    assert np.isnan(values[:, 0]).all()
    assert np.isfinite(values[:, 1:]).all()
