"""Thresholds: classes of brightness by hand, whatever the type of the image, and clear words for what has none."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.classic.thresholds import THRESHOLDS, threshold
from maskwright.core.errors import MaskwrightError


@pytest.mark.parametrize("method", ["otsu", "multi-otsu"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_two_levels_are_told_apart(method: str, dtype: type) -> None:
    image = np.full((20, 30), 40, dtype)
    image[5:15, 5:25] = 180
    assert (threshold(image, method) == (image == 180)).all()
    assert (threshold(np.dstack([image] * 3), method) == (image == 180)).all()


def test_three_levels() -> None:
    image = np.array([[10] * 9, [100] * 9, [200] * 9], np.uint8)
    assert threshold(image, "multi-otsu", classes=3).tolist() == [[0] * 9, [1] * 9, [2] * 9]


def test_a_local_threshold_follows_the_light() -> None:
    light = np.linspace(0, 200, 80)[None].repeat(80, axis=0)
    marks = np.zeros((80, 80), bool)
    marks[20:60:8, 4::8] = True
    found = threshold(light + 30 * marks, "local") == 1
    assert found[marks].all()
    assert not (threshold(light + 30 * marks, "otsu") == 1)[marks].all()


@pytest.mark.parametrize("contrast", [50, -50])
def test_a_local_threshold_does_not_divide_the_noise_of_flat_places(contrast: int) -> None:
    rows, columns = np.indices((120, 160))
    discs = (rows % 60 - 30) ** 2 + (columns % 80 - 40) ** 2 < 64
    image = np.linspace(60, 120, 160) + contrast * discs + np.random.default_rng(0).normal(0, 2, discs.shape)
    assert ((threshold(image, "local") == (contrast > 0)) != discs).mean() < 0.002
    assert ((threshold(image, "otsu") == (contrast > 0)) != discs).mean() > 0.1


def test_a_local_threshold_leaves_no_hole_in_an_object_larger_than_its_window() -> None:
    square = np.zeros((120, 160), bool)
    square[20:100, 30:130] = True
    image = np.linspace(0, 60, 160) + 60 * square + np.random.default_rng(0).normal(0, 3, square.shape)
    assert ((threshold(image, "local") == 1) != square).mean() < 0.005


@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (1, 9), (3, 7), (200, 2)])
def test_a_local_threshold_of_few_pixels(shape: tuple[int, int]) -> None:
    image = np.zeros(shape)
    image[..., shape[1] // 2 :] = 9
    assert (threshold(image, "local") == (image > 0)).all()


@pytest.mark.parametrize("method", THRESHOLDS)
def test_where_there_are_no_data_there_is_no_class(method: str) -> None:
    image = np.random.default_rng(0).normal(size=(20, 20))
    image[3, 4] = np.nan
    image[9] = np.inf
    found = threshold(image, method)
    assert ((found == 255) == ~np.isfinite(image)).all()
    assert set(np.unique(found)) == {0, 1, 255}


@pytest.mark.parametrize(("factor", "offset"), [(1e100, 0), (1e-9, 1000)])
def test_values_of_64_bits_keep_their_digits(factor: float, offset: float) -> None:
    image = np.array([[0, 1, 0], [9, 8, 9]]) * factor + offset
    assert threshold(image).tolist() == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "otso"}, "unknown method 'otso': did you mean 'otsu'"),
        ({"classes": 3}, "classes is 3, but otsu finds 2: give 2, or choose multi-otsu"),
        ({"method": "multi-otsu", "classes": 6}, "classes is 6, but multi-otsu finds 2 to 5"),
        ({"image": np.zeros((4, 4))}, "the image has 1 different value, too few for 2 classes"),
        ({"image": np.full((4, 4), np.nan)}, "the image has 0 different values"),
        ({"image": np.array([[1, 2]]), "method": "multi-otsu", "classes": 3}, "2 different values, too few for 3"),
        ({"image": np.zeros((4, 4, 5))}, r"an array of shape \(4, 4, 5\) has no brightness"),
        ({"image": np.zeros((0, 4))}, "has no brightness"),
        ({"image": np.ones((2, 2), complex)}, "an array of complex128 has no brightness: give numbers"),
        ({"classes": "2"}, "classes is '2', but otsu finds 2"),
        ({"classes": 2.5, "method": "multi-otsu"}, "classes is 2.5, but multi-otsu finds 2 to 5"),
        ({"method": None}, "unknown method 'None'"),
        (
            {"image": np.array([[0, 1, 2, 3, 1e5]]), "method": "multi-otsu", "classes": 5},
            "fewer than 5 steps of a 256th of it: clip its outliers, or choose fewer classes",
        ),
        ({"image": [[1, 2]]}, "a list is not an image: read the file, and give a NumPy array"),
    ],
)
def test_what_has_no_threshold_is_refused(arguments: dict, words: str) -> None:
    with pytest.raises(MaskwrightError, match=words):
        threshold(**{"image": np.arange(16).reshape(4, 4), **arguments})


@pytest.mark.parametrize("scale", [1, 257, 1 / 255])
def test_few_bright_pixels_are_found_in_any_type(scale: float) -> None:
    """Nine squares of 10x10 pixels in 1000x1000: less than a thousandth."""
    image = np.random.default_rng(0).integers(15, 25, (1000, 1000))
    truth = np.zeros(image.shape, bool)
    for top in (100, 400, 700):
        for left in (200, 500, 800):
            truth[top : top + 10, left : left + 10] = True
    image[truth] = 220
    assert (threshold(image * scale) == truth).all()


@pytest.mark.parametrize(("method", "classes"), [("otsu", 2), ("multi-otsu", 3)])
def test_a_threshold_is_the_end_of_a_step_of_the_histogram(method: str, classes: int) -> None:
    draw = np.random.default_rng(0)
    image = np.repeat(1000 + 400 * np.arange(classes), 400)[:, None] + draw.integers(-50, 50, (400 * classes, 3))
    found = threshold(image.astype(np.uint16), method, classes=classes)
    assert (found == np.repeat(np.arange(classes), 400)[:, None]).all()


def best_split(values: np.ndarray) -> int:
    """Return the level after which the variance between two classes is greatest, by trying all."""
    levels = np.unique(values)[:-1]
    parts = [(values[values <= level], values[values > level]) for level in levels]
    return int(levels[np.argmax([len(a) * len(b) * (a.mean() - b.mean()) ** 2 for a, b in parts])])


@pytest.mark.parametrize("method", ["otsu", "multi-otsu"])
@pytest.mark.parametrize("missing", [0, 0.9])
def test_otsu_of_levels_is_the_best_of_all_splits_of_known_pixels(method: str, missing: float) -> None:
    random = np.random.default_rng(0)
    image = np.clip(random.normal(np.where(random.random((60, 80)) < 0.3, 150, 80), 20), 3, 251).round()
    hidden = random.random(image.shape) < missing
    image[hidden] = np.nan
    split = best_split(image[~hidden])
    found = threshold(image, method)
    assert image[found == 0].max() <= split < image[found == 1].min()
