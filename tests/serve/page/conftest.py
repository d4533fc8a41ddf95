"""The page of a running service in Debian's Chromium, driven by Playwright; skipped where either is missing."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.serve.conftest import Running, picture, png, save_model, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "src/maskwright/serve/page"
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
SIZE = (120, 160)
"""Height and width of the images of these tests: even, so that their pixels are those of the screen at 100 %."""
COUNT = "performance.getEntriesByName('mask').length"


def node_file(path: str) -> Path:
    """Return a file of a package of npm, in the project's folder or where MASKWRIGHT_NODE_MODULES says."""
    folder = Path(os.environ.get("MASKWRIGHT_NODE_MODULES", ROOT / "node_modules"))
    if not (folder / path).is_file():
        pytest.skip(f"{path} is missing: npm install --no-save typescript axe-core")
    return folder / path


@dataclass
class Looked:
    """A page, and what its browser said about it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def until(self, true: str, seconds: float = 60) -> None:
        """Wait for an expression; Playwright's own way to wait is against the page's policy."""
        deadline = time.monotonic() + seconds
        while not self.page.evaluate(true):
            assert time.monotonic() < deadline, f"never: {true}"
            self.page.wait_for_timeout(20)

    def segmented(self, act: Callable[[], Any], masks: int = 1) -> None:
        """Do something, and wait for the mask that it brings."""
        before = self.page.evaluate(COUNT)
        act()
        self.until(f"{COUNT} >= {before + masks} && !document.querySelector('.viewer.working')")
        self.settle()

    def open(self, content: bytes, name: str = "a.png", media: str = "image/png", masks: int = 1) -> None:
        """Choose a file, and wait for its mask."""
        file = {"name": name, "mimeType": media, "buffer": content}
        self.segmented(lambda: self.page.set_input_files("#file", file), masks)

    def settle(self) -> None:
        """Wait until smooth moves are over, and all is drawn."""
        self.page.wait_for_timeout(250)

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def place(self, x: float, y: float, side: str = "a", size: tuple[int, int] = SIZE) -> tuple[float, float]:
        """Return where a point of the image is in the window, at 100 % and centred."""
        box = self.page.locator(f"#pane-{side}").bounding_box()
        height, width = size
        return box["x"] + box["width"] / 2 + x - width / 2, box["y"] + box["height"] / 2 + y - height / 2

    def shown(self, side: str = "a", size: tuple[int, int] = SIZE) -> Any:
        """Return the RGB (H, W, 3) of the image as it is drawn at 100 %."""
        import numpy as np

        height, width = size
        values = self.page.evaluate(
            """([side, w, h]) => {
                const c = document.querySelector(`#pane-${side}`);
                const left = Math.round(c.width / 2 - w / 2), top = Math.round(c.height / 2 - h / 2);
                return [...c.getContext("2d").getImageData(left, top, w, h).data];
            }""",
            [side, width, height],
        )
        return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, of this module alone: Playwright occupies the event loop of its thread."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Three models and a gallery, for one file: see `served`."""
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(package)
    root = tmp_path_factory.mktemp("page")
    runs = [save_model(root / "leaves"), save_model(root / "others", seed=5), save_model(root / "cells", "instance")]
    folder = root / "gallery"
    folder.mkdir()
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        (folder / name).write_bytes(png(picture(SIZE, seed)))
    with serving([str(run) for run in runs], gallery=folder) as running:
        yield running


@pytest.fixture
def opener(browser: Any) -> Iterator[Callable[..., Looked]]:
    """Open the page of a service: its address, the window, and light or dark."""
    contexts = []

    def opened(port: int, window: str = "desktop", scheme: str = "light") -> Looked:
        width, height = SIZES[window]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=window == "phone"
        )
        contexts.append(context)
        looked = Looked(context.new_page())
        looked.page.on("console", lambda said: said.type == "error" and looked.errors.append(said.text))
        looked.page.on("pageerror", lambda error: looked.errors.append(str(error)))
        looked.page.on("request", lambda request: looked.requests.append(request.url))
        looked.page.goto(f"http://127.0.0.1:{port}/")
        return looked

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def looked(opener: Callable[..., Looked], service: Running) -> Iterator[Looked]:
    """The page on a desktop; nothing may go wrong in it, and it asks nobody but its service."""
    found = opener(service.port)
    found.until("document.querySelectorAll('#model-a option').length === 3")
    yield found
    assert found.errors == []
    own = f"http://127.0.0.1:{service.port}/"
    assert [url for url in found.requests if not url.startswith((own, f"blob:{own}"))] == []
