"""The superpixel filter: by hand, and what must hold whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.classic.superpixels import superpixels
from maskwright.core.plan import PostprocessPlan, SuperpixelsPlan
from maskwright.postprocess import Sample, find_postprocessor, held_by
from maskwright.postprocess.superpixel_filter import WHOLE, SuperpixelFilter


def halves() -> np.ndarray:
    """Return an image of two colours, 8x16, each of which is one superpixel of side 8."""
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, 8:] = 200
    return image


def test_probabilities_move_to_the_mean_by_hand() -> None:
    right = np.full((8, 16), 0.25, np.float32)
    right[:, 8:] = 1
    right[3, 2] = 1  # a speck: the mean of its half is 0.25 + 0.75 / 64
    maps = np.stack([1 - right, right])
    found = SuperpixelFilter(SuperpixelsPlan(side=8, share=0.5)).apply(maps, halves())
    mean = 0.25 + 0.75 / 64
    assert found[1, 3, 2] == pytest.approx((1 + mean) / 2)
    assert found[1, 0, 0] == pytest.approx((0.25 + mean) / 2)
    np.testing.assert_allclose(found[1, :, 8:], 1)
    whole = SuperpixelFilter(SuperpixelsPlan(side=8, share=1)).apply(maps, halves())
    np.testing.assert_allclose(whole[1, :, :8], mean, rtol=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 30), st.floats(2, 40), st.floats(0, 1))
def test_a_plain_mean_agrees(seed: int, height: int, width: int, side: float, share: float) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.dirichlet(np.ones(3), (height, width)).transpose(2, 0, 1).astype(np.float32)
    image = rng.integers(0, 256, (height, width, 2), np.uint8)
    kept = maps.copy()
    found = SuperpixelFilter(SuperpixelsPlan(side=side, share=share)).apply(maps, image)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(maps, kept)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    regions = superpixels(image, count=max(round(height * width / side**2), 1))
    for region in np.unique(regions):
        inside = regions == region
        mean = maps[:, inside].mean(axis=1, keepdims=True)
        np.testing.assert_allclose(found[:, inside], (1 - share) * maps[:, inside] + share * mean, atol=1e-5)


def test_no_share_changes_nothing_and_one_class_works() -> None:
    maps = np.random.default_rng(0).random((1, 8, 16)).astype(np.float32)
    np.testing.assert_array_equal(SuperpixelFilter(SuperpixelsPlan(share=0)).apply(maps, halves()), maps)
    assert SuperpixelFilter().apply(maps, halves()).shape == maps.shape


def test_a_fit_finds_a_side_and_a_share_that_remove_noise() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((48, 64), np.uint8)
    truth[12:36, 20:48] = 1
    image = np.where(truth[..., None] == 1, 180, 60) + rng.integers(-8, 9, (48, 64, 3))
    right = np.clip(np.where(truth == 1, 0.6, 0.4) + rng.normal(0, 0.3, truth.shape), 0, 1)
    sample = Sample(np.stack([1 - right, right]).astype(np.float16), image.astype(np.uint8), truth, 2)
    fit = SuperpixelFilter.fit([sample], SuperpixelsPlan(side=5, share=0.1), None)
    assert fit.helps
    assert fit.quality.iou > 0.98
    assert fit.without.iou < 0.8
    assert fit.settings.share > 0.5
    assert fit.sentence().startswith("superpixel filter fitted on 1 validation image (")


def test_it_is_found_by_its_name_with_the_settings_of_the_plan() -> None:
    kept = SuperpixelsPlan(side=20, share=0.3)
    assert find_postprocessor("superpixels") is SuperpixelFilter
    assert held_by(PostprocessPlan(superpixels=kept), "superpixels").settings == kept
    assert SuperpixelFilter(kept).reach == 40
    assert SuperpixelFilter(kept).describe() == "side 20, share 0.3"


def test_pieces_shrink_with_classes_and_channels() -> None:
    assert SuperpixelFilter().most_pixels(21, 3) == SuperpixelFilter().most_pixels(2, 1) == WHOLE
    assert SuperpixelFilter().most_pixels(44, 4) == WHOLE // 2
