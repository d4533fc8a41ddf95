from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan
from maskwright.ops import images
from maskwright.ops.images import (
    prepare,
    resize_image,
    resize_labels,
    shrink_labels,
    to_channels,
    to_uint8,
    working_size,
)


def plan(channels=3, scale=1.0, value_range=None):
    return DataPlan(
        channels=channels, scale=scale, value_range=value_range, mean=[0.0] * channels, std=[1.0] * channels
    )


def test_working_size_rounds_half_up_and_never_vanishes():
    assert working_size(360, 480, 0.5) == (180, 240)
    assert working_size(5, 3, 0.5) == (3, 2)
    assert working_size(1, 4, 0.1) == (1, 1)


def test_grey_becomes_rgb_by_replication():
    image = np.array([[[7], [9]]], np.uint16)
    rgb = to_channels(image, 3)
    assert rgb.dtype == np.uint16
    assert rgb.tolist() == [[[7, 7, 7], [9, 9, 9]]]


def test_alpha_is_dropped():
    assert to_channels(np.array([[[1, 2, 3, 99]]], np.uint8), 3).tolist() == [[[1, 2, 3]]]
    assert to_channels(np.array([[[5, 99]]], np.uint8), 1).tolist() == [[[5]]]
    assert to_channels(np.array([[[5, 99]]], np.uint8), 3).tolist() == [[[5, 5, 5]]]


def test_rgb_becomes_grey_by_luma():
    # 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153.0
    assert to_channels(np.array([[[100, 200, 50]]], np.uint8), 1).tolist() == [[[153]]]
    assert to_channels(np.array([[[100, 200, 50, 1]]], np.uint8), 1).tolist() == [[[153]]]
    assert to_channels(np.array([[[1.0, 0.0, 0.0]]], np.float32), 1)[0, 0, 0] == np.float32(0.299)


def test_a_two_dimensional_image_is_grey():
    assert to_channels(np.zeros((2, 3), np.uint8), 3).shape == (2, 3, 3)


@pytest.mark.parametrize(("have", "want"), [(5, 3), (3, 5), (1, 4), (4, 2), (13, 1)])
def test_other_channel_changes_are_refused_with_the_cure(have, want):
    with pytest.raises(MaskwrightError, match=rf"{have} channels?.*needs {want}.*data.channels={have}"):
        to_channels(np.zeros((2, 2, have), np.uint8), want)


@pytest.mark.parametrize("shape", [(3,), (0, 4, 3), (1, 2, 3, 4)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(MaskwrightError, match="is not an image"):
        to_channels(np.zeros(shape, np.uint8), 3)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int16])
def test_the_value_range_becomes_0_to_255_clipped_and_rounded_half_up(dtype):
    image = np.array([[[0], [100], [150], [200], [300]]], dtype)
    # 150 lies half way: 127.5, rounded up.
    assert to_uint8(image, [(100.0, 200.0)]).ravel().tolist() == [0, 0, 128, 255, 255]


def test_each_channel_has_its_own_range():
    image = np.array([[[10, 10]]], np.uint8)
    assert to_uint8(image, [(0.0, 10.0), (10.0, 20.0)]).tolist() == [[[255, 0]]]


def test_nan_and_infinities_have_a_place():
    image = np.array([[[np.nan], [-np.inf], [np.inf], [0.5]]], np.float32)
    assert to_uint8(image, [(0.0, 1.0)]).ravel().tolist() == [0, 0, 255, 128]


def test_a_constant_band_becomes_black():
    assert to_uint8(np.full((1, 1, 1), 7, np.uint16), [(7.0, 7.0)]).tolist() == [[[0]]]


def test_eight_bit_images_stay_as_they_are_without_a_range():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert to_uint8(image, None) is image


def test_wrong_values_and_ranges_are_refused():
    with pytest.raises(MaskwrightError, match=r"float32.*data.value_range"):
        to_uint8(np.zeros((1, 1, 1), np.float32), None)
    with pytest.raises(MaskwrightError, match="1 entry, but the image has 2 channels"):
        to_uint8(np.zeros((1, 1, 2), np.uint16), [(0.0, 1.0)])
    with pytest.raises(MaskwrightError, match="low <= high"):
        to_uint8(np.zeros((1, 1, 1), np.uint16), [(2.0, 1.0)])


def test_shrinking_takes_the_mean_of_the_area():
    image = np.array([[0, 10], [20, 30]], np.uint8)[:, :, None]
    assert resize_image(image, (1, 1)).tolist() == [[[15]]]


def test_growing_is_linear():
    image = np.array([[0, 100]], np.uint8)[:, :, None]
    assert resize_image(image, (1, 4)).ravel().tolist() == [0, 25, 75, 100]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 40), (20, 9), (26, 62), (61, 87)])
def test_bilinear_is_torchs_interpolation_in_both_directions(size):
    image = np.random.default_rng(0).integers(0, 256, (13, 31, 3), np.uint8)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    wanted = torch.nn.functional.interpolate(planes, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    found = resize_image(image, size, "bilinear")
    assert found.dtype == np.uint8
    assert np.abs(found - wanted.numpy()).max() < 0.5 + 1e-4


def test_labels_take_the_nearest_pixel():
    labels = np.array([[1, 2], [3, 255]], np.uint8)
    assert resize_labels(labels, (4, 4)).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 255, 255], [3, 3, 255, 255]]
    # Columns of width 3: the middle one of each three.
    assert resize_labels(np.array([[0, 1, 2, 3, 4, 5]], np.uint8), (1, 2)).tolist() == [[1, 4]]


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_every_band_is_resized_as_if_it_were_alone(bands, height, width, new_height, new_width):
    image = np.random.default_rng(height).integers(0, 256, (height, width, bands), np.uint8)
    size = (new_height, new_width)
    together = resize_image(image, size)
    alone = [resize_image(np.ascontiguousarray(image[:, :, band : band + 1]), size) for band in range(bands)]
    assert together.shape == (*size, bands)
    assert np.abs(together.astype(int) - np.concatenate(alone, axis=2)).max() <= 1


def test_more_bands_than_opencv_takes():
    assert resize_image(np.zeros((8, 8, 600), np.uint8), (4, 4)).shape == (4, 4, 600)


def test_prepare_goes_from_file_to_network_input():
    image = np.array([[0, 1000], [2000, 3000]], np.uint16)[:, :, None]
    pixels = prepare(image, plan(channels=3, scale=0.5, value_range=[(0.0, 3000.0)] * 3))
    # 0, 85, 170 and 255 have the mean 127.5.
    assert pixels.dtype == np.uint8
    assert pixels.tolist() in ([[[127] * 3]], [[[128] * 3]])


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 2, 3, 4]), st.floats(0.1, 3.0))
def test_prepare_returns_the_working_size(height, width, bands, scale):
    pixels = prepare(np.full((height, width, bands), 9, np.uint8), plan(scale=scale))
    assert pixels.shape == (*working_size(height, width, scale), 3)
    assert np.all(pixels == 9)


def test_a_thin_line_survives_shrinking():
    labels = np.zeros((6, 8), np.uint8)
    labels[:, 4] = 1
    labels[:, 1] = 2
    shrunk = shrink_labels(labels, (3, 4))
    assert shrunk.tolist() == [[2, 0, 1, 0]] * 3
    # A third of a pixel is enough, a quarter is not.
    assert shrink_labels(np.array([[0, 0, 1]], np.uint8), (1, 1)).tolist() == [[1]]
    assert shrink_labels(np.array([[0, 0, 0, 1]], np.uint8), (1, 1))[0, 0] == 0


def test_a_class_outranks_ignore_and_ignore_stays_where_nothing_else_is():
    labels = np.array([[255, 255, 255, 255], [255, 255, 1, 1]], np.uint8)
    assert shrink_labels(labels, (1, 2)).tolist() == [[255, 1]]


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 5))
def test_shrinking_labels_invents_no_class(height, width, new_height, new_width, seed):
    labels = np.random.default_rng(seed).choice(np.array([0, 3, 7, 255], np.uint8), (height, width))
    shrunk = shrink_labels(labels, (new_height, new_width))
    assert shrunk.shape == (new_height, new_width)
    assert set(np.unique(shrunk)) <= set(np.unique(labels))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 100))
def test_labels_are_counted_in_bands_as_at_once(height: int, width: int, at_once: int) -> None:
    labels = np.random.default_rng(height * width).integers(0, 256, (height, width), np.uint8)
    with patch.object(images, "COUNTED_AT_ONCE", at_once):
        assert images.count_labels(labels).tolist() == np.bincount(labels.ravel(), minlength=256).tolist()
