from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tests.report.report_samples import make_example

from maskwright.core.classes import Classes
from maskwright.core.seeds import generator
from maskwright.report.content import Example
from maskwright.report.pictures import MOST_EXAMPLES, legends, pictures, reduced
from maskwright.tasks import Legend, label_pictures

if TYPE_CHECKING:
    import pytest

ROAD = Classes.named(["road", "car"])


def decoded(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def test_four_pictures_an_example() -> None:
    example = make_example(score=0.754)
    (shown,) = pictures([example])
    assert (shown.id, shown.score, shown.note) == ("a.png", 0.754, example.note)
    assert [panel.title for panel in shown.panels] == ["image", "truth", "prediction", "errors"]
    assert [panel.alt for panel in shown.panels][1] == "truth of a.png"
    assert all(decoded(panel.uri).shape == (panel.height, panel.width, 3) == (12, 16, 3) for panel in shown.panels)


def test_labels_without_a_background_are_painted_exactly() -> None:
    example = make_example(classes=ROAD)
    (shown,) = pictures([example])
    for picture, panel in list(zip(shown.panels, example.panels, strict=True))[1:3]:
        assert panel.kind == "flat"
        np.testing.assert_array_equal(decoded(picture.uri), panel.pixels)


def test_large_pictures_are_reduced_and_keep_their_shape() -> None:
    (shown,) = pictures([make_example(size=(100, 2000))])
    assert {(panel.width, panel.height) for panel in shown.panels} == {(480, 24)}


def test_pictures_of_noise_still_fit_into_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskwright.report.pictures.MOST_BYTES", 80_000)
    rng = generator(0, "noise")
    image = rng.integers(0, 256, (160, 160, 3), np.uint8)
    labels = rng.integers(0, 2, (160, 160), np.uint8)
    painted = label_pictures.paint(image, labels, labels, ROAD)
    example = Example("a.png", 1.0, *painted, label_pictures.legend((labels,), ROAD))
    shown = pictures([example])
    assert shown[0].panels[0].width == 160
    shown = pictures([replace(example, id=f"{index}.png") for index in range(3)])
    assert shown[0].panels[0].width == 96
    assert sum(len(panel.uri) for entry in shown for panel in entry.panels) <= 80_000


def test_of_very_many_examples_the_middle_is_left_out() -> None:
    shown = pictures([make_example(f"{index}.png") for index in range(MOST_EXAMPLES + 2)])
    assert len(shown) == MOST_EXAMPLES
    half = MOST_EXAMPLES // 2
    assert [entry.id for entry in shown[half - 1 : half + 1]] == [f"{half - 1}.png", f"{half + 2}.png"]


def test_legends_hold_each_colour_once() -> None:
    red, blue, gray = (255, 0, 0), (0, 0, 255), (9, 9, 9)
    legend = [Legend((("a", red), ("b", blue)), (("wrong class", gray),)), Legend((("b", blue), ("a", gray)), ())]
    first, second = (replace(make_example(), legend=entry) for entry in legend)
    assert legends([first, second]) == ([("a", red), ("b", blue), ("a", gray)], [("wrong class", gray)])
    assert legends([]) == ([], [])


def test_a_small_picture_is_never_enlarged() -> None:
    pixels = np.zeros((10, 20, 3), np.uint8)
    assert reduced(pixels, 20) is pixels
    assert reduced(pixels, 10).shape == (5, 10, 3)
    assert reduced(np.zeros((1, 100, 3), np.uint8), 10).shape == (1, 10, 3)
