"""What a request gets: every output of every task, by query and by Accept header, and the values in it."""

from __future__ import annotations

import json
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tests.serve.conftest import CLASSES, picture, png, save_model, serving

from maskwright.core.channels import total
from maskwright.inference import Predictor
from maskwright.models import bundle
from maskwright.serve import results
from maskwright.serve.client import Client
from maskwright.tasks.label_files import write_mask
from maskwright.tasks.label_map import LabelMap

pytest.importorskip("fastapi")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serve.conftest import Running

TASKS = ("semantic", "instance", "panoptic", "edges")


@pytest.fixture(scope="module")
def all_tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, Predictor]]]:
    """A service with a model for each task, and the same models without it."""
    from maskwright.core.classes import Classes

    root = tmp_path_factory.mktemp("tasks")
    both = Classes(("background", "edge"), CLASSES.colors[:2])
    things = Classes(CLASSES.names, CLASSES.colors, frozenset({2}))
    classes = {"semantic": CLASSES, "instance": CLASSES, "panoptic": things, "edges": both}
    folders = [save_model(root / task, task, colors=classes[task]) for task in TASKS]
    with serving([str(folder) for folder in folders]) as running:
        predictors = {name: model.current.predictor for name, model in running.service.models.items()}
        for predictor in predictors.values():
            predictor.engine.forward = partial(spots, channels=total(predictor.card.channels))
        yield running, predictors


def spots(tiles: np.ndarray, channels: int) -> torch.Tensor:
    """Raw maps that follow the brightness of a tile, each in its own way: untrained networks find no objects."""
    grey = torch.from_numpy(tiles).float().mean(-1) / 255
    return torch.stack([6 * torch.sin((5 + k) * grey + 2 * k) for k in range(channels)], dim=1)


def decoded(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_mask_is_the_file_that_predict_writes(served: Running, run: Path, tmp_path: Path) -> None:
    predictor, image = Predictor.load(run, "cpu"), picture()
    write_mask(tmp_path / "mask.png", image, predictor.predict(image).result, predictor.classes)
    answer = served.predict(png(image))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.body == (tmp_path / "mask.png").read_bytes()
    labels = np.asarray(Image.open(BytesIO(answer.body)))
    assert labels.shape == (60, 90)
    assert len(np.unique(labels)) > 1, "a mask of one class proves nothing"


def test_a_large_image_is_computed_in_tiles(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskwright.inference.predictor.LARGE_PIXELS", 150 * 200 - 1)
    segmenter, card = bundle.load(run / "model.safetensors")
    by_rows = card.predict.model_copy(update={"window": (64, 64)})
    bundle.save(tmp_path / "model.safetensors", segmenter, card.model_copy(update={"predict": by_rows}))
    predictor, image = Predictor.load(tmp_path, "cpu"), picture((150, 200))
    with serving([str(tmp_path)]) as running:
        labels = np.asarray(Image.open(BytesIO(running.predict(png(image)).body)))
    assert np.array_equal(labels, predictor.in_tiles().predict(image).labels)
    assert not np.array_equal(labels, predictor.predict(image).labels), "by rows, outside the service"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("image/png", "image/png"),
        ("application/json", "application/json"),
        ("application/geo+json", "application/geo+json"),
        ("image/jpeg", "image/jpeg"),
        ("*/*", "image/png"),
        ("image/*;q=0.5, application/json", "application/json"),
        ("application/*", "application/json"),
        ("image/png;q=0.1, image/jpeg;q=0.2", "image/jpeg"),
        ("image/png;q=0, image/*", "image/jpeg"),
        ("image/*;q=0.9, image/png;q=0.1", "image/jpeg"),
        ("text/html, */*;q=0.1", "image/png"),
    ],
)
def test_the_accept_header_decides(served: Running, accept: str, media: str) -> None:
    answer = served.predict(png(picture()), Accept=accept)
    assert (answer.status, answer.headers["Content-Type"]) == (200, media)


@pytest.mark.parametrize("accept", ["text/html", "image/png;q=0", "image/png;q=x", "video/*"])
def test_what_cannot_be_made_is_said(served: Running, accept: str) -> None:
    answer = served.predict(png(picture()), Accept=accept)
    assert answer.status == 406
    assert "image/png" in json.loads(answer.body)["rule"]


@pytest.mark.parametrize("task", TASKS)
def test_a_bundle_holds_what_the_model_says(all_tasks: tuple[Running, dict[str, Predictor]], task: str) -> None:
    running, predictors = all_tasks
    image, predictor = picture((70, 50), seed=5), predictors[task]
    expected = predictor.result(image, confidence=True)
    found = Client(f"http://127.0.0.1:{running.port}").predict(image, task)
    about = found.document
    assert (about["model"], about["task"], about["width"], about["height"]) == (task, task, 50, 70)
    assert set(about["milliseconds"]) == {"queue", "decode", "predict"}
    assert sum(entry["pixels"] for entry in about["classes"]) + int((found.labels == 255).sum()) == 70 * 50
    assert about["classes"][0] == {
        "index": 0,
        "name": "background",
        "pixels": int((found.labels == 0).sum()),
        "share": round(int((found.labels == 0).sum()) / 3500, 6),
    }
    assert found.confidence.shape == (70, 50)
    if task == "edges":
        assert np.array_equal(found.labels, expected.lines)
        assert np.array_equal(found.confidence, np.rint(expected.strength * 255))
    elif task == "semantic":
        assert np.array_equal(found.labels, expected.labels)
        assert np.array_equal(found.confidence, np.rint(expected.confidence.astype(np.float32) * 255))
    else:
        objects = expected.objects.objects if task == "panoptic" else expected.objects
        assert len(found.objects) == len(objects) > 0
        for number, (said, entry) in enumerate(zip(found.objects, objects, strict=True), start=1):
            assert said["id"] == number
            assert said["class"] == predictor.classes.names[entry.index]
            assert said["bbox"] == [entry.left, entry.top, entry.mask.shape[1], entry.mask.shape[0]]
            assert said["area"] == entry.area == int((found.ids == number).sum())
            inside = found.ids == number
            assert set(found.labels[inside]) == {entry.index}
            assert set(found.confidence[inside]) == {round(255 * np.float32(entry.score))}


def test_outlines_restore_the_objects(all_tasks: tuple[Running, dict[str, Predictor]]) -> None:
    """Painted by OpenCV as rings along pixel edges, each outline covers its object's pixels."""
    running, _ = all_tasks
    found = Client(f"http://127.0.0.1:{running.port}").predict(picture((70, 50), seed=5), "instance")
    assert found.ids is not None
    for entry in found.objects:
        drawn = np.zeros((700, 500), np.uint8)
        for polygon in entry["polygons"]:
            cv2.fillPoly(drawn, [np.array(ring, np.int32) * 10 for ring in polygon], 1)
        assert np.array_equal(drawn[5::10, 5::10] > 0, found.ids == entry["id"])


def test_ids_of_objects_come_in_16_bits(all_tasks: tuple[Running, dict[str, Predictor]]) -> None:
    running, _ = all_tasks
    image = png(picture((70, 50), seed=5))
    ids = decoded(running.predict(image, "?model=instance").body)
    assert ids.dtype == np.uint16
    document = json.loads(running.predict(image, "?model=instance&output=objects").body)
    assert ids.max() == len(document["objects"])


@pytest.mark.parametrize("task", TASKS)
def test_every_output_of_every_task_comes(all_tasks: tuple[Running, dict[str, Predictor]], task: str) -> None:
    running, _ = all_tasks
    image = png(picture((70, 50), seed=5))
    for output in ("mask", "objects", "geojson", "coco", "overlay", "confidence", "bundle"):
        answer = running.predict(image, f"?model={task}&output={output}")
        if (task, output) == ("edges", "coco"):
            assert answer.status == 422
            continue
        assert answer.status == 200, (output, answer.body)
        if "json" in answer.headers["Content-Type"]:
            json.loads(answer.body)
        elif answer.headers["Content-Type"].startswith("image/"):
            assert decoded(answer.body).shape[:2] == (70, 50)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_coco_can_be_read_by_its_own_tools(all_tasks: tuple[Running, dict[str, Predictor]]) -> None:
    from pycocotools import mask as coco

    running, _ = all_tasks
    image = png(picture((70, 50), seed=5))
    document = json.loads(running.predict(image, "?model=instance&output=coco").body)
    ids = decoded(running.predict(image, "?model=instance").body)
    assert len(document["annotations"]) == ids.max()
    for entry in document["annotations"]:
        assert np.array_equal(coco.decode(entry["segmentation"]) > 0, ids == entry["object_id"])


def test_a_form_is_taken_like_a_body(served: Running) -> None:
    image = png(picture())
    form = b'--xx\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n' + (
        b'--xx\r\nContent-Disposition: form-data; name="image"; filename="../../etc/passwd"\r\n'
        b"Content-Type: image/png\r\n\r\n" + image + b"\r\n--xx--\r\n"
    )
    answer = served.predict(form, **{"Content-Type": 'multipart/form-data; boundary="xx"'})
    assert answer.status == 200
    assert answer.body == served.predict(image).body


def test_a_bundle_brings_the_image_along_on_request(served: Running) -> None:
    image = picture((40, 30), channels=1)
    parts = served.predict(png(image), "?output=bundle&image=true").body
    assert b'name="image"; filename="image"\r\nContent-Type: image/jpeg' in parts
    assert b'name="image"' not in served.predict(png(image), "?output=bundle").body


def test_models_are_described(all_tasks: tuple[Running, dict[str, Predictor]]) -> None:
    running, predictors = all_tasks
    said = json.loads(running.ask("GET", "/v1/model").body)
    assert [entry["name"] for entry in said["models"]] == list(TASKS)
    panoptic = said["models"][2]
    assert [entry["name"] for entry in panoptic["classes"]] == list(CLASSES.names)
    assert [entry["thing"] for entry in panoptic["classes"]] == [False, False, True]
    assert panoptic["classes"][2]["color"] == [250, 120, 10]
    assert panoptic["tile"] == [64, 64]
    assert panoptic["version"] == predictors["panoptic"].card.maskwright
    assert said["outputs"]["bundle"] == "multipart/form-data"
    assert said["limits"]["timeout"] == 30.0


def test_confidence_in_bytes_is_that_of_each_float16() -> None:
    shares = np.linspace(0, 1, 2000).astype(np.float16).reshape(40, 50)
    shares[0, :3] = np.nan, 0.0, 1.0
    expected = np.rint(np.nan_to_num(shares.astype(np.float64)) * 255)
    found = results.confidence(LabelMap(np.zeros(shares.shape, np.uint8), shares), CLASSES)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize(("dtype", "shape"), [(np.uint8, (7, 9)), (np.uint16, (7, 9)), (np.uint8, (7, 9, 3))])
def test_pictures_keep_their_values(dtype: type, shape: tuple[int, ...], smooth: bool) -> None:
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    decoded = cv2.imdecode(np.frombuffer(results.png(values, smooth=smooth), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded if decoded.ndim == 2 else decoded[..., ::-1], values)
