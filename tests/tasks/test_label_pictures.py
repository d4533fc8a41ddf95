"""Examples of label maps as pictures, and the largest error in words."""

from __future__ import annotations

import numpy as np

from maskwright.core.classes import IGNORE, Classes
from maskwright.ops import draw
from maskwright.tasks.label_pictures import largest_error, legend, paint

CRACK = Classes.named(["background", "crack"])
ROAD = Classes.named(["road", "car"])
TRUTH = np.array([[0, 0, 1, 1, IGNORE]], np.uint8)
PREDICTION = np.array([[0, 1, 0, 0, 0]], np.uint8)
IMAGE = np.full((1, 5, 3), 120, np.uint8)


def test_the_four_panels() -> None:
    painted = paint(IMAGE, TRUTH, PREDICTION, ROAD)
    assert [(panel.title, panel.kind) for panel in painted.panels] == [
        ("image", "photo"), ("truth", "flat"), ("prediction", "flat"), ("errors", "photo"),
    ]  # fmt: skip
    image, truth, prediction, errors = (panel.pixels for panel in painted.panels)
    assert image is IMAGE
    np.testing.assert_array_equal(truth, ROAD.palette()[TRUTH])
    np.testing.assert_array_equal(prediction, ROAD.palette()[PREDICTION])
    np.testing.assert_array_equal(errors, draw.errors(IMAGE, TRUTH, PREDICTION, ROAD))
    assert painted.note == largest_error(TRUTH, PREDICTION, ROAD.names)


def test_a_background_lets_the_image_show_through() -> None:
    _, truth, prediction, _ = paint(IMAGE, TRUTH, PREDICTION, CRACK).panels
    assert (truth.kind, prediction.kind) == ("photo", "photo")
    np.testing.assert_array_equal(truth.pixels, draw.overlay(IMAGE, TRUTH, CRACK, 0.7))
    np.testing.assert_array_equal(prediction.pixels, draw.overlay(IMAGE, PREDICTION, CRACK, 0.7))
    assert (truth.pixels[0, 0] == 120).all()


def test_the_largest_error_in_words() -> None:
    assert largest_error(TRUTH, TRUTH, ["a", "b"]) == "All labelled pixels are correct."
    assert largest_error(TRUTH, PREDICTION, ["a", "b"]) == (
        "75.0% of the pixels are wrong; most often b is predicted as a (50.0%)."
    )
    nothing = np.full_like(TRUTH, IGNORE)
    assert largest_error(TRUTH, nothing, ["a", "b"]) == (
        "100.0% of the pixels are wrong; most often a is not assigned a class (50.0%)."
    )
    assert largest_error(nothing, TRUTH, ["a", "b"]) == "All labelled pixels are correct."


def test_the_legend_holds_what_is_painted() -> None:
    colors = ROAD.colors
    assert legend((TRUTH, PREDICTION), ROAD).classes == (("road", colors[0]), ("car", colors[1]))
    assert legend((np.zeros_like(TRUTH), np.full_like(TRUTH, IGNORE)), ROAD).classes == (("road", colors[0]),)
    assert legend((TRUTH,), CRACK).classes == (("crack", CRACK.colors[1]),)
    assert legend((), ROAD).classes == ()


def test_the_legend_of_errors_goes_with_the_classes() -> None:
    wrong, missed, false = (
        ("wrong class", draw.WRONG_CLASS),
        ("false negative", draw.FALSE_NEGATIVE),
        (
            "false positive",
            draw.FALSE_POSITIVE,
        ),
    )
    assert legend((), ROAD).errors == (wrong,)
    assert legend((), CRACK).errors == (missed, false)
    assert legend((), Classes.named(["background", "a", "b"])).errors == (missed, false, wrong)
