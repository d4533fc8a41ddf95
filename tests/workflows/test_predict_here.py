"""Several images at a time on one machine: the same results in the same order, and the network for one of them."""

from __future__ import annotations

import threading
import zipfile
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.inference import Predictor
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import here
from maskwright.workflows.predict_parts.writing import Writing
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.workflows.predict_parts.pictures import Picture

pytestmark = pytest.mark.usefixtures("one_thread")
SAVE = ["mask", "probabilities", "coco"]
COUNT = 7


class Elsewhere:
    """An engine that is not PyTorch on this processor: it wraps one, and notes who calls it."""

    def __init__(self, engine: Any) -> None:
        self.device, self.batch, self._engine = engine.device, engine.batch, engine
        self._busy = threading.Lock()
        self.threads: list[str] = []

    def forward(self, tiles: np.ndarray) -> torch.Tensor:
        assert self._busy.acquire(blocking=False), "two images are in the network at a time"
        try:
            self.threads.append(threading.current_thread().name)
            return self._engine.forward(tiles)
        finally:
            self._busy.release()


@pytest.fixture(scope="module")
def alone() -> Predictor:
    torch.manual_seed(3)
    card = Card(
        model=ModelPlan(name="swiftnet"),
        classes=CardClasses.of(Classes(("background", "leaf", "stem"), ((0, 0, 0), (20, 200, 40), (250, 120, 10)))),
        data=DataPlan(),
        predict=PredictPlan(tile=(64, 64)),
    )
    return Predictor.of(models.create("swiftnet", classes=3), card, "cpu")


@pytest.fixture
def elsewhere(alone: Predictor) -> Predictor:
    return Predictor(Elsewhere(alone.engine), alone.card)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(COUNT):
        noise = np.random.default_rng(seed).integers(0, 256, (90, 48 + seed, 3), np.uint8)
        assert cv2.imwrite(str(folder / f"{seed:02}.png"), cv2.GaussianBlur(noise, (0, 0), 3))
    return folder


def results(predictor: Predictor, images: Path, out: Path) -> dict[str, bytes]:
    done = predict(predictor, [images], out, PredictRequest(SAVE))
    assert [image.source.stem for image in done.images] == sorted(path.stem for path in images.glob("*.png"))
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_results_are_the_same_bytes_as_one_by_one(
    alone: Predictor, elsewhere: Predictor, images: Path, tmp_path: Path
) -> None:
    expected = results(alone, images, tmp_path / "alone")
    assert len(expected) == 2 * COUNT + 1
    assert results(elsewhere, images, tmp_path / "beside") == expected
    assert {name[: len("maskwright")] for name in elsewhere.engine.threads} == {"maskwright"}


def test_probabilities_do_not_tell_when_they_were_written(alone: Predictor, images: Path, tmp_path: Path) -> None:
    predict(alone, [images], tmp_path, PredictRequest(["probabilities"]))
    with zipfile.ZipFile(tmp_path / "probabilities" / "00.npz") as archive:
        assert [member.date_time for member in archive.infolist()] == [(1980, 1, 1, 0, 0, 0)] * 2
    with np.load(tmp_path / "probabilities" / "00.npz") as found:
        assert found["classes"].tolist() == ["background", "leaf", "stem"]
        np.testing.assert_allclose(found["probabilities"].sum(0, dtype=np.float32), 1, atol=2e-3)


def test_the_next_image_is_read_while_one_is_in_the_network(
    elsewhere: Predictor, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = threading.Event()
    read, forward = Writing._read, elsewhere.engine.forward

    def reading(self: Writing, picture: Picture) -> Any:
        if picture.name.name == "01":
            second.set()
        return read(self, picture)

    def waiting(tiles: np.ndarray) -> torch.Tensor:
        assert second.wait(30)
        return forward(tiles)

    monkeypatch.setattr(Writing, "_read", reading)
    monkeypatch.setattr(elsewhere.engine, "forward", waiting)
    assert len(results(elsewhere, images, tmp_path / "out")) == 2 * COUNT + 1


def test_a_large_image_is_predicted_alone(
    elsewhere: Predictor, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here, "LARGE_PIXELS", 90 * 50)
    results(elsewhere, images, tmp_path / "out")
    main = threading.current_thread().name
    tiles = 2  # of each image, one below the other
    assert elsewhere.engine.threads.count(main) == tiles * 4  # those wider than 50
    assert len(elsewhere.engine.threads) == tiles * COUNT


def test_an_image_that_the_network_sees_enlarged_is_predicted_alone_too(
    elsewhere: Predictor, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here, "LARGE_PIXELS", 90 * 60)
    card = elsewhere.card.model_copy(update={"data": DataPlan(scale=2.0)})
    results(Predictor(elsewhere.engine, card), images, tmp_path / "out")
    assert {*elsewhere.engine.threads} == {threading.current_thread().name}


def test_an_unreadable_image_is_reported_and_the_rest_go_on(elsewhere: Predictor, images: Path, tmp_path: Path) -> None:
    (images / "03.png").write_text("no image")
    done = predict(elsewhere, [images], tmp_path / "out", PredictRequest(SAVE))
    assert [failure.path.name for failure in done.failures] == ["03.png"]
    assert [image.source.name for image in done.images] == [f"{seed:02}.png" for seed in range(COUNT) if seed != 3]


def test_pytorch_on_this_processor_predicts_one_by_one(
    alone: Predictor, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("threads side by side")

    monkeypatch.setattr(here, "side_by_side", never)
    results(alone, images, tmp_path / "out")
