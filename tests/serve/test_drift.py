"""Drift: recent images are compared with those of the training, where these are known, at a bounded cost."""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.serve.conftest import picture, png, serving

from maskwright.core.paths import model_file
from maskwright.diagnosis.shift import FILE, Reference, image_features
from maskwright.inference import Predictor
from maskwright.inference.origin import digest
from maskwright.serve import drift as drifting
from maskwright.serve.drift import FEWEST, RECENT, Drift
from maskwright.serve.models import Served
from maskwright.serve.settings import ServeRequest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serve.conftest import Running


@pytest.fixture(scope="module")
def known(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that knows its training images: blurred noise."""
    folder = tmp_path_factory.mktemp("drift") / "leaves"
    shutil.copytree(run, folder)
    predictor = Predictor.load(folder, "cpu")
    rows = np.stack([image_features(predictor, picture(seed=seed)) for seed in range(30)])
    Reference.of(rows, [None] * len(rows)).save(folder / FILE, digest(model_file(folder)))
    return folder


def gauges(running: Running) -> tuple[float, float]:
    """Return the share and the number of images."""
    lines = running.ask("GET", "/metrics").body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("maskwright_drift_"))
    return tuple(float(values[f'maskwright_drift_{name}{{model="leaves"}}']) for name in ("share", "images"))  # type: ignore[return-value]


def stripes(seed: int) -> np.ndarray:
    bright = np.where(np.arange(90) // (2 + seed % 3) % 2, 250, 5).astype(np.uint8)
    return np.repeat(np.tile(bright, (60, 1))[..., None], 3, 2)


def test_the_share_tells_images_of_the_same_kind_from_others(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drifting, "PAUSE", 0.0)
    with serving([str(known)]) as running:
        for seed in range(FEWEST - 1):
            assert running.predict(png(picture(seed=100 + seed))).status == 200
        share, images = gauges(running)
        assert math.isnan(share)
        assert images == FEWEST - 1
        running.predict(png(picture(seed=99)))
        same, _ = gauges(running)
        assert same <= 0.3
        for seed in range(FEWEST):
            running.predict(png(stripes(seed)))
        share, images = gauges(running)
        assert images == 2 * FEWEST
        assert share == pytest.approx((same + 1) / 2)


def test_a_fault_of_the_gauge_fails_no_answer(
    known: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: Any) -> None:
        raise ValueError("of other lengths")

    monkeypatch.setattr(drifting, "image_features", failing)
    with serving([str(known)]) as running:
        assert running.predict(png(picture())).status == 200
    assert "could not be compared" in caplog.text


def test_without_a_reference_nothing_is_compared(run: Path) -> None:
    with serving([str(run)]) as running:
        running.predict(png(picture()))
        share, images = gauges(running)
    assert math.isnan(share)
    assert images == 0


def test_a_reference_that_comes_later_is_used_and_one_of_another_model_is_not(
    run: Path, known: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "leaves"
    shutil.copytree(run, folder)
    served = Served("leaves", folder, ServeRequest(device="cpu"))
    assert served.current.drift is None
    shutil.copyfile(known / FILE, folder / FILE)
    assert [served.refresh(), served.refresh()] == [None, True]
    assert served.current.drift is not None
    Reference.load(known / FILE, digest(model_file(known))).save(folder / FILE, "of another model")
    assert [served.refresh(), served.refresh()] == [None, True]
    assert served.current.drift is None


def test_it_takes_a_bounded_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes a second, and an image comes every second: one of 21 is looked at."""
    now = [0.0]

    def look(*_: object) -> np.ndarray:
        now[0] += 1.0
        return np.zeros(2)

    monkeypatch.setattr(drifting, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(drifting, "image_features", look)
    rng = np.random.default_rng(0)
    drift = Drift(Reference.of(rng.normal(size=(30, 2)), [None] * 30))
    before = now[0]
    for _ in range(200):
        drift.look(None, np.zeros((4, 4, 3), np.uint8))  # type: ignore[arg-type]
        now[0] += 1.0
    assert drift.images == pytest.approx((now[0] - before) / 21, abs=1)


def test_it_forgets_old_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drifting, "PAUSE", 0.0)
    far = [100.0]
    monkeypatch.setattr(drifting, "image_features", lambda *_: np.full(2, far[0]))
    drift = Drift(Reference.of(np.random.default_rng(0).normal(size=(30, 2)), [None] * 30))
    shares = []
    for far[0] in (100.0, 0.0):
        for _ in range(RECENT):
            drift.look(None, np.zeros((4, 4, 3), np.uint8))  # type: ignore[arg-type]
        shares.append(drift.share)
    assert shares == [1.0, 0.0]
    assert drift.images == RECENT


def test_threads_look_one_at_a_time_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten threads show 4,000 images; a look that fails, or a reader that counts in between, must not stop others."""
    monkeypatch.setattr(drifting, "PAUSE", 0.0)
    looking, most, ended, failed = [0], [0], [0], [0]

    def look(_predictor: object, image: np.ndarray) -> np.ndarray:
        looking[0] += 1
        most[0] = max(most[0], looking[0])
        time.sleep(0)  # another thread comes here if the lock does not hold
        looking[0] -= 1
        if image[0, 0, 0] == 1:
            failed[0] += 1
            raise ValueError("of other lengths")
        ended[0] += 1
        return np.full(2, 100.0 if image[0, 0, 0] == 2 else 0.0)

    monkeypatch.setattr(drifting, "image_features", look)
    drift = Drift(Reference.of(np.random.default_rng(0).normal(size=(30, 2)), [None] * 30))
    seen: list[tuple[float, int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append((drift.share, drift.images))
            time.sleep(0)

    def show(first: int) -> None:
        for number in range(first, first + 400):
            with contextlib.suppress(ValueError):
                drift.look(None, np.full((4, 4, 3), number % 3, np.uint8))  # type: ignore[arg-type]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        reader = threading.Thread(target=read)
        reader.start()
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(show, range(10)))
    finally:
        done.set()
        reader.join()
        sys.setswitchinterval(interval)
    assert most == [1], "one look at a time, however many requests there are"
    assert failed[0] > 0
    assert ended[0] > FEWEST
    assert drift.images == min(ended[0], RECENT)
    assert drift.share * drift.images == pytest.approx(round(drift.share * drift.images)), "a whole number of images"
    assert all(images <= RECENT and (math.isnan(share) or 0 <= share <= 1) for share, images in seen)


def test_requests_at_the_same_time_are_counted_exactly(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """48 requests over 8 connections: each is answered, and the gauge holds exactly the images that were looked at."""
    monkeypatch.setattr(drifting, "PAUSE", 0.0)
    kept: list[bool] = []
    chances = Reference.chances

    def watched(reference: Reference, distances: np.ndarray) -> np.ndarray:
        found = chances(reference, distances)
        kept.append(bool(found[0] <= drifting.UNLIKE))
        return found

    monkeypatch.setattr(Reference, "chances", watched)
    with serving([str(known)]) as running, ThreadPoolExecutor(8) as pool:
        bodies = [png(stripes(seed) if seed % 2 else picture(seed=seed)) for seed in range(48)]
        answers = list(pool.map(running.predict, bodies))
        for body in bodies[: FEWEST - 1]:  # under load an image may come while another is looked at, and is left out
            running.predict(body)
        share, images = gauges(running)
        assert {answer.status for answer in answers} == {200}
        assert FEWEST <= images == len(kept) <= len(bodies) + FEWEST - 1
        assert share == pytest.approx(sum(kept) / len(kept))
