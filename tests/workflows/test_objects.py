"""Objects from folder to judged model and files, as a user does it, on discs that touch."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import maskwright as mw
from maskwright.cli.main import run
from maskwright.core.errors import MaskwrightError

SIDE = 96


def discs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on a dark ground, many of them touching, with their ids."""
    rows, columns = np.indices((SIDE, SIDE))
    ids = np.zeros((SIDE, SIDE), np.uint16)
    image = rng.normal(60, 8, (SIDE, SIDE))
    for number in range(1, int(rng.integers(12, 18))):
        row, column, radius = rng.integers(4, SIDE - 4), rng.integers(4, SIDE - 4), rng.integers(7, 10)
        inside = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        if not (ids[inside] > 0).mean() > 0.1:
            ids[inside & (ids == 0)] = number
            image[inside & (ids == number)] = rng.normal(rng.integers(150, 220), 8)
    return np.clip(image, 0, 255).astype(np.uint8), ids


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("objects")
    rng = np.random.default_rng(0)
    for folder in ("images", "instances"):
        (root / folder).mkdir()
    for number in range(24):
        image, ids = discs(rng)
        Image.fromarray(image).save(root / "images" / f"{number:02d}.png")
        tifffile.imwrite(root / "instances" / f"{number:02d}.tif", ids if number else np.zeros_like(ids))
    return root


SETTINGS = [
    "model.pretrained=false",
    "sampling.crop=[96,96]",
    "model.options.widths=[16,24,32,48]",
    "train.precision=32-true",
]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory):
    request = mw.PlanRequest(steps=150, settings=SETTINGS, seed=0)
    return mw.train(data, request, out=tmp_path_factory.mktemp("run") / "run")


def test_the_task_comes_from_the_data(data):
    plan = mw.plan(data, mw.PlanRequest(steps=20, settings=SETTINGS))
    assert plan.task == "instance"
    assert "each object has an id of its own" in plan.reasons["task"]
    assert mw.plan(data, mw.PlanRequest(steps=20, settings=SETTINGS, task="semantic")).task == "semantic"
    assert mw.plan(data, mw.PlanRequest(steps=20, settings=[*SETTINGS, "task=semantic"])).task == "semantic"


def test_the_formulation_can_be_chosen(data, tmp_path):
    plan = mw.plan(data, mw.PlanRequest(steps=20, settings=SETTINGS))
    assert plan.objects.formulation == "depth"
    assert "of the objects are in several parts" in plan.reasons["objects.formulation"]
    request = mw.PlanRequest(steps=4, settings=[*SETTINGS, "objects.formulation=centres"])
    result = mw.train(data, request, out=tmp_path / "run")
    predictor = mw.load(result.run)
    assert [group.name for group in predictor.card.channels] == ["classes", "centre", "offset"]
    assert predictor.card.formulation == "centres"
    image = next((data / "images").iterdir())
    assert predictor.maps(predictor.read(image)).shape == (5, SIDE, SIDE)
    assert mw.evaluate(result.run, data).scores.task == "instance"


@pytest.mark.parametrize(
    ("task", "more", "why"),
    [
        ("semantic", ["objects.things=[object]"], "the task semantic does not separate objects"),
        ("instance", ["model.name=maskrcnn"], "maskrcnn emits objects"),
    ],
)
def test_a_formulation_that_nothing_reads_is_refused(data, task, more, why):
    settings = ["model.pretrained=false", "objects.formulation=centres", *more]
    with pytest.raises(MaskwrightError, match=why):
        mw.plan(data, mw.PlanRequest(steps=2, settings=settings, task=task))


def test_touching_discs_are_learnt(trained):
    assert trained.scores.task == "instance"
    assert trained.scores.score.value > 0.8
    report = (trained.run / "report.html").read_text(encoding="utf-8")
    assert "missed" in report


def test_all_files_of_a_prediction_agree(trained, data, tmp_path, capsys):
    out = tmp_path / "found"
    save = "instances,overlay,coco,geojson,measurements"
    command = ["predict", trained.run, data / "images", "--out", out, "--save", save, "--pixel-size", "0.5um", "--json"]
    assert run([str(word) for word in command]) == 0
    told = json.loads(capsys.readouterr().out)
    coco = json.loads((out / "predictions.json").read_text())
    per_image = {entry["id"]: Path(entry["file_name"]).stem for entry in coco["images"]}
    total = 0
    for name in (f"{number:02d}" for number in range(24)):
        ids = tifffile.imread(out / "instances" / f"{name}.tif")
        count = len(np.unique(ids[ids > 0]))
        rows = list(csv.DictReader((out / "measurements" / f"{name}.csv").read_text().splitlines()))
        features = json.loads((out / "outlines" / f"{name}.geojson").read_text())["features"]
        listed = [entry for entry in coco["annotations"] if per_image[entry["image_id"]] == name]
        assert count == len(rows) == len(features) == len(listed)
        assert (out / "overlays" / f"{name}.jpg").is_file()
        areas = np.bincount(ids.ravel())[1:]
        assert sorted(entry["area"] for entry in listed) == sorted(areas.tolist())
        assert sorted(float(row["area_um2"]) for row in rows) == pytest.approx(sorted(areas / 4))
        total += count
    assert total > 150
    assert sum(entry["summary"]["object"] for entry in told["images"] if entry["summary"]) == total


def test_two_trainings_give_the_same_bits(data, tmp_path):
    request = mw.PlanRequest(steps=12, settings=[*SETTINGS, "train.validations=3"], seed=3)
    whole = mw.train(data, request, out=tmp_path / "whole").run
    again = mw.train(data, request, out=tmp_path / "again").run
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
