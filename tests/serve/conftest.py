"""Services on a free port, as in production but in a thread, with small untrained networks."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import pytest
import torch

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.serve.settings import ServeRequest
from maskwright.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CLASSES = Classes(("background", "leaf", "Käfer"), ((0, 0, 0), (20, 200, 40), (250, 120, 10)))


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Running(NamedTuple):
    """A service and where it listens."""

    service: Any
    port: int

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, timeout: float = 500
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def predict(self, body: Any, query: str = "", **headers: str) -> Reply:
        return self.ask("POST", f"/v1/predict{query}", body, headers)


def save_model(folder: Path, task: str = "semantic", seed: int = 3, colors: Classes = CLASSES) -> Path:
    """Write a small untrained network; offsets make its masks show each class about equally often."""
    torch.manual_seed(seed)
    channels = TASKS[task].channels(colors)
    segmenter = models.create("swiftnet", classes=channels)
    offsets = []
    if task == "semantic":
        with torch.no_grad():
            maps = segmenter.eval()(torch.from_numpy(picture()).permute(2, 0, 1)[None].float().sub(127).div(60))
        offsets = (-maps[0].flatten(1).median(1).values).tolist()
    card = Card(
        task=task,
        channels=channels,
        model=ModelPlan(name="swiftnet"),
        classes=CardClasses.of(colors),
        data=DataPlan(),
        predict=PredictPlan(tile=(64, 64)),
        decoding={"offsets": offsets} if offsets else {},
    )
    bundle.save(folder / "model.safetensors", segmenter, card)
    return folder


@contextlib.contextmanager
def serving(runs: list[str], **fields: Any) -> Iterator[Running]:
    """Serve models until the end of the block."""
    from maskwright.serve.models import load_all
    from maskwright.serve.server import listening, make_server
    from maskwright.serve.service import Service

    request = ServeRequest(**{"port": 0, "device": "cpu", **fields})
    with listening(request) as listener:
        service = Service(load_all(runs, request), request)
        server = make_server(service)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            yield Running(service, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def until(done: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until something is true; a minute is much too long for all of it."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def picture(size: tuple[int, int] = (60, 90), seed: int = 0, channels: int = 3) -> np.ndarray:
    shape = (*size, channels) if channels > 1 else size
    pixels = cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), (0, 0), 3)
    return cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX)


def png(pixels: np.ndarray) -> bytes:
    """Encode RGB or grey."""
    return cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("serve") / "leaves")


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, and with much that must not be shown."""
    root = tmp_path_factory.mktemp("gallery")
    outside = root / "outside"
    inside = root / "inside"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.png").write_bytes(png(picture()))
    (outside / "secret.txt").write_text("secret")
    for name in ("a.png", "deep/b.png"):
        (inside / name).write_bytes(png(picture(seed=len(name))))
    (inside / "notes.txt").write_text("no image")
    (inside / "link.png").symlink_to(outside / "secret.png")
    (inside / "text.png").symlink_to(outside / "secret.txt")
    (inside / "folder").symlink_to(outside)
    (inside / "alias.png").symlink_to(inside / "a.png")
    (inside / "circle.png").symlink_to(inside / "circle.png")
    return inside


@pytest.fixture(scope="module")
def served(run: Path, gallery: Path) -> Iterator[Running]:
    """One service for most tests of a file; later ones may stop the clock, and an event loop with it."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    pytest.importorskip("prometheus_client")
    with serving([str(run)], gallery=gallery, max_mb=1, max_megapixels=1) as running:
        yield running
