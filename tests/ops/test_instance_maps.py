"""Objects to instance maps and back, judged by plain loops over ids."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from maskwright.core.instances import Instance, Instances
from maskwright.ops.instance_maps import above, cropped, from_map, outside, pieces, resized, to_map

maps = arrays.arrays(np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 5))


@given(maps)
def test_a_map_comes_back_as_it_was(ids):
    numbers = list(range(10, 16))
    found = from_map(ids, numbers, [n / 10 for n in range(6)])
    present = [n for n in range(1, 6) if (ids == n).any()]
    assert [entry.index for entry in found.objects] == [numbers[n - 1] for n in present]
    assert [entry.score for entry in found.objects] == [(n - 1) / 10 for n in present]
    again = to_map(found)
    for place, number in enumerate(present, start=1):
        np.testing.assert_array_equal(again == place, ids == number)


@given(maps)
def test_pieces_are_tight(ids):
    for number, top, left, mask in pieces(ids):
        for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
            assert side.any()
        whole = np.zeros(ids.shape, bool)
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        np.testing.assert_array_equal(whole, ids == number)


def test_the_first_of_overlapping_objects_is_on_top():
    first = Instance(1, 0, 0, np.ones((2, 2), bool))
    second = Instance(1, 1, 1, np.ones((2, 2), bool))
    ids = to_map(Instances((3, 3), (first, second)))
    assert ids.tolist() == [[1, 1, 0], [1, 1, 2], [0, 2, 2]]


def test_a_mask_is_cut_to_its_pixels():
    mask = np.zeros((5, 6), bool)
    assert cropped(mask) is None
    mask[1, 4] = mask[3, 2] = True
    top, left, part = cropped(mask)
    assert (top, left, part.astype(int).tolist()) == (1, 2, [[0, 0, 1], [0, 0, 0], [1, 0, 0]])


def test_a_cut_mask_does_not_keep_the_whole_one():
    """A thousand objects of run-length codes, or of mask files, would hold a thousand masks of the whole image."""
    mask = np.zeros((50, 60), bool)
    mask[20:23, :] = True
    found = cropped(mask)
    assert found is not None
    assert not np.shares_memory(found[2], mask)


@given(maps, st.integers(1, 9), st.integers(1, 9))
def test_resizing_takes_the_nearest_pixel(ids, height, width):
    size = (min(height, ids.shape[0]), min(width, ids.shape[1]))
    small = cv2.resize(ids.astype(np.float32), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT).reshape(size)
    found = resized(from_map(ids, range(1, 6)), size)
    whole = np.zeros(size, np.int32)
    for entry in found.objects:
        whole[entry.rows, entry.columns][entry.mask] = entry.index
    np.testing.assert_array_equal(whole, small.astype(np.int32))
    assert found.size == size


@given(maps, st.data())
def test_parts_of_objects_keep_their_place(ids, data):
    objects = from_map(ids, range(1, 6))
    rows = data.draw(st.integers(1, len(ids)))
    gone = data.draw(arrays.arrays(bool, ids.shape))
    for found, kept in ((above(objects, rows), np.arange(len(ids))[:, None] < rows), (outside(objects, gone), ~gone)):
        whole = np.zeros(ids.shape, np.int32)
        for entry in found.objects:
            assert entry.mask[0].any()
            assert entry.mask[:, -1].any()
            whole[entry.rows, entry.columns][entry.mask] = entry.index
        np.testing.assert_array_equal(whole, np.where(kept, ids, 0))
    assert above(objects, rows).size == (rows, ids.shape[1])
