"""Targets follow their image: shrunk, warped, unknown, frozen."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.core.classes import IGNORE
from maskwright.core.targets import Target
from maskwright.data.geometry import CropView, warp_labels
from maskwright.data.targets import frozen, shrunk, unknown, warped
from maskwright.ops.images import shrink_labels
from maskwright.ops.instance_maps import from_map, to_map


def measured(height: int, width: int) -> Target:
    """Values that repeat the labels: whatever happens to one must happen to the other."""
    labels = np.random.default_rng(0).integers(0, 5, (height, width)).astype(np.uint8)
    labels[:2] = IGNORE
    values = np.where(labels == IGNORE, np.nan, labels).astype(np.float32)
    return Target(labels, np.stack([values, values + 10]))


def agree(target: Target) -> None:
    known = target.labels != IGNORE
    assert target.values is not None
    for plane, shift in zip(target.values, (0, 10), strict=True):
        np.testing.assert_array_equal(np.isnan(plane), ~known)
        np.testing.assert_array_equal(plane[known], target.labels[known] + shift)


def test_labels_alone_keep_thin_structures_and_with_values_they_agree() -> None:
    target = measured(20, 30)
    alone = shrunk(Target(target.labels), (10, 15))
    np.testing.assert_array_equal(alone.labels, shrink_labels(target.labels, (10, 15)))
    small = shrunk(target, (10, 15))
    agree(small)
    assert (small.values.shape, small.values.dtype) == ((2, 10, 15), np.float32)
    for row in range(10):
        for column in range(15):
            here = target.values[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(2, 4)
            assert any(np.array_equal(small.values[:, row, column], one, equal_nan=True) for one in here.T)


def test_labels_shrink_as_their_objects_do() -> None:
    """Thin and tiny objects, which labels alone would let grow."""
    ids = np.zeros((21, 33), np.int32)
    ids[3, 2:30], ids[6:8, 5:7], ids[10:20, 11:22], ids[10:20, 23:33] = 1, 2, 3, 4
    target = Target((ids > 0).astype(np.uint8), instances=from_map(ids, [1, 1, 1, 1]))
    for size in ((10, 15), (9, 20), (30, 40)):
        small = shrunk(target, size)
        np.testing.assert_array_equal(small.labels > 0, to_map(small.instances) > 0)


def test_a_target_of_the_size_asked_for_keeps_its_values() -> None:
    target = measured(6, 7)
    same = shrunk(target, (6, 7))
    assert same.values is target.values
    np.testing.assert_array_equal(same.labels, target.labels)
    assert shrunk(Target(target.labels), (3, 4)).values is None


def test_a_crop_cuts_labels_and_values_alike() -> None:
    target = measured(40, 50)
    angle = np.deg2rad(30)
    linear = 1.3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    view = CropView(linear, np.array([22.0, 19.0]), (24, 32))
    crop = warped(target, view)
    assert crop.values.shape == (2, 24, 32)
    assert (crop.labels == IGNORE).any()
    agree(crop)
    np.testing.assert_array_equal(crop.labels, warp_labels(target.labels, view))
    assert warped(Target(target.labels), view).values is None


def test_nothing_is_known() -> None:
    blank = unknown(measured(4, 5), (2, 3))
    assert (blank.labels == IGNORE).all()
    assert blank.size == (2, 3)
    assert blank.values.shape == (2, 2, 3)
    assert np.isnan(blank.values).all()
    assert unknown(Target(np.zeros((4, 5), np.uint8)), (2, 3)).values is None


def test_a_frozen_target_cannot_be_written_to() -> None:
    target = measured(4, 5)
    assert frozen(target) is target
    for array in (target.labels, target.values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
