"""The mask over the image: its pixels, its classes, its display, and the pixel under the pointer."""

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
FILL = 0.55


@pytest.fixture(scope="module")
def labels(service: Running) -> NDArray[np.uint8]:
    """What the service itself says of the image, in three classes."""
    with Image.open(io.BytesIO(service.predict(png(IMAGE), "?output=mask").body)) as mask:
        found = np.asarray(mask)
    assert set(np.unique(found)) == {0, 1, 2}
    return found


def blended(labels: NDArray[np.uint8], hidden: set[int], opacity: float = FILL) -> NDArray[np.float64]:
    """Lay the colours of the classes over the image, as a second implementation."""
    colors = np.array(CLASSES.colors, np.float64)[labels]
    alpha = np.where(np.isin(labels, list(hidden)), 0, opacity)[..., None]
    return IMAGE * (1 - alpha) + colors * alpha


def agree(shown: NDArray[np.uint8], expected: NDArray[np.float64]) -> bool:
    return bool(np.abs(shown - expected).max() <= 2)


@pytest.fixture
def actual(looked: Looked) -> Looked:
    """The image at 100 %."""
    looked.open(png(IMAGE))
    looked.press("x")
    return looked


def test_the_mask_lies_over_the_image(actual: Looked, labels: NDArray[np.uint8]) -> None:
    assert agree(actual.shown(), blended(labels, {0}))
    actual.press("3")
    assert agree(actual.shown(), blended(labels, {0, 2}))
    actual.press("1")
    assert agree(actual.shown(), blended(labels, {2}))
    actual.press("h")
    assert agree(actual.shown(), IMAGE.astype(float)) or agree(actual.shown(), blended(labels, set()))


def test_opacity(actual: Looked, labels: NDArray[np.uint8]) -> None:
    actual.press("]", "]")
    assert agree(actual.shown(), blended(labels, {0}, 0.65))
    actual.page.locator("#opacity").fill("100")
    actual.settle()
    assert agree(actual.shown(), blended(labels, {0}, 1))
    assert actual.page.locator("#opacity-value").inner_text() == "100\u202f%"


def test_space_holds_the_original(actual: Looked, labels: NDArray[np.uint8]) -> None:
    actual.page.keyboard.down(" ")
    actual.settle()
    assert agree(actual.shown(), IMAGE.astype(float))
    assert actual.page.locator("#held").is_visible()
    actual.page.keyboard.up(" ")
    actual.settle()
    assert agree(actual.shown(), blended(labels, {0}))


def test_outlines_are_the_inner_borders_of_classes(actual: Looked, labels: NDArray[np.uint8]) -> None:
    actual.press("o")
    padded = np.pad(labels, 1, mode="edge")
    near = [padded[1 + y : 1 + y + SIZE[0], 1 + x : 1 + x + SIZE[1]] for y, x in ((0, 1), (0, -1), (1, 0), (-1, 0))]
    border = np.any([other != labels for other in near], axis=0)
    expected = np.where((border & (labels > 0))[..., None], np.array(CLASSES.colors)[labels], IMAGE)
    assert agree(actual.shown(), expected.astype(float))


def test_before_and_after(actual: Looked, labels: NDArray[np.uint8]) -> None:
    actual.press("b")
    middle = SIZE[1] // 2
    expected = blended(labels, {0})
    expected[:, :middle] = IMAGE[:, :middle]
    assert agree(actual.shown(), expected)
    divider = actual.page.locator("#divider")
    assert divider.get_attribute("aria-valuenow") == "50"
    box = actual.page.locator("#pane-a").bounding_box()
    actual.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    actual.page.mouse.down()
    actual.page.mouse.move(box["x"] + 3, box["y"] + 40)
    actual.page.mouse.up()
    actual.settle()
    assert divider.get_attribute("aria-valuenow") == "0"
    assert agree(actual.shown(), blended(labels, {0}))
    divider.focus()
    actual.press("End")
    assert agree(actual.shown(), IMAGE.astype(float))
    actual.press(",", ",")
    assert divider.get_attribute("aria-valuenow") == "96"


def test_areas(actual: Looked, labels: NDArray[np.uint8]) -> None:
    rows = actual.page.locator("#classes tbody tr")
    for index, name in enumerate(CLASSES.names):
        pixels = int((labels == index).sum())
        head, share, number = rows.nth(index).locator("th, td").all_inner_texts()
        assert head.split() == [name, str(index + 1)]
        part = pixels / labels.size
        assert share == f"{100 * part:.{2 if part < 0.1 else 1}f}\u202f%"
        assert number == f"{pixels:,}".replace(",", "\u202f")
    assert actual.page.locator("#classes input:checked").count() == 2, "the background is off at first"


def test_the_pixel_under_the_pointer(actual: Looked, service: Running, labels: NDArray[np.uint8]) -> None:
    with Image.open(io.BytesIO(service.predict(png(IMAGE), "?output=confidence").body)) as file:
        confidence = np.asarray(file)
    for x, y in ((0, 0), (159, 119), (80, 30), (33, 101)):
        actual.page.mouse.move(*actual.place(x + 0.5, y + 0.5))
        read = actual.page.locator("#readout").inner_text().split()
        percent = f"{100 * int(confidence[y, x]) / 255:.0f}\u202f%"
        assert read == [f"{x},", str(y), CLASSES.names[labels[y, x]], *percent.split()]
    actual.page.mouse.move(*actual.place(-5, 10))
    assert actual.page.locator("#readout").inner_text() == "Point at a pixel to read it"


def test_a_click_on_a_class_and_the_keyboard_on_its_box(actual: Looked, labels: NDArray[np.uint8]) -> None:
    actual.page.get_by_role("checkbox", name="leaf").click()
    actual.settle()
    assert agree(actual.shown(), blended(labels, {0, 1}))
    actual.page.get_by_role("checkbox", name="leaf").focus()
    actual.press("Tab", "Shift+Tab", " ")
    assert agree(actual.shown(), blended(labels, {0}))
    assert actual.page.evaluate("document.activeElement.value") == "leaf", "the focus stays in the new table"


@pytest.mark.parametrize("turn", [1, 3, 6])
def test_images_are_turned_as_the_model_turns_them(looked: Looked, turn: int) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(IMAGE).save(file, format="PNG", exif=exif)
    looked.open(file.getvalue())
    looked.press("x", "h", "h")
    size = SIZE if turn != 6 else SIZE[::-1]
    expected = {1: IMAGE, 3: IMAGE[::-1, ::-1], 6: np.rot90(IMAGE, -1)}[turn]
    looked.page.keyboard.down(" ")
    looked.settle()
    assert agree(looked.shown(size=size), expected.astype(float))
    looked.page.keyboard.up(" ")


def test_a_format_that_no_browser_knows_is_shown_by_the_service(looked: Looked) -> None:
    file = io.BytesIO()
    Image.fromarray(IMAGE).save(file, format="TIFF")
    looked.open(file.getvalue(), "a.tif", "image/tiff")
    looked.press("x")
    looked.page.keyboard.down(" ")
    looked.settle()
    assert np.abs(looked.shown() - IMAGE.astype(float)).mean() < 3, "a JPEG of the image"
    looked.page.keyboard.up(" ")


@pytest.mark.parametrize("turn", [1, 3])
def test_webp_is_shown_as_the_service_turns_it(looked: Looked, turn: int) -> None:
    """Chromium turns other formats as their metadata say, but not WebP."""
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(IMAGE).save(file, format="WEBP", lossless=True, exif=exif)
    looked.open(file.getvalue(), "a.webp", "image/webp")
    looked.press("x")
    looked.page.keyboard.down(" ")
    looked.settle()
    expected = IMAGE[::-1, ::-1] if turn == 3 else IMAGE
    assert np.abs(looked.shown() - expected.astype(float)).mean() < 3, "a JPEG of the image"
    looked.page.keyboard.up(" ")
