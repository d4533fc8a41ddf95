"""Moving about in the image: keys, wheel, drag, pinch; and objects in image and table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tests.serve.conftest import CLASSES, Running, picture, png
from tests.serve.page.conftest import COUNT, SIZE, Looked

from maskwright.core.instances import Instance, Instances
from maskwright.serve.answers import OUTPUTS, Found
from maskwright.tasks.label_map import LabelMap

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = picture(SIZE, seed=0)
RING = np.ones((20, 20), np.bool_)
RING[5:15, 5:15] = False
OBJECTS = Instances(
    SIZE,
    (
        Instance(1, 10, 20, RING, 0.9),
        Instance(2, 60, 100, np.ones((30, 40), np.bool_), 0.75),
        Instance(1, 60, 20, np.ones((10, 10), np.bool_), 0.5),
    ),
)


def bundle(result: Any, name: str = "cells", task: str = "instance") -> tuple[bytes, str]:
    """Return a bundle as the service sends it, and its media type."""
    height, width = result.labels.shape if isinstance(result, LabelMap) else result.size
    times = {"queue": 0.0, "decode": 1.0, "predict": 20.0}
    about = {"model": name, "sha256": "", "task": task, "width": width, "height": height, "milliseconds": times}
    body = OUTPUTS["bundle"].make(Found(IMAGE, result, CLASSES, about, lambda: IMAGE))
    boundary = body.split(b"\r\n")[0].removeprefix(b"--").decode()
    return body, f"multipart/form-data; boundary={boundary}"


@pytest.fixture
def objects(looked: Looked) -> Looked:
    """Three objects of two classes, at 100 %."""
    body, media = bundle(OBJECTS)
    looked.page.route("**/v1/predict*", lambda route: route.fulfill(body=body, content_type=media))
    looked.page.select_option("#model-a", "cells")
    looked.open(png(IMAGE))
    looked.press("x")
    return looked


def scale(looked: Looked) -> float:
    return float(looked.page.locator("#scale").inner_text().split("\u202f")[0])


def rows(looked: Looked, kind: str = "") -> list[list[str]]:
    found = looked.page.locator(f"#objects tbody tr{kind}").all()
    return [[cell.strip() for cell in row.locator("td").all_inner_texts()] for row in found]


def test_the_table_of_objects(objects: Looked) -> None:
    expected = [["1", "leaf", "300", "0.90"], ["2", "Käfer", "1\u202f200", "0.75"], ["3", "leaf", "100", "0.50"]]
    assert rows(objects) == expected
    assert objects.page.locator("#objects-count").inner_text() == "3"
    objects.page.get_by_role("button", name="Pixels", exact=True).click()
    assert [row[0] for row in rows(objects)] == ["2", "1", "3"]
    objects.page.get_by_role("button", name="Pixels", exact=True).click()
    assert [row[0] for row in rows(objects)] == ["3", "1", "2"]
    objects.press("3")
    assert [row[1] for row in rows(objects)] == ["leaf", "leaf"], "a class that is off has no rows"


def test_hover_both_ways(objects: Looked) -> None:
    objects.page.mouse.move(*objects.place(120, 75))
    assert [row[0] for row in rows(objects, ".hovered")] == ["2"]
    assert "no. 2" in objects.page.locator("#readout").inner_text()
    objects.page.mouse.move(*objects.place(30, 20))
    assert rows(objects, ".hovered") == [], "a hole is outside"
    before = objects.shown()
    objects.page.locator("#objects tbody tr").nth(2).hover()
    objects.settle()
    assert [row[0] for row in rows(objects, ".hovered")] == ["3"]
    ys, xs = np.nonzero((objects.shown() != before).any(axis=2))
    assert ys.min() in range(56, 61)
    assert ys.max() in range(69, 74)
    assert xs.min() in range(16, 21)
    assert xs.max() in range(29, 34)


def test_selection_by_click_and_keys(objects: Looked) -> None:
    objects.page.mouse.click(*objects.place(120, 75))
    assert [row[0] for row in rows(objects, ".selected")] == ["2"]
    objects.press("j")
    assert [row[0] for row in rows(objects, ".selected")] == ["3"]
    objects.press("j")
    assert [row[0] for row in rows(objects, ".selected")] == ["1"]
    objects.press("k", "k")
    assert [row[0] for row in rows(objects, ".selected")] == ["2"]
    objects.press("Escape")
    assert rows(objects, ".selected") == []


def test_a_row_brings_its_object_into_sight(objects: Looked) -> None:
    for _ in range(18):
        objects.page.keyboard.press("+")
    objects.settle()
    objects.page.locator("#objects tbody tr").nth(0).click()
    objects.settle()
    box = objects.page.locator("#pane-a").bounding_box()
    objects.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    x, y = (int(part.strip(",")) for part in objects.page.locator("#readout").inner_text().split()[:2])
    assert 20 <= x < 40
    assert 10 <= y < 30


def test_objects_have_colours_of_their_own(objects: Looked) -> None:
    by_class = objects.shown()
    objects.press("c")
    by_object = objects.shown()
    assert (by_class[65, 25] == by_class[12, 22]).all() == (IMAGE[65, 25] == IMAGE[12, 22]).all()
    assert np.abs(by_class.astype(int) - by_object).max() > 20


def test_many_objects_come_in_pages(looked: Looked) -> None:
    dot = np.ones((2, 2), np.bool_)
    many = Instances(SIZE, tuple(Instance(1, 4 * (k // 40), 4 * (k % 40), dot, 0.5) for k in range(450)))
    body, media = bundle(many)
    looked.page.route("**/v1/predict*", lambda route: route.fulfill(body=body, content_type=media))
    looked.page.select_option("#model-a", "cells")
    looked.open(png(IMAGE))
    looked.press("x")
    assert len(rows(looked)) == 200
    looked.page.get_by_role("button", name="Further objects").click()
    assert rows(looked)[0][0] == "201"
    looked.page.mouse.click(*looked.place(4 * (449 % 40) + 1, 4 * (449 // 40) + 1))
    assert [row[0] for row in rows(looked, ".selected")] == ["450"]
    assert looked.page.locator("#objects-pages span").inner_text() == "401 to 450"


def test_the_wheel_zooms_at_the_pointer(objects: Looked) -> None:
    at = objects.place(100.5, 70.5)
    objects.page.mouse.move(*at)
    for _ in range(6):
        objects.page.mouse.wheel(0, -200)
    objects.settle()
    assert scale(objects) == pytest.approx(100 * np.exp(6 * 0.4), rel=0.01)
    objects.page.mouse.move(at[0] + 1, at[1])
    assert objects.page.locator("#readout").inner_text().startswith("100, 70")
    for _ in range(60):
        objects.page.mouse.wheel(0, 300)
    objects.settle()
    smallest = scale(objects)
    objects.page.mouse.wheel(0, 300)
    objects.settle()
    assert scale(objects) == smallest >= 50


def test_drag_and_arrows_move_the_image(objects: Looked) -> None:
    x, y = objects.place(80, 60)
    objects.page.mouse.move(x, y)
    objects.page.mouse.down()
    objects.page.mouse.move(x + 20, y + 10)
    objects.page.mouse.move(x + 30, y + 15)
    objects.page.mouse.up()
    objects.page.mouse.move(x + 0.5, y + 0.5)
    assert objects.page.locator("#readout").inner_text().startswith("50, 45")
    objects.press("ArrowLeft")
    objects.page.mouse.move(x + 0.6, y + 0.5)
    assert objects.page.locator("#readout").inner_text().startswith("0, 45"), "60 pixels, up to the border"
    objects.press("f")
    fitted = scale(objects)
    objects.press("+", "+", "-", "-")
    assert scale(objects) == pytest.approx(fitted, abs=1)


def test_two_fingers_zoom(opener: Callable[..., Looked], service: Running) -> None:
    looked = opener(service.port, "phone")
    looked.until("document.querySelectorAll('#model-a option').length === 3")
    looked.open(png(IMAGE))
    before = scale(looked)
    x, y = looked.place(80, 60)
    session = looked.page.context.new_cdp_session(looked.page)

    def touch(kind: str, *spread: float) -> None:
        points = [{"x": x + way, "y": y, "id": number} for number, way in enumerate(spread)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -20, 20)
    for spread in (24, 28, 32, 36, 40):
        touch("touchMove", -spread, spread)
    touch("touchEnd")
    looked.settle()
    assert scale(looked) == pytest.approx(2 * before, rel=0.05)
    touch("touchStart", 0)
    looked.page.wait_for_timeout(600)
    assert looked.page.locator("#held").is_visible(), "a finger that rests shows the original"
    touch("touchEnd")
    assert not looked.page.locator("#held").is_visible()
    assert looked.errors == []


def test_a_result_that_is_dropped_while_it_is_decoded_leaves_nothing_waiting(looked: Looked) -> None:
    size = (3000, 4000)
    noise = np.random.default_rng(0).random(size, np.float32).astype(np.float16)
    body, media = bundle(LabelMap(np.zeros(size, np.uint8), noise), "leaves", "semantic")
    looked.page.route("**/v1/predict*", lambda route: route.fulfill(body=body, content_type=media))
    file = {"name": "a.png", "mimeType": "image/png", "buffer": png(IMAGE)}
    looked.page.set_input_files("#file", file)
    looked.until(f"{COUNT} >= 1")
    looked.page.unroute("**/v1/predict*")
    looked.open(png(IMAGE), "b.png")
    assert looked.page.locator("#working").inner_text() == ""


def test_the_image_keeps_its_place_while_it_is_segmented_and_the_level_that_is_seen_is_drawn_first(
    looked: Looked,
) -> None:
    looked.page.evaluate(
        """() => {
            window.levels = [];
            const send = Worker.prototype.postMessage;
            Worker.prototype.postMessage = function (message, ...more) {
                if (message.name === "paint") window.levels.push(message.args.level);
                return send.call(this, message, ...more);
            };
        }"""
    )
    size = (3000, 4000)
    body, media = bundle(LabelMap(np.zeros(size, np.uint8), np.ones(size, np.float16)), "leaves", "semantic")
    held: list[Any] = []
    looked.page.route("**/v1/predict*", lambda route: held.append(route))  # noqa: PLW0108
    box = looked.page.locator("#viewer").bounding_box()
    content = cv2.imencode(".png", np.zeros((*size, 3), np.uint8))[1].tobytes()
    looked.page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": content})
    looked.until("document.querySelector('#facts').textContent.startsWith('4')")
    looked.settle()
    assert looked.page.locator("#working").is_visible()
    assert looked.page.locator("#viewer").bounding_box() == box
    held[0].fulfill(body=body, content_type=media)
    looked.until(f"{COUNT} >= 1")
    assert looked.page.evaluate("window.levels[0]") == int(np.log2(100 / scale(looked)) + 0.05) > 0
