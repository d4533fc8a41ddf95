import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.classes import IGNORE
from maskwright.core.plan import AugmentPlan, SamplingPlan
from maskwright.core.seeds import generator
from maskwright.core.targets import Target
from maskwright.data.augment import augmented_crop

NEVER = AugmentPlan(
    zoom=(1, 1), stretch=0, rotate=0, flip_horizontal=0, brightness=0, contrast=0, saturation=0, hue=0, gamma=0,
    blur=0, noise=0,
)  # fmt: skip
STRONG = AugmentPlan(zoom=(0.3, 3), rotate=180, stretch=0.5, flip_vertical=0.5, transpose=0.5, blur=0.5, noise=20)


def pair(height, width, bands=3):
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (height, width, bands), np.uint8), rng.integers(0, 5, (height, width), np.uint8)


def test_without_augmentation_the_whole_image_comes_back():
    image, labels = pair(20, 30)
    crop = augmented_crop(image, Target(labels), None, SamplingPlan(crop=(20, 30)), NEVER, generator(0))
    assert np.array_equal(crop[0], image)
    assert np.array_equal(crop[1].labels, labels)


def test_a_flip_is_exact():
    image, labels = pair(20, 30)
    flipped = NEVER.model_copy(update={"flip_horizontal": 1.0})
    crop = augmented_crop(image, Target(labels), None, SamplingPlan(crop=(20, 30)), flipped, generator(0))
    assert np.array_equal(crop[0], image[:, ::-1])
    assert np.array_equal(crop[1].labels, labels[:, ::-1])


def test_an_image_smaller_than_the_crop_is_whole_in_it_and_the_rest_ignored():
    image, labels = pair(5, 7)
    pixels, target = augmented_crop(image, Target(labels), None, SamplingPlan(crop=(16, 16)), NEVER, generator(3))
    seen = target.labels
    rows, columns = np.nonzero(seen != IGNORE)
    here = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    assert np.array_equal(seen[here], labels)
    assert np.array_equal(pixels[here], image)
    assert (seen == IGNORE).sum() == 16 * 16 - 5 * 7


@given(
    st.integers(1, 50), st.integers(1, 50), st.integers(1, 6), st.integers(8, 33), st.integers(8, 33), st.integers(0)
)
def test_any_size_and_any_bands(height, width, bands, crop_height, crop_width, seed):
    image, labels = pair(height, width, bands)
    crop = SamplingPlan(crop=(crop_height, crop_width))
    pixels, target = augmented_crop(image, Target(labels), None, crop, STRONG, generator(seed))
    seen = target.labels
    assert pixels.shape == (crop_height, crop_width, bands)
    assert seen.shape == (crop_height, crop_width)
    assert set(np.unique(seen)) <= set(np.unique(labels)) | {IGNORE}


def test_the_same_generator_gives_the_same_crop():
    image, labels = pair(40, 40)
    plan = SamplingPlan(crop=(24, 24))
    first, again, other = (
        augmented_crop(image, Target(labels), (3, 3), plan, STRONG, generator(0, key)) for key in (1, 1, 2)
    )
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1].labels, again[1].labels)
    assert not np.array_equal(first[0], other[0])


def test_the_focus_is_shown():
    image, labels = pair(64, 64)
    labels[:] = 0
    labels[0, 63] = 1
    for seed in range(20):
        _, target = augmented_crop(image, Target(labels), (0, 63), SamplingPlan(crop=(16, 16)), NEVER, generator(seed))
        assert (target.labels == 1).sum() == 1


def test_measured_values_stay_with_their_pixels():
    """The values repeat the labels, NaN where nothing is known: after the same warp they still do."""
    image, labels = pair(40, 50)
    labels[10:20] = IGNORE
    values = np.where(labels == IGNORE, np.nan, labels).astype(np.float32)[None]
    crop = SamplingPlan(crop=(24, 30))
    for seed in range(10):
        _, target = augmented_crop(image, Target(labels, values), None, crop, STRONG, generator(seed))
        assert target.values.shape == (1, 24, 30)
        assert np.array_equal(np.isnan(target.values[0]), target.labels == IGNORE)
        known = target.labels != IGNORE
        assert np.array_equal(target.values[0][known], target.labels[known])
