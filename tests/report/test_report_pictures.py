from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tests.report.report_samples import make_example

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.seeds import generator
from maskwright.report.content import Example
from maskwright.report.pictures import (
    MOST_EXAMPLES,
    classes_seen,
    error_legend,
    largest_error,
    pictures,
)

if TYPE_CHECKING:
    import pytest

CRACK = Classes.named(["background", "crack"])
ROAD = Classes.named(["road", "car"])


def decoded(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def test_four_pictures_an_example() -> None:
    (shown,) = pictures([make_example(iou=0.754)], CRACK)
    assert (shown.id, shown.iou) == ("a.png", "75.4%")
    assert [panel.title for panel in shown.panels] == ["image", "truth", "prediction", "errors"]
    assert [panel.alt for panel in shown.panels][1] == "truth of a.png"
    assert all(decoded(panel.uri).shape == (panel.height, panel.width, 3) == (12, 16, 3) for panel in shown.panels)


def test_labels_without_a_background_are_painted_exactly() -> None:
    example = make_example()
    (shown,) = pictures([example], ROAD)
    np.testing.assert_array_equal(decoded(shown.panels[1].uri), ROAD.palette()[example.truth])
    np.testing.assert_array_equal(decoded(shown.panels[2].uri), ROAD.palette()[example.prediction])


def test_large_pictures_are_reduced_and_keep_their_shape() -> None:
    (shown,) = pictures([make_example(size=(100, 2000))], CRACK)
    assert {(panel.width, panel.height) for panel in shown.panels} == {(480, 24)}


def test_pictures_of_noise_still_fit_into_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskwright.report.pictures.MOST_BYTES", 80_000)
    rng = generator(0, "noise")
    image = rng.integers(0, 256, (160, 160, 3), np.uint8)
    labels = rng.integers(0, 2, (160, 160), np.uint8)
    shown = pictures([Example("a.png", image, labels, labels, 1.0)], ROAD)
    assert shown[0].panels[0].width == 160
    shown = pictures([Example(f"{index}.png", image, labels, labels, 1.0) for index in range(3)], ROAD)
    assert shown[0].panels[0].width == 96
    assert sum(len(panel.uri) for entry in shown for panel in entry.panels) <= 80_000


def test_of_very_many_examples_the_middle_is_left_out() -> None:
    shown = pictures([make_example(f"{index}.png") for index in range(MOST_EXAMPLES + 2)], CRACK)
    assert len(shown) == MOST_EXAMPLES
    half = MOST_EXAMPLES // 2
    assert [entry.id for entry in shown[half - 1 : half + 1]] == [f"{half - 1}.png", f"{half + 2}.png"]


def test_the_largest_error_in_words() -> None:
    truth = np.array([[0, 0, 1, 1, IGNORE]], np.uint8)
    assert largest_error(truth, truth, ["a", "b"]) == "No labelled pixel is wrong."
    prediction = np.array([[0, 1, 0, 0, 0]], np.uint8)
    assert largest_error(truth, prediction, ["a", "b"]) == (
        "75.0% of the pixels are wrong; most often b is taken for a (50.0%)."
    )
    nothing = np.full_like(truth, IGNORE)
    assert "is left without a class" in largest_error(truth, nothing, ["a", "b"])
    assert largest_error(nothing, truth, ["a", "b"]) == "No labelled pixel is wrong."


def test_legends_hold_what_is_painted() -> None:
    example = make_example()
    assert classes_seen([example], ROAD) == [0, 1]
    assert classes_seen([example], CRACK) == [1]
    blank = replace(example, truth=np.full((12, 16), IGNORE, np.uint8), prediction=np.zeros((12, 16), np.uint8))
    assert classes_seen([blank], ROAD) == [0]
    assert [words for words, _ in error_legend(ROAD)] == ["taken for another class"]
    assert [words for words, _ in error_legend(CRACK)] == ["missed", "made up"]
    three = Classes.named(["background", "a", "b"])
    assert [words for words, _ in error_legend(three)] == ["missed", "made up", "taken for another class"]
