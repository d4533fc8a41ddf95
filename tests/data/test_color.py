import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.plan import AugmentPlan
from maskwright.data.color import COLOR_DRAWS, recolored, tone_table

NEVER = AugmentPlan(brightness=0, contrast=0, saturation=0, hue=0, gamma=0, blur=0, noise=0)
MIDDLE = [0.5] * COLOR_DRAWS


def only(**values):
    return NEVER.model_copy(update=values)


def drawn(**places):
    draws = list(MIDDLE)
    for place, value in places.items():
        draws[int(place[1:])] = value
    return draws


def random_image(bands=3):
    return np.random.default_rng(0).integers(0, 256, (8, 9, bands), np.uint8)


def test_no_limits_change_nothing():
    image = random_image()
    assert recolored(image, NEVER, MIDDLE) is image


def test_the_middle_of_every_limit_changes_nothing():
    image = random_image()
    plan = AugmentPlan(blur=0, noise=0)
    assert np.array_equal(recolored(image, plan, MIDDLE), image)


def test_brightness_blends_with_white_or_black():
    flat = np.zeros((1, 1), np.uint8)
    # Half of 0.4 towards white: 255 * 0.2 = 51 for black, 255 for white; the same towards black.
    brighter = tone_table(only(brightness=0.4), flat, [0.5, 0.5, 0.75])
    assert (brighter[0], brighter[255]) == (51, 255)
    darker = tone_table(only(brightness=0.4), flat, [0.5, 0.5, 0.25])
    assert (darker[0], darker[255]) == (0, 204)


def test_contrast_turns_around_the_mean():
    flat = np.array([[50, 150]], np.uint8)
    table = tone_table(only(contrast=0.5), flat, [0.5, 0.0, 0.5])
    # Half the distance from the mean, 100.
    assert (table[100], table[50], table[150]) == (100, 75, 125)


def test_gamma_keeps_black_and_white():
    table = tone_table(only(gamma=1.0), np.zeros((1, 1), np.uint8), [0.999999, 0.5, 0.5])
    # The exponent is 2: (51 / 255)^2 * 255 = 10.2.
    assert (table[0], table[51], table[255]) == (0, 10, 255)


def test_saturation_zero_is_grey():
    image = np.array([[[100, 200, 50]]], np.uint8)
    # The luma is 153.
    assert recolored(image, only(saturation=1.0), drawn(_0=0.0)).tolist() == [[[153, 153, 153]]]


def test_hue_shifts_each_channel():
    image = np.full((1, 1, 3), 100, np.uint8)
    shifted = recolored(image, only(hue=0.2), drawn(_1=0.0, _3=0.9999999))
    # Half of 0.2 * 255 = 25.5 down and up.
    assert shifted[0, 0, 1] == 100
    assert shifted[0, 0, 0] in (74, 75)
    assert shifted[0, 0, 2] in (125, 126)


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 12])
def test_images_that_are_not_rgb_keep_their_balance(bands):
    image = random_image(bands)
    assert recolored(image, only(saturation=1.0, hue=1.0), [0.1] * COLOR_DRAWS) is image


def test_blur_smooths_and_keeps_the_mean():
    image = random_image()
    blurred = recolored(image, only(blur=1.0), MIDDLE)
    assert blurred.std() < image.std() * 0.8
    assert abs(blurred.mean() - image.mean()) < 8


def test_noise_has_the_standard_deviation_asked_for():
    image = np.full((200, 200, 3), 128, np.uint8)
    noisy = recolored(image, only(noise=10.0), drawn(_9=0.8)).astype(float) - 128
    assert noisy.std() == pytest.approx(8.0, rel=0.03)
    assert abs(noisy.mean()) < 0.2
    other = recolored(image, only(noise=10.0), drawn(_9=0.8, _10=0.1)).astype(float) - 128
    assert abs(np.corrcoef(noisy.ravel(), other.ravel())[0, 1]) < 0.02


def test_noise_covers_crops_larger_than_its_table():
    image = np.full((800, 800, 3), 128, np.uint8)
    assert recolored(image, only(noise=10.0), MIDDLE).std() == pytest.approx(5.0, rel=0.03)


@given(
    st.integers(1, 9),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=COLOR_DRAWS, max_size=COLOR_DRAWS),
    st.integers(1, 7),
    st.integers(1, 7),
)
def test_shape_and_type_stay_and_the_source_is_untouched(bands, draws, height, width):
    image = np.random.default_rng(1).integers(0, 256, (height, width, bands), np.uint8)
    before = image.copy()
    image.flags.writeable = False
    changed = recolored(image, AugmentPlan(blur=0.5), draws)
    assert changed.shape == before.shape
    assert changed.dtype == np.uint8
    assert np.array_equal(image, before)
