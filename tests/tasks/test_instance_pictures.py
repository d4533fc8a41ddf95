"""Examples of objects as pictures: the colours of errors, and the sentence that counts them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.tasks.objects import boxes

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.instances import Instances
from maskwright.core.targets import Target
from maskwright.ops import draw, draw_objects
from maskwright.tasks.instance_pictures import MERGE, SPLIT, legend, paint

if TYPE_CHECKING:
    from maskwright.tasks.base import Painted

SIZE = (40, 90)
IMAGE = np.full((*SIZE, 3), 120, np.uint8)
CELLS = Classes.named(["background", "cell"])
MORE = Classes.named(["background", "cell", "nucleus"])
TRUTH = boxes(
    SIZE,
    (2, 12, 2, 12),  # 0: found
    (2, 12, 20, 30),  # 1: missed
    (2, 12, 40, 50),  # 2 and 3: merged
    (2, 12, 51, 61),
    (20, 30, 2, 22),  # 4: split
)
GUESS = boxes(
    SIZE,
    (3, 12, 2, 12),
    (2, 12, 40, 61),
    (20, 30, 2, 11),
    (20, 30, 13, 22),
    (20, 30, 40, 50),  # false
)


def painted(truth: Instances, guess: Instances, classes: Classes = CELLS, ignored: slice = slice(0)) -> Painted:
    labels = np.zeros(truth.size, np.uint8)
    labels[:, ignored] = IGNORE
    return paint(np.full((*truth.size, 3), 120, np.uint8), Target(labels, instances=truth), guess, classes)


def seen(picture: np.ndarray, row: int, column: int) -> tuple[int, int, int] | None:
    """Return which of the colours of errors fills a pixel: 0.86 of it, and 0.14 of the dimmed image, 70."""
    colors = (draw.FALSE_NEGATIVE, draw.FALSE_POSITIVE, draw.WRONG_CLASS, MERGE, SPLIT)
    near = [c for c in colors if np.abs(0.86 * np.array(c) + 0.14 * 70 - picture[row, column]).max() <= 1]
    return near[0] if near else None


def test_each_error_has_its_colour() -> None:
    errors = painted(TRUTH, GUESS).panels[3].pixels
    assert seen(errors, 6, 6) is None
    assert errors[2, 6].tolist() == list(draw.CORRECT)
    assert seen(errors, 6, 25) == draw.FALSE_NEGATIVE
    assert seen(errors, 6, 45) == seen(errors, 6, 55) == MERGE
    assert errors[6, 49].tolist() == errors[6, 51].tolist() == [255, 255, 255]
    assert seen(errors, 25, 6) == seen(errors, 25, 12) == seen(errors, 25, 18) == SPLIT
    assert errors[25, 10].tolist() == errors[25, 13].tolist() == [255, 255, 255]
    assert seen(errors, 25, 45) == draw.FALSE_POSITIVE
    assert errors[35, 80].tolist() == [70, 70, 70]


def test_the_four_panels() -> None:
    panels = painted(TRUTH, GUESS).panels
    assert [(panel.title, panel.kind) for panel in panels] == [
        ("image", "photo"), ("truth", "photo"), ("prediction", "photo"), ("errors", "photo"),
    ]  # fmt: skip
    np.testing.assert_array_equal(panels[0].pixels, IMAGE)
    own = draw_objects.colors_of(TRUTH, CELLS)
    np.testing.assert_array_equal(panels[1].pixels, draw_objects.overlay(IMAGE, TRUTH, own))


def test_a_found_object_keeps_its_colour() -> None:
    late = Instances(SIZE, (GUESS.objects[4], GUESS.objects[0]))
    _, truth, prediction, _ = painted(TRUTH, late).panels
    np.testing.assert_array_equal(truth.pixels[10, 4], prediction.pixels[10, 4])


@pytest.mark.parametrize(
    ("truth", "guess", "words"),
    [
        (TRUTH, GUESS, "1 of 5 objects found, 2 merged with others, 1 split, 1 missed; 1 other prediction is wrong."),
        (
            TRUTH,
            boxes(SIZE, (30, 34, 60, 64), (30, 34, 70, 74)),
            "0 of 5 objects found, 5 missed; 2 other predictions are wrong.",
        ),
        (TRUTH, TRUTH, "All 5 objects are found, and nothing else."),
        (TRUTH, Instances(SIZE), "0 of 5 objects found, 5 missed."),
        (boxes(SIZE, (0, 9, 0, 9)), boxes(SIZE, (0, 9, 0, 9)), "The only object is found, and nothing else."),
        (Instances(SIZE), Instances(SIZE), "The image has no object; none is predicted."),
        (Instances(SIZE), boxes(SIZE, (0, 9, 0, 9), (9, 12, 9, 12)), "The image has no object; 2 false positives."),
    ],
)
def test_the_errors_in_words(truth: Instances, guess: Instances, words: str) -> None:
    assert painted(truth, guess).note == words


def test_each_object_is_counted_once() -> None:
    """One prediction covers both objects and matches the larger one; two lie in the third, and one of them matches."""
    truth = boxes(SIZE, (2, 12, 2, 32), (2, 12, 33, 43), (20, 30, 2, 32))
    guess = boxes(SIZE, (2, 12, 2, 43), (20, 30, 2, 20), (20, 30, 21, 32))
    assert painted(truth, guess).note == "2 of 3 objects found (2 of them also merged or split), 1 merged with others."
    every = boxes(SIZE, (20, 30, 2, 32))
    split = Instances(SIZE, guess.objects[1:])
    assert painted(every, split).note == "1 of 1 object found (1 of them also merged or split)."


def test_another_class_in_colour_and_words() -> None:
    truth = boxes(SIZE, (2, 12, 2, 12))
    shown = painted(truth, boxes(SIZE, (2, 12, 2, 12), index=2), MORE)
    assert shown.note == "0 of 1 object found, 1 given another class."
    assert seen(shown.panels[3].pixels, 6, 6) == draw.WRONG_CLASS


def test_ignored_regions_and_crowds_are_no_errors() -> None:
    some = boxes(SIZE, (2, 12, 2, 12))
    assert painted(Instances(SIZE), some, ignored=slice(0, 20)).note == "The image has no object; none is predicted."
    crowd = Instances(SIZE, tuple(replace(entry, crowd=True) for entry in some.objects))
    assert painted(crowd, boxes(SIZE, (4, 8, 4, 8))).note == "The image has no object; none is predicted."


def test_the_legend() -> None:
    target = Target(np.zeros(SIZE, np.uint8), instances=TRUTH)
    one, several = legend([target], [GUESS], CELLS), legend([target], [GUESS], MORE)
    assert one.classes == ()
    assert several.classes == (("cell", MORE.colors[1]),)
    assert set(several.errors) - set(one.errors) == {("wrong class", draw.WRONG_CLASS)}
    assert len({color for _, color in several.errors}) == len(several.errors) == 6


def test_an_image_of_one_pixel_and_3000_objects() -> None:
    assert painted(boxes((1, 1), (0, 1, 0, 1)), Instances((1, 1))).note == "0 of 1 object found, 1 missed."
    corners = [(4 * row, 4 * row + 3, 4 * column, 4 * column + 3) for row in range(50) for column in range(60)]
    many = boxes((200, 240), *corners)
    assert painted(many, many).note == "All 3,000 objects are found, and nothing else."
