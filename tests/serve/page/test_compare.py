"""Two models side by side: synchronised views, differences drawn and counted."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tests.serve.conftest import CLASSES, Running, picture, png
from tests.serve.page.conftest import SIZE, Looked

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE = picture(SIZE, seed=0)


@pytest.fixture(scope="module")
def both(service: Running) -> list[NDArray[np.uint8]]:
    """What both models say."""
    found = []
    for name in ("leaves", "others"):
        with Image.open(io.BytesIO(service.predict(png(IMAGE), f"?output=mask&model={name}").body)) as mask:
            found.append(np.asarray(mask))
    assert (found[0] != found[1]).any()
    return found


@pytest.fixture
def compared(looked: Looked) -> Looked:
    """Both, at 100 %."""
    looked.open(png(IMAGE))
    looked.segmented(lambda: looked.press("v"))
    looked.page.locator("#differing").wait_for()
    looked.press("x")
    return looked


def test_differences_are_counted(compared: Looked, both: list[NDArray[np.uint8]]) -> None:
    a, b = both
    differ = a != b
    share = f"{100 * differ.mean():.{2 if differ.mean() < 0.1 else 1}f}\u202f%"
    total = f"{differ.sum():,}".replace(",", "\u202f")
    assert compared.page.locator("#differing-total").inner_text() == f"{share} of the pixels differ ({total})"
    pairs, counts = np.unique(np.stack([a[differ], b[differ]]), axis=1, return_counts=True)
    expected = {(CLASSES.names[i], CLASSES.names[j]): int(n) for (i, j), n in zip(pairs.T, counts, strict=True)}
    found = {}
    for row in compared.page.locator("#differing tbody tr").all():
        first, second, pixels, _ = (text.strip() for text in row.locator("td").all_inner_texts())
        found[first, second] = int(pixels.replace("\u202f", ""))
    assert found == expected
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_differences_are_drawn_where_they_are(compared: Looked, both: list[NDArray[np.uint8]]) -> None:
    with_them = [compared.shown(side).astype(int) for side in "ab"]
    compared.press("e")
    without = [compared.shown(side).astype(int) for side in "ab"]
    differ = both[0] != both[1]
    padded = np.pad(differ, 1, mode="edge")
    near = [padded[1 + y : 1 + y + SIZE[0], 1 + x : 1 + x + SIZE[1]] for y, x in ((0, 1), (0, -1), (1, 0), (-1, 0))]
    border = differ & ~np.all(near, axis=0)
    for drawn, plain in zip(with_them, without, strict=True):
        changed = (drawn != plain).any(axis=2)
        assert not changed[~differ].any()
        assert changed[border].all()
    assert (without[0] != without[1]).any(axis=2)[differ].any()
    assert (without[0] == without[1]).all(axis=2)[~differ].all()


def test_views_move_together(compared: Looked, both: list[NDArray[np.uint8]]) -> None:
    compared.page.mouse.move(*compared.place(100, 70, "b"))
    compared.page.mouse.wheel(0, -300)
    compared.press("e")
    compared.page.mouse.move(0, 0)
    compared.settle()
    images = [compared.shown(side, (200, 300)) for side in "ab"]
    same = (images[0] == images[1]).all(axis=2).mean()
    assert same > (both[0] == both[1]).mean() - 0.1
    compared.page.mouse.move(*compared.place(80, 60, "b"))
    assert compared.page.locator("#readout .pixel").count() == 2, "one pixel, read in both"


def test_areas_of_both(compared: Looked, both: list[NDArray[np.uint8]]) -> None:
    for index, row in enumerate(compared.page.locator("#classes tbody tr").all()):
        shares = [float(text.split("\u202f")[0]) for text in row.locator("td").all_inner_texts()]
        assert shares == pytest.approx([100 * (labels == index).mean() for labels in both], abs=0.051)


def test_models_change_places(compared: Looked) -> None:
    shown = [compared.shown(side) for side in "ab"]
    compared.segmented(lambda: compared.page.get_by_role("button", name="Exchange the models").click(), masks=2)
    compared.page.locator("#differing").wait_for()
    compared.settle()
    assert [(compared.shown(side) == other).all() for side, other in zip("ab", reversed(shown), strict=True)] == [
        True
    ] * 2
    compared.press("v")
    assert not compared.page.locator("#side-b").is_visible()
    assert not compared.page.locator("#differing").is_visible()


def test_the_key_for_the_next_model(looked: Looked) -> None:
    looked.open(png(IMAGE))
    looked.segmented(lambda: looked.press("m"))
    assert looked.page.locator("#model-a").input_value() == "others"
