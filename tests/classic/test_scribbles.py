"""Scribbles: a drawn label fills its object, and a scribble that cannot be spread is refused in clear words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.classic.scribbles import SCRIBBLE_METHODS, spread
from maskwright.core.errors import MaskwrightError


def disc() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a noisy picture of a disc, the disc, and a scribble with labels 3 and 8."""
    rows, columns = np.indices((60, 60))
    inside = (rows - 30) ** 2 + (columns - 28) ** 2 < 300
    image = np.where(inside[..., None], (200, 80, 40), (40, 90, 60)) + np.random.default_rng(0).normal(
        0, 8, (60, 60, 3)
    )
    scribble = np.zeros((60, 60), np.uint8)
    scribble[28:32, 20:36], scribble[3:6, 5:55] = 8, 3
    return np.clip(image, 0, 255).astype(np.uint8), inside, scribble


@pytest.mark.parametrize("method", SCRIBBLE_METHODS)
def test_an_object_is_filled(method: str) -> None:
    image, inside, scribble = disc()
    found = spread(image, scribble, method)
    assert found.dtype == np.int32
    assert set(np.unique(found)) == {3, 8}
    assert ((found == 8) != inside).mean() < 0.01
    assert (spread(image, scribble, method) == found).all()


@pytest.mark.parametrize("levels", [(0, 255), (100, 110)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_random_walker_sees_edges_of_any_contrast(levels: tuple[int, int], channels: int) -> None:
    image = np.full((60, 60, channels), levels[0], np.uint8)
    image[5:55, 10:30] = levels[1]
    scribble = np.zeros((60, 60), np.uint8)
    scribble[8:10, 12:14], scribble[30, 31:35] = 2, 1
    assert ((spread(image, scribble, "random-walker") == 2) == (image[..., 0] == levels[1])).all()


def test_a_random_walker_does_not_depend_on_contrast() -> None:
    noise = np.random.default_rng(0).integers(0, 15, (40, 40))
    image = (noise + np.repeat([0, 5, 15, 25, 35, 40, 40, 40], 5)).astype(np.uint8)
    scribble = np.zeros((40, 40), np.uint8)
    scribble[3:9, 2], scribble[20, 30:38] = 1, 2
    found = [spread(np.uint8(factor) * image, scribble, "random-walker") for factor in (1, 4)]
    assert (found[0] == found[1]).all()


@settings(max_examples=60)
@given(
    st.integers(0, 2**31), st.integers(1, 9), st.integers(2, 9), st.sampled_from(list(SCRIBBLE_METHODS)), st.booleans()
)
def test_what_is_drawn_stays(seed: int, height: int, width: int, method: str, constant: bool) -> None:
    generator = np.random.default_rng(seed)
    image = generator.normal(size=(height, width, 4)) * (not constant)
    image[generator.random((height, width)) < 0.1] = np.nan
    scribble = generator.integers(0, 3, (height, width)) * (generator.random((height, width)) < 0.5)
    scribble[0, :2] = 1, 2
    found = spread(image, scribble, method)
    assert (found[scribble > 0] == scribble[scribble > 0]).all()
    assert np.isin(found, [1, 2]).all()


@pytest.mark.parametrize("method", ["watershed", "random-walker"])
def test_three_labels(method: str) -> None:
    image = np.repeat([[0, 0, 0, 90, 90, 90, 200, 200, 200]], 6, axis=0)
    scribble = np.zeros((6, 9), int)
    scribble[3, [1, 4, 7]] = 2, 5, 1
    assert (spread(image, scribble, method) == np.repeat([[2, 2, 2, 5, 5, 5, 1, 1, 1]], 6, axis=0)).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "grabkut"}, "unknown method 'grabkut': did you mean 'grabcut'"),
        ({"scribble": np.zeros((4, 4), int)}, "the scribble holds nothing: draw at least two labels"),
        ({"scribble": np.eye(4, dtype=int)}, "the scribble holds only label 1: draw at least two labels"),
        ({"scribble": np.eye(3, dtype=int)}, r"the scribble has shape \(3, 3\), but the image has 4x4 pixels"),
        (
            {"scribble": -np.eye(4, dtype=int)},
            "holds the value -1, but no label is negative: use 0 where nothing is drawn",
        ),
        ({"scribble": np.eye(4)}, "an array of float64, but labels are whole numbers: convert it to integers"),
        ({"scribble": np.diag([1, 2, 3, 0]), "method": "grabcut"}, "has 3 labels, but grabcut separates two"),
        ({"scribble": np.diag([1, 2**31, 0, 0])}, "holds the label 2147483648, but labels end at 2147483647"),
        ({"scribble": [[1, 2]]}, "a list is not a scribble: read the file, and give a NumPy array"),
        ({"image": np.zeros((0, 4))}, "is not an image"),
    ],
)
def test_what_cannot_be_spread_is_refused(arguments: dict, words: str) -> None:
    with pytest.raises(MaskwrightError, match=words):
        spread(**{"image": np.zeros((4, 4, 3), np.uint8), "scribble": np.diag([1, 2, 0, 0]), **arguments})
