"""Predictions have the ids of the COCO files that a model was trained on: pycocotools scores them as they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import maskwright as mw
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.ops import rle

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 64
IDS = {"dark": 3, "unused": 17, "bright": 90}
SETTINGS = [
    "model.pretrained=false",
    "sampling.crop=[64,64]",
    "model.options.widths=[16,24,32,48]",
    "train.precision=32-true",
]
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, NumPy 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Discs of two classes; the ids of images are their names and not their order in the file."""
    root, rng = tmp_path_factory.mktemp("coco"), np.random.default_rng(0)
    rows, columns = np.indices((SIDE, SIDE))
    images, annotations = [], []
    for number in rng.permutation(np.arange(100, 500, 20)).tolist():
        pixels = rng.normal(120, 6, (SIDE, SIDE, 3))
        for row, column in ((16, 16), (16, 48), (48, 16), (48, 48)):
            name = str(rng.choice(["dark", "bright"]))
            mask = np.hypot(rows - row - rng.integers(-4, 5), columns - column - rng.integers(-4, 5)) <= 9
            pixels[mask] += {"dark": -80, "bright": 80}[name]
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": IDS[name], "iscrowd": 0}
            annotations.append(entry | {"segmentation": rle.encode(mask), "area": int(mask.sum())})
            annotations[-1]["bbox"] = [int(columns[mask].min()), int(rows[mask].min()), 19, 19]
        name = f"{number:012d}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name)
        images.append({"id": number, "file_name": name, "height": SIDE, "width": SIDE})
    categories = [{"id": number, "name": name} for name, number in IDS.items()]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(document))
    return root


def test_predictions_are_scored_against_the_own_file_as_they_are(data, tmp_path, capsys):
    run = mw.train(data, mw.PlanRequest(steps=80, settings=SETTINGS, task="instance", seed=0), out=tmp_path / "run").run
    mw.predict(run, data, out=tmp_path / "found", save=["coco"])
    truth, found = COCO(str(data / "instances.json")), COCO(str(tmp_path / "found" / "predictions.json"))
    judge = COCOeval(truth, found, "segm")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    capsys.readouterr()
    assert judge.params.catIds == [3, 17, 90]
    assert judge.stats[0] > 0.6
    ours = mw.evaluate(run, data, split="all").scores
    assert ours.mean["mask_ap"].value == pytest.approx(judge.stats[0], abs=1e-6)


def test_the_classes_of_a_file_keep_its_ids(data, tmp_path):
    assert read_dataset(data).classes.categories == {1: 3, 2: 17, 3: 90}
    assert read_dataset(data, ReadOptions(ignore=3)).classes.categories == {1: 17, 2: 90}
    assert read_dataset(data, ReadOptions(map={17: 90})).classes.categories == {1: 3, 2: 90}
    document = json.loads((data / "instances.json").read_text())
    document["categories"][1] = {"id": 0, "name": "background"}
    (tmp_path / "instances.json").write_text(json.dumps(document))
    for image in data.glob("*.png"):
        (tmp_path / image.name).symlink_to(image)
    classes = read_dataset(tmp_path).classes
    assert (classes.names, classes.ids) == (("background", "dark", "bright"), (0, 3, 90))
    assert classes.categories == {1: 3, 2: 90}


def test_files_that_number_differently_have_no_ids(data, tmp_path):
    document = json.loads((data / "instances.json").read_text())
    for image in data.glob("*.png"):
        (tmp_path / image.name).symlink_to(image)
    (tmp_path / "instances_a.json").write_text(json.dumps(document))
    document["categories"] = [
        {"id": {3: 90, 90: 3}.get(entry["id"], 17)} | {"name": entry["name"]} for entry in document["categories"]
    ]
    (tmp_path / "instances_b.json").write_text(json.dumps(document))
    classes = read_dataset(tmp_path).classes
    assert (classes.ids, classes.categories) == (None, {1: 1, 2: 2, 3: 3})
