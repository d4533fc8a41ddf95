from __future__ import annotations

import numpy as np
import pytest

from maskwright.core.classes import IGNORE, Classes, default_palette
from maskwright.core.errors import MaskwrightError


@pytest.mark.parametrize(
    ("names", "index"),
    [
        (("thing", " Background"), 1),
        (("_background_", "cat"), 0),
        (("grass", "road"), None),
        (("negative", "a", "void"), 0),
    ],
)
def test_the_background_is_known_by_its_name(names, index) -> None:
    assert Classes.named(names).background == index


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "at least one class"),
        (tuple(map(str, range(256))), "256 classes were found, and at most 255 fit"),
        (("a", "b", "a"), "the class name 'a' stands twice"),
    ],
)
def test_names_that_cannot_be(names, words) -> None:
    with pytest.raises(MaskwrightError, match=words):
        Classes.named(names)


def test_each_name_has_a_colour() -> None:
    with pytest.raises(MaskwrightError, match="2 class names but 1 colours"):
        Classes(("a", "b"), ((1, 2, 3),))


def test_the_palette_by_hand() -> None:
    table = Classes(("a", "b"), ((1, 2, 3), (4, 5, 6))).palette()
    assert table[:3].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]
    assert table[IGNORE].tolist() == [128, 128, 128]
    assert table.dtype == np.uint8


def test_colours_differ_and_stay_when_more_classes_follow() -> None:
    assert len(set(default_palette(60))) == 60
    assert default_palette(60)[:7] == default_palette(7)
