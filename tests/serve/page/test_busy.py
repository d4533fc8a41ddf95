"""The page while its service is busy: it asks again by itself, and says so."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.serve.conftest import Running, picture, png
from tests.serve.page.conftest import SIZE, Looked

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = picture(SIZE, seed=0)
NOTICE = "document.querySelector('#working').textContent"


def refusing(looked: Looked, times: int, model: str = "", after: str = "2") -> list[float]:
    """Refuse some predictions, then let them through; return the list of the times at which they come."""
    came: list[float] = []

    def answer(route: Any) -> None:
        came.append(time.monotonic())
        if len(came) > times:
            route.fallback()
        else:
            problem = {"value": "64 requests wait", "rule": "no more are taken", "cure": "send it again"}
            route.fulfill(status=429, json=problem, headers={"Retry-After": after})

    looked.page.route(f"**/v1/predict*model={model}*", answer)
    return came


def test_a_busy_service_is_asked_again(opener: Callable[..., Looked], service: Running) -> None:
    looked = opener(service.port)
    looked.until("document.querySelectorAll('#model-a option').length === 3")
    came = refusing(looked, times=2)
    file = {"name": "a.png", "mimeType": "image/png", "buffer": png(IMAGE)}

    def choose() -> None:
        looked.page.set_input_files("#file", file)
        looked.until(f"{NOTICE} === 'The service is busy; asking again in 2 s'")
        assert not looked.page.get_by_role("alert").is_visible()

    looked.segmented(choose)
    assert len(came) == 3
    assert min(later - before for before, later in pairwise(came)) > 1.9
    assert looked.page.evaluate(NOTICE) == ""
    came = refusing(looked, times=1, model="others", after="0")
    looked.segmented(lambda: looked.press("v"))
    assert len(came) == 2
    assert came[1] - came[0] > 0.9, "at least a second"
    assert looked.page.locator("#differing").is_visible(), "the other pane asks again too"


def test_leaving_an_image_ends_the_waiting_for_it(opener: Callable[..., Looked], service: Running) -> None:
    looked = opener(service.port)
    looked.page.locator("#thumbs canvas").nth(2).wait_for()
    refusing(looked, times=1)
    looked.press("d")
    looked.until(f"{NOTICE}.includes('busy')")
    looked.segmented(lambda: looked.press("d"))
    assert looked.page.locator("#name").inner_text() == "b.png"
    refusing(looked, times=1, model="others")
    looked.press("v")
    looked.until(f"{NOTICE}.includes('busy')")
    looked.press("v")
    looked.until(f"{NOTICE} === ''")
    looked.page.wait_for_timeout(2500)
    assert sum("/v1/predict" in url for url in looked.requests) == 3, (
        "neither a left image nor a closed pane is asked for again"
    )


def test_after_a_minute_of_refusals_the_error_is_shown(opener: Callable[..., Looked], service: Running) -> None:
    looked = opener(service.port)
    looked.until("document.querySelectorAll('#model-a option').length === 3")
    looked.page.clock.install()
    came = refusing(looked, times=100, after="25")
    looked.page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png(IMAGE)})
    for asked in (1, 2):
        looked.until(f"{NOTICE} === 'The service is busy; asking again in 25 s'")
        assert len(came) == asked
        looked.page.clock.run_for(25_000)
        looked.page.wait_for_timeout(1000)
    looked.page.get_by_role("button", name="Try again").wait_for()
    assert len(came) == 3
    assert "64 requests wait, but no more are taken." in looked.page.get_by_role("alert").inner_text()
    assert looked.page.evaluate(NOTICE) == ""
