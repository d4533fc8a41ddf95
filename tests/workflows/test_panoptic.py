"""Things and stuff from folder to judged model and files, as a user does it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.tasks.panoptic_scenes import NAMES, scene, write_panoptic

import maskwright as mw
from maskwright.cli.main import run
from maskwright.data.formats import read_dataset

SETTINGS = [
    "model.pretrained=false",
    "sampling.crop=[64,64]",
    "model.options.widths=[16,24,32,48]",
    "train.precision=32-true",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    return write_panoptic(tmp_path_factory.mktemp("panoptic"), [scene(rng) for _ in range(24)])


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory):
    request = mw.PlanRequest(steps=120, settings=SETTINGS, seed=0)
    return mw.train(data, request, out=tmp_path_factory.mktemp("run") / "run")


def test_the_task_comes_from_the_data(data):
    plan = mw.plan(data, mw.PlanRequest(steps=20, settings=SETTINGS))
    assert plan.task == "panoptic"
    assert "2 classes with objects and of 2 without" in plan.reasons["task"]


def test_things_and_stuff_are_learnt(trained, data):
    scores = trained.scores
    assert scores.task == "panoptic"
    assert scores.score.value > 0.5
    assert scores.mean["pq_stuff"].value > 0.8
    assert {entry.name for entry in scores.classes} == set(NAMES)
    report = (trained.run / "report.html").read_text(encoding="utf-8")
    assert "wrong objects" in report
    again = mw.evaluate(trained.run, data)
    assert again.scores.score.value == pytest.approx(scores.score.value, abs=0.02)


def test_all_files_of_a_prediction_agree_and_are_read_back(trained, data, tmp_path):
    out = tmp_path / "found"
    save = "panoptic,overlay,mask,instances,coco,geojson,measurements"
    command = ["predict", trained.run, data / "images", "--out", out, "--save", save]
    assert run([str(word) for word in command]) == 0
    content = json.loads((out / "panoptic.json").read_text())
    assert [(entry["id"], entry["name"], entry["isthing"]) for entry in content["categories"]] == [
        *((10, "sky", 0), (11, "grass", 0), (12, "ball", 1), (13, "crate", 1))
    ]
    assert [entry["id"] for entry in json.loads((out / "predictions.json").read_text())["categories"]] == [
        10,
        11,
        12,
        13,
    ]
    assert [image["id"] for image in content["images"]] == list(range(1, 25))  # 01.png to 24.png
    for image, entry in zip(content["images"], content["annotations"], strict=True):
        assert entry["image_id"] == image["id"]
        name = Path(image["file_name"]).stem
        red, green, blue = np.moveaxis(np.asarray(Image.open(out / "panoptic" / entry["file_name"]), np.int64), 2, 0)
        ids = red + 256 * green + 65536 * blue
        areas = {info["id"]: info["area"] for info in entry["segments_info"]}
        assert {number: int((ids == number).sum()) for number in np.unique(ids) if number} == areas
        objects = tifffile.imread(out / "instances" / f"{name}.tif")
        things = [info["id"] for info in entry["segments_info"] if "score" in info]
        np.testing.assert_array_equal(np.where(np.isin(ids, things), ids, 0), objects)
        rows = list(csv.DictReader((out / "measurements" / f"{name}.csv").read_text().splitlines()))
        assert [float(row["area_px2"]) for row in rows] == [areas[number] for number in things]
        labels = np.asarray(Image.open(out / "masks" / f"{name}.png"))
        index = {info["id"]: info["category_id"] - 10 for info in entry["segments_info"]} | {0: 255}
        np.testing.assert_array_equal(np.vectorize(index.get)(ids), labels)
    shutil.copytree(data / "images", tmp_path / "back" / "images")
    for name in ("panoptic", "panoptic.json"):
        (shutil.copytree if name == "panoptic" else shutil.copy)(out / name, tmp_path / "back" / name)
    back = read_dataset(tmp_path / "back")
    assert (back.format, back.classes.names, back.faults) == ("panoptic", NAMES, ())


def test_the_task_instance_makes_one_background_of_all_stuff(data, tmp_path):
    result = mw.train(data, mw.PlanRequest(steps=2, settings=SETTINGS, task="instance"), out=tmp_path / "run")
    assert [entry.name for entry in result.scores.classes] == ["ball", "crate"]
    assert mw.load(result.run).classes.names == ("background", "ball", "crate")
    assert mw.load(result.run).classes.categories == {1: 12, 2: 13}
    assert mw.evaluate(result.run, data).scores.images == result.scores.images


def test_a_panoptic_training_resumes_on_the_same_classes(data, tmp_path):
    result = mw.train(data, mw.PlanRequest(steps=3, settings=SETTINGS), out=tmp_path / "run")
    weights = (result.run / "model.safetensors").read_bytes()
    (result.run / "report.html").unlink()
    mw.train(resume=result.run)
    assert (result.run / "model.safetensors").read_bytes() == weights
