"""The page for everyone: keyboard, gallery, errors, the token, and what axe finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.serve.conftest import Running, picture, png, save_model, serving
from tests.serve.page.conftest import SIZE, Looked, node_file
from tests.serve.page.test_view import OBJECTS, bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IMAGE = picture(SIZE, seed=0)
TOKEN = "correct-horse"


def test_the_gallery_by_keys(looked: Looked) -> None:
    looked.page.locator("#thumbs canvas").nth(2).wait_for()
    assert looked.page.locator("#thumbs button").count() == 3
    looked.segmented(lambda: looked.press("d"))
    assert looked.page.locator("#name").inner_text() == "a.png"
    looked.segmented(lambda: looked.press("a"))
    assert looked.page.locator("#name").inner_text() == "c.png"
    assert looked.page.locator("#position").inner_text() == "3 / 3"
    looked.segmented(lambda: looked.press("PageDown"))
    assert looked.page.locator("#thumbs [aria-current]").get_attribute("title") == "a.png"


def test_thumbnails_are_turned_as_their_files_say(
    opener: Callable[..., Looked], service: Running, tmp_path: Path
) -> None:
    corners = np.zeros((60, 80, 3), np.uint8)
    corners[:30, :40], corners[:30, 40:], corners[30:, :40] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    wanted = []
    for name in (*(f"{turn}.jpg" for turn in range(1, 9)), "6.png"):
        exif = Image.Exif()
        exif[0x0112] = int(name[0])
        Image.fromarray(corners).save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as image:
            wanted.append((name, np.asarray(ImageOps.exif_transpose(image), int)))
    with serving([str(service.service.models["leaves"].path)], gallery=tmp_path) as own:
        page = opener(own.port).page
        page.locator("#thumbs canvas").nth(len(wanted) - 1).wait_for()
        found = page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll("#thumbs button")].map((button) => {
                const shown = button.querySelector("canvas");
                const copy = new OffscreenCanvas(shown.width, shown.height).getContext("2d");
                copy.drawImage(shown, 0, 0);
                const { data } = copy.getImageData(0, 0, shown.width, shown.height);
                return [button.title, [shown.height, shown.width, [...data]]];
            }))"""
        )
    for name, expected in wanted:
        height, width, values = found[name]
        assert width / height == pytest.approx(expected.shape[1] / expected.shape[0], rel=0.05)
        shown = np.array(values).reshape(height, width, 4)
        for y, x in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
            there = expected[int(y * expected.shape[0]), int(x * expected.shape[1])]
            assert np.abs(shown[int(y * height), int(x * width), :3] - there).max() < 20, name


def test_only_the_last_of_many_images_is_shown(looked: Looked) -> None:
    looked.page.locator("#thumbs canvas").nth(2).wait_for()  # before, there is no next image
    looked.segmented(lambda: looked.press("d", "d", "d", "d", "d"))
    assert looked.page.locator("#name").inner_text() == "b.png"
    assert looked.page.locator("#pane-a").get_attribute("aria-label").startswith("b.png, segmented by leaves:")


def test_drop_and_paste(looked: Looked) -> None:
    give = """([bytes, name, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
        const event = kind === "drop"
            ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
        document.body.dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        looked.segmented(lambda kind=kind: looked.page.evaluate(give, [list(png(IMAGE)), f"{kind}.png", kind]))
        assert looked.page.locator("#name").inner_text() == f"{kind}.png"
    assert not looked.page.locator("#empty").is_visible()


def test_keys_stay_out_of_fields(looked: Looked) -> None:
    looked.open(png(IMAGE))
    before = looked.page.locator("#scale").inner_text()
    looked.page.locator("#opacity").focus()
    looked.press("ArrowRight")
    assert looked.page.locator("#opacity-value").inner_text() == "60\u202f%", "the slider keeps the arrows"
    looked.page.locator("#split").focus()
    looked.press("Tab", "Shift+Tab", " ")
    assert looked.page.locator("#split").is_checked(), "a switch that the keyboard has reached keeps Space"
    looked.press("Control+f", "Alt+b")
    assert looked.page.locator("#split").is_checked()
    assert looked.page.locator("#scale").inner_text() == before


def test_space_is_free_after_the_mouse_and_pressed_after_tab(looked: Looked) -> None:
    page = looked.page
    page.locator("#thumbs canvas").nth(2).wait_for()
    looked.segmented(page.locator("#thumbs button").first.click)

    def state() -> list[str]:
        texts = [page.locator(place).inner_text() for place in ("#name", "#opacity-value")]
        checked = "[...document.querySelectorAll(':checked')].map(({ name, value }) => name + value).join()"
        return [*texts, page.evaluate(checked), str(page.locator("#keys").is_visible())]

    def shows_the_original() -> bool:
        before = state()
        page.keyboard.down(" ")
        shown = page.locator("#held").is_visible()
        page.keyboard.up(" ")
        looked.settle()
        return bool(shown and state() == before)

    assert shows_the_original(), "after a thumbnail"
    looked.segmented(page.locator("#next").click)
    assert shows_the_original(), "after Next"
    box = page.locator("#opacity").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] - 40)
    page.mouse.up()
    assert page.locator("#opacity-value").inner_text() != "55\u202f%", "the slider was dragged"
    assert shows_the_original(), "after a slider that is released beside itself"
    page.locator("#opacity").click()
    assert shows_the_original(), "after a click on a slider"
    page.locator("label", has_text="Outlines").click()
    assert shows_the_original(), "after a label"
    page.locator("#classes input").nth(1).click()
    assert shows_the_original(), "after a class"
    page.locator("#help").click()
    looked.press("Escape")
    assert shows_the_original(), "after a dialog that the mouse opened"
    page.locator("#previous").focus()
    looked.press("Tab")
    looked.segmented(lambda: looked.press(" "))
    assert page.locator("#name").inner_text() == "c.png"
    looked.segmented(lambda: looked.press(" "))
    assert page.locator("#name").inner_text() == "a.png", "a button that Tab has reached keeps the focus"
    assert page.evaluate("document.activeElement.id") == "next"


def test_an_error_says_value_rule_and_cure(opener: Callable[..., Looked], service: Running) -> None:
    looked = opener(service.port)
    looked.until("document.querySelectorAll('#model-a option').length === 3")
    looked.page.set_input_files("#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"some text"})
    notice = looked.page.get_by_role("alert")
    notice.wait_for()
    said = notice.inner_text()
    assert "only whole images can be segmented." in said
    assert "Save it as one of bmp" in said
    assert looked.page.locator("#empty").is_visible()
    notice.get_by_role("button", name="Dismiss").click()
    assert not notice.is_visible()
    looked.open(png(IMAGE))
    assert not notice.is_visible(), "the next image works"


def test_a_busy_service_can_be_asked_again(opener: Callable[..., Looked], service: Running) -> None:
    looked = opener(service.port)
    looked.until("document.querySelectorAll('#model-a option').length === 3")
    problem = {
        "status": 429,
        "value": "64 requests wait",
        "rule": "no more are taken",
        "cure": "send it again after 1 s",
    }
    looked.page.route("**/v1/predict*", lambda route: route.fulfill(status=429, json=problem))
    looked.page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png(IMAGE)})
    again = looked.page.get_by_role("button", name="Try again")
    again.wait_for()
    assert "64 requests wait, but no more are taken." in looked.page.get_by_role("alert").inner_text()
    looked.page.unroute("**/v1/predict*")
    looked.segmented(again.click)
    assert not looked.page.get_by_role("alert").is_visible()


def test_a_service_that_is_gone(opener: Callable[..., Looked], service: Running) -> None:
    looked = opener(service.port)
    looked.until("document.querySelectorAll('#model-a option').length === 3")
    looked.page.route("**/v1/predict*", lambda route: route.abort())
    looked.page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png(IMAGE)})
    looked.page.get_by_role("alert").wait_for()
    assert "The service does not answer" in looked.page.get_by_role("alert").inner_text()


def test_the_token(opener: Callable[..., Looked], tmp_path: Path, service: Running) -> None:
    folder = tmp_path / "gallery"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(IMAGE))
    with serving([str(save_model(tmp_path / "leaves"))], token=TOKEN, gallery=folder) as guarded:
        looked = opener(guarded.port)
        field = looked.page.locator("#token")
        for given, said in (("wrong-token", "answers only with its token"), (TOKEN, "does not know this token")):
            field.wait_for()
            looked.until(f"document.querySelector('#token-why').textContent.includes({said!r})")
            field.fill(given)
            looked.page.keyboard.press("Enter")
        looked.page.locator("#thumbs canvas").wait_for()
        assert not looked.page.locator("#token-dialog").is_visible()
        looked.segmented(lambda: looked.press("d"))
        assert looked.page.evaluate("Object.keys(localStorage).length") == 0
        assert looked.page.locator("#key").is_visible()
        looked.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", ["desktop", "phone"])
def test_axe_finds_nothing_serious(opener: Callable[..., Looked], service: Running, window: str, scheme: str) -> None:
    axe = node_file("axe-core/axe.min.js").read_text(encoding="utf-8")
    looked = opener(service.port, window, scheme)
    looked.until("document.querySelectorAll('#model-a option').length === 3")
    looked.page.locator("#thumbs canvas").nth(2).wait_for()

    def check(state: str) -> None:
        looked.settle()
        looked.page.evaluate(axe)
        found: Any = looked.page.evaluate("axe.run().then(({ violations }) => violations)")
        serious = [
            (one["id"], [node["html"][:120] for node in one["nodes"]])
            for one in found
            if one["impact"] in {"serious", "critical"}
        ]
        assert serious == [], state

    check("empty")
    body, media = bundle(OBJECTS)
    looked.page.route("**/v1/predict*model=cells*", lambda route: route.fulfill(body=body, content_type=media))
    looked.page.select_option("#model-a", "cells")
    looked.open(png(IMAGE))
    looked.press("j", "b")
    check("objects")
    looked.press("b")
    looked.segmented(lambda: looked.press("v"))
    check("compared")
    looked.press("?")
    check("help")
    looked.press("Escape")
    looked.page.route("**/v1/predict*", lambda route: route.abort())
    looked.page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"text"})
    looked.page.get_by_role("alert").wait_for()
    check("error")
