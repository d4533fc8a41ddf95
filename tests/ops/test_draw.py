"""Pictures: right colours in the right places, the inputs untouched, every kind of image shown."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.core.classes import IGNORE, Classes
from maskwright.ops import draw

BINARY = Classes(("background", "thing"), ((0, 0, 0), (200, 100, 50)))
SCENE = Classes(("sky", "road", "car"), ((10, 20, 30), (40, 50, 60), (250, 0, 0)))


def square(size: int = 12) -> np.ndarray:
    labels = np.zeros((size, size), np.uint8)
    labels[3:9, 3:9] = 1
    return labels


def test_colorize_paints_classes_and_ignored_pixels() -> None:
    picture = draw.colorize(np.array([[0, 2], [1, IGNORE]], np.uint8), SCENE)
    assert picture.tolist() == [[[10, 20, 30], [250, 0, 0]], [[40, 50, 60], [128, 128, 128]]]


def test_overlay_tints_inside_outlines_the_edge_and_leaves_the_background() -> None:
    image = np.full((12, 12, 3), 100, np.uint8)
    picture = draw.overlay(image, square(), BINARY, alpha=0.5)
    assert picture[5, 5].tolist() == [150, 100, 75]  # half way from 100 to the colour
    assert picture[3, 5].tolist() == [227, 177, 152]  # the outline: the colour half way to white
    assert picture[2, 5].tolist() == picture[0, 0].tolist() == [100, 100, 100]
    assert np.all(image == 100)


def test_overlay_without_background_tints_the_first_class_too() -> None:
    image = np.full((8, 8, 3), 200, np.uint8)
    labels = np.zeros((8, 8), np.uint8)
    labels[:, 6:] = IGNORE
    picture = draw.overlay(image, labels, SCENE, alpha=1)
    assert picture[2, 2].tolist() == [10, 20, 30]
    assert picture[2, 7].tolist() == [200, 200, 200]


def test_errors_tells_missed_invented_and_confused_apart() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    truth = np.array([[1, 0, 1, IGNORE]] * 4, np.uint8)
    prediction = np.array([[0, 1, 2, 1]] * 4, np.uint8)
    classes = Classes.named(("background", "a", "b"))
    picture = draw.errors(image, truth, prediction, classes)
    for column, color in enumerate((draw.FALSE_NEGATIVE, draw.FALSE_POSITIVE, draw.WRONG_CLASS)):
        np.testing.assert_allclose(picture[0, column], 0.86 * np.array(color), atol=1)
    assert picture[0, 3].tolist() == [16, 16, 16]
    np.testing.assert_array_equal(draw.errors(image, truth, prediction), picture)


def test_errors_without_background_are_confusions() -> None:
    truth = np.zeros((3, 3), np.uint8)
    picture = draw.errors(np.zeros((3, 3)), truth, truth + 1, SCENE)
    np.testing.assert_allclose(picture[1, 1], 0.86 * np.array(draw.WRONG_CLASS), atol=1)


def test_the_colours_of_errors_differ_in_lightness_too() -> None:
    lightness = sorted(
        float(np.dot(c, (0.2126, 0.7152, 0.0722))) for c in (draw.FALSE_NEGATIVE, draw.FALSE_POSITIVE, draw.WRONG_CLASS)
    )
    assert min(np.diff(lightness)) > 30


@pytest.mark.parametrize(
    ("channels", "dtype"), [(1, "uint8"), (2, "uint8"), (3, "uint16"), (4, "uint8"), (7, "float32"), (1, "int32")]
)
def test_every_image_can_be_shown(channels: int, dtype: str) -> None:
    image = np.arange(6 * 5 * channels).reshape(6, 5, channels).astype(dtype)
    picture = draw.to_rgb8(image)
    assert picture.shape == (6, 5, 3)
    assert picture.dtype == np.uint8
    assert not np.shares_memory(picture, image)


def test_grey_without_channel_axis_is_grey() -> None:
    picture = draw.to_rgb8(np.array([[0, 7]], np.uint8))
    assert picture.tolist() == [[[0, 0, 0], [7, 7, 7]]]


def test_stretch_reaches_from_black_to_white_and_bears_holes() -> None:
    image = np.linspace(-5, 5, 10_000, dtype=np.float32).reshape(100, 100)
    image[0, 0], image[0, 1] = np.nan, np.inf
    picture = draw.to_rgb8(image)
    assert (picture.min(), picture.max()) == (0, 255)
    assert picture[0, 0, 0] == 0
    np.testing.assert_array_equal(draw.to_rgb8(np.full((3, 3), np.nan)), 0)
    np.testing.assert_array_equal(draw.to_rgb8(np.full((3, 3), 7.0)), 0)


def test_outlines_lie_inside_the_regions_and_grow_with_the_image() -> None:
    edge = draw.outlines(square())
    assert edge[3, 3:9].all()
    assert not edge[4:8, 4:8].any()
    large = np.zeros((1000, 1000), np.uint8)
    large[:, 500:] = 1
    assert draw.outlines(large)[0].sum() == 4
