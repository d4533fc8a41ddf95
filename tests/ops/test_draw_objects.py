"""Objects drawn: tints, outlines and numbers where they belong, and nothing anywhere else."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.objects import boxes, place

from maskwright.core.classes import Classes
from maskwright.core.instances import Instance, Instances
from maskwright.ops import draw_objects

RED, BLUE = (200, 0, 0), (0, 0, 200)
GREY = np.full((40, 60, 3), 100, np.uint8)


def test_a_tint_and_an_outline_by_hand() -> None:
    """0.55 * 100 + 0.45 * 200 = 145; the outline is half way from the colour to white."""
    drawn = draw_objects.overlay(GREY, boxes((40, 60), (10, 16, 20, 27)), [RED])
    changed = (drawn != GREY).any(axis=2)
    assert np.argwhere(changed).min(axis=0).tolist() == [10, 20]
    assert np.argwhere(changed).max(axis=0).tolist() == [15, 26]
    assert drawn[12, 22].tolist() == [145, 55, 55]
    for edge in ((10, 23), (15, 23), (12, 20), (12, 26)):
        assert drawn[edge].tolist() == [227, 127, 127]
    assert (GREY == 100).all()


def test_the_first_object_lies_on_top() -> None:
    drawn = draw_objects.overlay(GREY, boxes((40, 60), (10, 20, 10, 17), (10, 20, 14, 25)), [RED, BLUE])
    assert drawn[15, 15, 0] > drawn[15, 15, 2]
    assert drawn[15, 16].tolist() == [227, 127, 127]
    assert drawn[15, 14].tolist() == [127, 127, 227]


def test_a_number_stands_only_where_there_is_room() -> None:
    for side, written in ((6, False), (30, True)):
        drawn = draw_objects.overlay(GREY, boxes((40, 60), (5, 5 + side, 5, 5 + side)), [RED])
        assert bool((drawn == 255).all(axis=2).any()) == written


def test_objects_of_one_pixel() -> None:
    drawn = draw_objects.overlay(GREY, boxes((40, 60), (0, 1, 0, 1), (39, 40, 59, 60)), [RED, BLUE])
    assert drawn[0, 0].tolist() == [227, 127, 127]
    assert drawn[39, 59].tolist() == [127, 127, 227]
    assert (drawn != GREY).any(axis=2).sum() == 2


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 5)])
def test_any_image_can_be_drawn_on(shape: tuple[int, ...]) -> None:
    image = np.linspace(0, 1e4, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    assert draw_objects.overlay(image, boxes((40, 60), (0, 9, 0, 9)), [RED]).shape == (40, 60, 3)


def test_colours_tell_objects_apart_or_their_classes() -> None:
    objects = Instances((40, 60), (*boxes((40, 60), (0, 2, 0, 2), (4, 6, 4, 6)).objects,))
    one = Classes.named(["background", "cell"])
    two = Classes.named(["background", "cell", "nucleus"])
    assert len(set(draw_objects.colors_of(objects, one))) == 2
    assert draw_objects.colors_of(objects, two) == [two.colors[1]] * 2
    assert len(set(draw_objects.colors_of(objects, Classes.named(["cell"])))) == 2
    assert len(set(draw_objects.colors_of(objects, Classes.named(["dirt", "cell"])))) == 1
    many = boxes((300, 300), *((3 * k, 3 * k + 2, 0, 2) for k in range(100)))
    assert len(set(draw_objects.colors_of(many, one))) == 100


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_thinned_objects_are_those_of_the_thinned_image(step: int) -> None:
    rng = np.random.default_rng(step)
    found = []
    for _ in range(40):
        top, left = int(rng.integers(0, 35)), int(rng.integers(0, 50))
        solid = np.ones(rng.integers(1, 6, 2), bool)
        found.append(Instance(1, top, left, solid, 0.5))
    objects = Instances((40, 60), tuple(found))
    few = draw_objects.thinned(objects, step)
    assert few.size == GREY[::step, ::step].shape[:2]
    for entry, thin in zip(objects.objects, few.objects, strict=True):
        wanted = place(entry, objects.size)[::step, ::step]
        assert thin.mask.any()
        if wanted.any():
            np.testing.assert_array_equal(place(thin, few.size), wanted)
        else:
            assert thin.area == 1
            assert thin.rows.stop <= few.size[0]
            assert thin.columns.stop <= few.size[1]
