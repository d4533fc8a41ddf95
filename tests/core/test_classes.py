from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.classes import IGNORE, MAX_CLASSES, Classes, default_palette
from maskwright.core.errors import MaskwrightError


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "at least one class"),
        (["a", "b", "a"], "the class name 'a' occurs twice: rename one of them"),
        (["a", "b\x1b[31m"], r"'b\\x1b\[31m' contains the control character '\\x1b', .* rename the class"),
        (["a\nb", "c"], r"'a\\nb' contains the control character '\\n'"),
        (["a\u2028b"], "control character"),
        ([str(number) for number in range(256)], "256 classes were found, and at most 255"),
    ],
)
def test_what_no_label_map_can_hold_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        Classes.named(names)


def test_a_name_may_be_of_any_script() -> None:
    names = ("Stra\u00dfe", "\u9053\u8def", "\u067e\u06cc\u0627\u062f\u0647\u200c\u0631\u0648", "a\u00a0b")
    assert Classes.named(names).names == names


def test_each_class_has_a_colour() -> None:
    with pytest.raises(MaskwrightError, match="2 class names but 1 colours"):
        Classes(("a", "b"), ((0, 0, 0),))


def test_the_palette_shows_every_label() -> None:
    classes = Classes(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    table = classes.palette()
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    assert table[[0, 1, 2, IGNORE]].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0], [128, 128, 128]]


@pytest.mark.parametrize(
    ("names", "ids", "categories"),
    [
        (("background", "a", "b"), None, {1: 1, 2: 2}),
        (("a", "b"), None, {0: 1, 1: 2}),
        (("a", "void", "b"), None, {0: 1, 2: 2}),
        (("background", "a", "b"), (None, 90, 3), {1: 90, 2: 3}),
        (("background", "a", "b"), (7, 0, 3), {1: 0, 2: 3}),
    ],
)
def test_category_ids(names: tuple[str, ...], ids: tuple[int | None, ...] | None, categories: dict[int, int]) -> None:
    assert Classes(names, default_palette(len(names)), ids=ids).categories == categories


@pytest.mark.parametrize("ids", [(None, 3, None), (None, 3, 3)])
def test_each_class_needs_a_category_id_of_its_own(ids: tuple[int | None, ...]) -> None:
    with pytest.raises(MaskwrightError, match="each class needs one of its own"):
        Classes(("background", "a", "b"), default_palette(3), ids=ids)


@given(st.integers(1, MAX_CLASSES))
def test_colours_differ_and_stay_when_classes_are_added(count: int) -> None:
    colors = default_palette(count)
    assert len(set(colors)) == count
    assert colors == default_palette(MAX_CLASSES)[:count]
