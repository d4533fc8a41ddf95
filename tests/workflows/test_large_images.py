"""Images that are held and large: by rows where the network allows it, with all that is written of any other image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.plan import CrfPlan, DataPlan, ModelPlan, PredictPlan
from maskwright.data.formats import read_dataset
from maskwright.inference import Predictor, streamed
from maskwright.inference import predictor as predictor_module
from maskwright.inference.streamed import RowEngine
from maskwright.inference.streaming.panels import Panel, cut
from maskwright.models.bundle import Card, CardClasses
from maskwright.postprocess import find_postprocessor
from maskwright.workflows.evaluate_parts import scoring
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.inference.engine import Engine
    from maskwright.workflows.predict_parts.results import Predicted

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = Classes(("background", "leaf", "beetle"), ((0, 0, 0), (20, 200, 40), (250, 120, 10)))
FITTED: dict[str, Any] = {"temperature": 0.5}
SIZE = (197, 291)
NOISE = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
PIXELS = np.array(Image.fromarray(NOISE).resize(SIZE[::-1]))  # a copy, which may be written


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor_module, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(streamed, "TURN_PIXELS", 4096)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    Image.fromarray(PIXELS).save(path)
    return path


def predictor(*, decoding: dict[str, Any] | None = None, scale: float = 1.0, **how: Any) -> Predictor:
    """Return a model whose tiles are much smaller than the photograph, with offsets that let every class occur."""
    torch.manual_seed(3)
    given = {"tile": (64, 64), "window": (64, 96), **how}
    card = Card(
        model=ModelPlan(name="swiftnet"),
        classes=CardClasses.of(CLASSES),
        data=DataPlan(scale=scale),
        predict=PredictPlan(**given),
    )
    found = Predictor.of(models.create("swiftnet", classes=3), card, "cpu")
    step = round(1 / scale)
    raw = found.engine.forward(np.ascontiguousarray(PIXELS[None, ::step, ::step]))
    offsets = (-raw.mean((0, 2, 3))).tolist()
    return found.with_decoding({"offsets": offsets, **(FITTED if decoding is None else decoding)})


class OtherEngine:
    """A runtime that is not PyTorch's."""

    def __init__(self, engine: Engine) -> None:
        self.device, self.batch, self.forward = engine.device, engine.batch, engine.forward


def predicted(model: Predictor, path: Path, out: Path, **request: Any) -> Predicted:
    (image,) = predict(model, [path], out, PredictRequest(**{"save": ["mask"], **request})).images
    return image


def labels_of(image: Predicted) -> np.ndarray:
    return np.asarray(Image.open(image.files["mask"]))


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("decoding", [FITTED, {}])
def test_everything_is_that_of_one_pass(
    tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch, scale: float, decoding: dict[str, Any]
) -> None:
    kinds = ["mask", "overlay", "probabilities", "coco"]
    rows = predicted(predictor(decoding=decoding, scale=scale), photograph, tmp_path / "rows", save=kinds)
    monkeypatch.setattr(predictor_module, "LARGE_PIXELS", 10**9)
    one_tile = predictor(decoding=decoding, scale=scale, tile=SIZE)
    whole = predicted(one_tile, photograph, tmp_path / "whole", save=kinds)
    assert {kind: file.suffix for kind, file in rows.files.items()} == {
        "mask": ".png",
        "overlay": ".jpg",
        "probabilities": ".npz",
    }
    assert len(np.unique(labels_of(whole))) > 1
    assert (labels_of(rows) == labels_of(whole)).mean() >= 0.9999
    assert rows.risk == pytest.approx(whole.risk, abs=1e-4)
    maps = [np.load(image.files["probabilities"])["probabilities"] for image in (rows, whole)]
    np.testing.assert_allclose(*maps, atol=2e-3)
    np.testing.assert_allclose(maps[0].astype(np.float32).sum(0), 1, atol=5e-3)
    found = [json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("rows", "whole")]
    areas = [sum(entry["area"] for entry in document["annotations"]) for document in found]
    assert areas[0] == pytest.approx(areas[1], rel=1e-3)
    assert areas[0] > 0
    tiles = labels_of(predicted(predictor(decoding=decoding, scale=scale), photograph, tmp_path / "tiles"))
    assert (tiles == labels_of(whole)).mean() < 0.999, "the case shows nothing: tiles are as good"


def test_python_gives_the_labels_of_the_command(tmp_path: Path, photograph: Path) -> None:
    model = predictor()
    labels = labels_of(predicted(model, photograph, tmp_path / "out"))
    np.testing.assert_array_equal(model.predict(photograph).labels, labels)
    np.testing.assert_array_equal(model.maps(PIXELS).argmax(0), labels)
    np.testing.assert_allclose(model.maps(PIXELS).sum(0), 1, atol=1e-4)
    assert (model.in_tiles().predict(photograph).labels == labels).mean() < 0.999
    for changed in (model.with_flip(flip=False), model.with_decoding(model.card.decoding)):
        np.testing.assert_array_equal(changed.predict(PIXELS).labels, labels)
        assert (changed.in_tiles().with_decoding(model.card.decoding).predict(PIXELS).labels == labels).mean() < 0.999


def test_a_note_says_that_a_large_image_is_not_flipped(tmp_path: Path, photograph: Path) -> None:
    for flip, large, said in ((True, True, True), (True, False, False), (False, True, False)):
        model = predictor(flip=flip, flip_pixels=1000 if large else 10**9)
        notes = predict(model, [photograph], tmp_path / f"{flip}{large}", PredictRequest(save=["mask"])).notes
        words = f"{photograph}: not averaged with the flipped image, because the network sees more than 1,000 pixels"
        assert any(note.startswith(words) for note in notes) == said


def test_scores_are_those_of_one_pass(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "images/a.png")
    truth = predictor(tile=SIZE).in_tiles().predict(PIXELS).labels
    Image.fromarray(truth).save(tmp_path / "masks/a.png")
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES.names))
    dataset = read_dataset(tmp_path)

    def iou(model: Predictor) -> float:
        found = scoring.score(model, dataset, dataset.records).score.value
        assert found is not None
        return found

    assert iou(predictor()) > 0.999
    assert iou(predictor().in_tiles()) < 0.99
    assert predictor().in_tiles().with_postprocessor(None).tiles_only


def test_panels_of_columns_fill_every_kind(tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ["mask", "probabilities"]
    one = predicted(predictor(), photograph, tmp_path / "one", save=kinds)

    def panels(self: RowEngine, size: tuple[int, int]) -> list[Panel]:
        return cut(self.network, -(-size[1] // 32) * 32, 3, 32)

    monkeypatch.setattr(RowEngine, "panels", panels)
    three = predicted(predictor(), photograph, tmp_path / "three", save=kinds)
    assert (labels_of(one) == labels_of(three)).mean() >= 0.9999
    assert three.risk == pytest.approx(one.risk, abs=1e-4)
    maps = [np.load(image.files["probabilities"])["probabilities"] for image in (one, three)]
    np.testing.assert_allclose(*maps, atol=2e-3)


def tiled(model: Predictor, tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch, **request: Any) -> None:
    """Check that a model predicts as if the photograph were small."""
    large = predicted(model, photograph, tmp_path / "large", **request)
    monkeypatch.setattr(predictor_module, "LARGE_PIXELS", 10**9)
    small = predicted(model, photograph, tmp_path / "small", **request)
    np.testing.assert_array_equal(labels_of(large), labels_of(small))
    assert large.risk == small.risk


def test_the_flipped_image_needs_tiles(tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiled(predictor(), tmp_path, photograph, monkeypatch, flip=True)
    plain = predicted(predictor(), photograph, tmp_path / "plain")
    assert (labels_of(plain) != np.asarray(Image.open(tmp_path / "large/masks/photo.png"))).any()


def test_without_the_flip_it_is_by_rows(tmp_path: Path, photograph: Path) -> None:
    rows = predicted(predictor(flip=True), photograph, tmp_path / "rows", flip=False)
    whole = predictor(tile=SIZE).predict(photograph).labels
    assert (labels_of(rows) == whole).mean() >= 0.9999


def test_a_postprocessor_has_pieces_of_its_own(
    tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiled(predictor().with_postprocessor(find_postprocessor("crf")(CrfPlan())), tmp_path, photograph, monkeypatch)


def test_a_network_that_averages_over_all_of_the_image_needs_tiles(
    tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiled(predictor(window=None), tmp_path, photograph, monkeypatch)


def test_another_runtime_needs_tiles(tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = predictor()
    other = Predictor(OtherEngine(found.engine), found.card)  # type: ignore[arg-type]
    tiled(other, tmp_path, photograph, monkeypatch)


def test_holes_of_an_image_that_is_read_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (*SIZE, 3), dtype=np.uint8)
    pixels[100:130, 140:170] = 0
    path = tmp_path / "holes.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=[(42113, "s", 0, "0", True)])
    image = predicted(predictor(), path, tmp_path / "out", save=["mask", "probabilities"])
    np.testing.assert_array_equal(labels_of(image) == 255, (pixels == 0).all(axis=2))
    assert np.isnan(np.load(image.files["probabilities"])["probabilities"]).sum() == 3 * 900


def test_only_large_images_are_predicted_by_rows(
    tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor_module, "LARGE_PIXELS", SIZE[0] * SIZE[1])
    image = predicted(predictor(), photograph, tmp_path / "out")
    np.testing.assert_array_equal(labels_of(image), predictor().predict(photograph).labels)
