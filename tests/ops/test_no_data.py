"""Pixels without data: marked, found, filled with the mean before a network sees them."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.core.plan import DataPlan
from maskwright.ops.draw import to_rgb8
from maskwright.ops.images import prepare
from maskwright.ops.no_data import missing, no_data, with_holes, with_nan


def test_unsigned_integers_lack_data_only_where_all_channels_say_so() -> None:
    image = np.array([[[0, 0, 0], [0, 0, 200], [5, 6, 7]]], np.uint8)
    marked = with_holes(image, 0)
    assert marked.dtype == np.uint8
    assert no_data(marked).tolist() == [[True, False, False]]
    assert missing(marked).sum() == 3
    np.testing.assert_array_equal(np.asarray(marked), image)


def test_of_other_numbers_each_value_may_be_missing() -> None:
    floats = np.array([[[-9999, 1.0], [-9999, -9999], [2, 3]]], np.float32)
    marked = with_holes(floats, -9999)
    np.testing.assert_array_equal(marked, [[[np.nan, 1], [np.nan, np.nan], [2, 3]]])
    assert no_data(marked).tolist() == [[False, True, False]]
    signed = with_holes(floats.astype(np.int16), -9999)
    np.testing.assert_array_equal(with_nan(signed), marked)


@pytest.mark.parametrize("value", [None, np.nan, -1, 256, 0.5, 9, 1e300])
def test_what_is_not_there_leaves_the_image_itself(value: float | None) -> None:
    image = np.array([[1, 2], [3, 4]], np.uint8)
    assert with_holes(image, value) is image
    assert missing(image) is None
    assert with_holes(image.astype(np.float32), value) is not None


def test_values_are_compared_in_the_type_of_the_image() -> None:
    """GDAL writes the lowest float32 with its decimals, and -9999.9 is no float32."""
    lowest = np.array([[np.finfo(np.float32).min, 1]], np.float32)
    assert no_data(with_holes(lowest, float("-3.4028234663852886e+38"))).tolist() == [[True, False]]
    assert no_data(with_holes(np.array([[-9999.9, 1]], np.float32), -9999.9)).tolist() == [[True, False]]


def test_infinity_is_no_data_and_a_large_sum_is_data() -> None:
    assert no_data(np.array([[np.inf, 1.0]])).tolist() == [[True, False]]
    assert missing(np.full((4, 5), 3e38, np.float32)) is None
    assert missing(np.array([[1, 2]], np.int32)) is None


def test_prepare_fills_with_the_mean_of_the_channel() -> None:
    plan = DataPlan(channels=3, value_range=[(0, 100)] * 3, mean=[50.4, 120.0, 300.0], std=[1.0] * 3)
    image = np.array([[[np.nan] * 3, [100.0, np.nan, 0.0]]])
    assert prepare(image, plan).tolist() == [[[50, 120, 255], [255, 120, 0]]]


def test_prepare_fills_masked_pixels_of_eight_bits_and_grey_ones_too() -> None:
    plan = DataPlan(channels=3, mean=[10.0, 20.0, 30.0], std=[1.0] * 3)
    rgb = with_holes(np.array([[[0, 0, 0], [0, 9, 0]]], np.uint8), 0)
    assert prepare(rgb, plan).tolist() == [[[10, 20, 30], [0, 9, 0]]]
    grey = with_holes(np.array([[0, 7]], np.uint8), 0)
    assert prepare(grey, plan).tolist() == [[[10, 20, 30], [7, 7, 7]]]
    one = DataPlan(channels=1, mean=[99.0], std=[1.0])
    assert prepare(rgb, one).tolist() == [[[99], [5]]]  # 0.587 x 9 = 5.3


def test_a_picture_of_an_image_is_stretched_by_what_is_known() -> None:
    image = np.tile(np.arange(100, dtype=np.uint16)[:, None, None] * 10, (1, 4, 1))
    image[:3] = 65535
    shown = to_rgb8(with_holes(image, 65535))
    assert shown[:3].max() == 0
    assert int(shown[50, 0, 0]) == pytest.approx(124, abs=3)
