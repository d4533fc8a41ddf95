"""Names from an old zip file: bytes that are not UTF-8. Every verb works with them, and every file of results too."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.workflows import toy_data as toy

from maskwright.core.classes import Classes
from maskwright.models.bundle import CardClasses
from maskwright.tasks.label_files import write_mask
from maskwright.tasks.label_map import LabelMap
from maskwright.workflows.evaluate import evaluate
from maskwright.workflows.predict import opened, predict
from maskwright.workflows.predict_request import PredictRequest
from maskwright.workflows.request import EvaluateRequest, PlanRequest
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

NAME = os.fsdecode(b"caf\xe9")


def renamed(root: Path) -> Path:
    """Give every picture such a name, and the folder that holds them all."""
    for path in sorted(root.rglob("*.png")):
        try:
            path.rename(path.with_name(f"{NAME}_{path.name}"))
        except OSError:
            pytest.skip("this file system has names in UTF-8 only")
    return root.rename(root.with_name(NAME))


@pytest.mark.usefixtures("quiet_machine")
def test_every_verb_works_with_them(tmp_path: Path) -> None:
    data = renamed(toy.write(tmp_path / "data"))
    run, out = tmp_path / f"run_{NAME}", tmp_path / f"out_{NAME}"
    assert train(data, toy.request(steps=1), run).scores is not None
    (run / "report.html").unlink()
    assert train(None, PlanRequest(device="cpu"), resume=run).steps == 1
    assert all(NAME in name for name in json.loads((run / "split.json").read_text(encoding="ascii")))
    assert "caf\\udce9_0" in (run / "report.html").read_text(encoding="utf-8")
    assert evaluate(run, data, EvaluateRequest(device="cpu")).report.is_file()
    model, _ = opened(run, "cpu")
    made = predict(model, [str(data / "images" / "test")], out, PredictRequest(("mask", "overlay", "coco")))
    assert len(made.images) == toy.COUNTS["test"]
    (coco,) = out.glob("*.json")
    names = [image["file_name"] for image in json.loads(coco.read_text(encoding="utf-8"))["images"]]
    assert all(NAME in name for name in names)


def test_a_class_may_have_such_a_name(tmp_path: Path) -> None:
    classes = Classes.named(("ground", NAME))
    write_mask(tmp_path / "a.png", np.zeros((2, 2, 3)), LabelMap(np.zeros((2, 2), np.uint8)), classes)
    assert CardClasses.of(classes).table().names == ("ground", NAME)
