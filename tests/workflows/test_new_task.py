"""Following CONTRIBUTING.md word by word gives a task that plans, trains, scores, writes and reports."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import tifffile
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.cli.main import run
from maskwright.core.errors import MaskwrightError
from maskwright.planning.task_rules import RULES, TaskRules
from maskwright.tasks import TASKS

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Add a task\n")[1].split("\n## ")[0]
TASK, PLAN_RULES, TASK_LINE, RULES_LINE = re.findall(r"^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def load(name: str, code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Write a module outside of the package, and import it under its name within."""
    file = folder / f"{name.rpartition('.')[2]}.py"
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Add the task for one test."""
    folder = tmp_path / "added"
    folder.mkdir()
    height = load("maskwright.tasks.height", TASK, folder, monkeypatch)
    rules_height = load("maskwright.planning.rules_height", PLAN_RULES, folder, monkeypatch)
    names: dict[str, Any] = {"height": height, "rules_height": rules_height, "TaskRules": TaskRules}
    monkeypatch.setitem(TASKS, "height", eval(f"{{{TASK_LINE}}}", names)["height"])
    monkeypatch.setitem(RULES, "height", eval(f"{{{RULES_LINE}}}", names)["height"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture
def heights(tmp_path: Path) -> Path:
    """Write images whose brightness is the height, with masks of float32."""
    root = tmp_path / "data"
    for split, count in toy.COUNTS.items():
        for number in range(count):
            rng = np.random.default_rng([number, len(split)])
            surface = np.outer(np.linspace(0, 1, 48), rng.uniform(20, 60, 64)).astype(np.float32)
            for folder, array in (("images", (4 * surface).astype(np.uint8)), ("masks", surface)):
                path = root / folder / split / f"{number:02}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(path, array)
    return root


@pytest.mark.usefixtures("added")
def test_it_trains_scores_and_predicts(heights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exact = ("augment.brightness=0", "augment.contrast=0", "augment.gamma=0")  # brightness is what it learns from
    settings = (*toy.SETTINGS, *exact, "optim.lr=0.02")
    result = mw.train(heights, task="height", steps=40, out=tmp_path / "run", settings=settings, device="cpu", seed=1)
    assert result.scores is not None
    assert result.scores.headline == "rmse"
    error = result.scores.mean["rmse"].value
    spread = np.std([tifffile.imread(path) for path in sorted(heights.rglob("masks/test/*.tif"))])
    assert error is not None
    assert error < 0.9 * spread, "it must do better than the mean height"
    assert result.validation_score is not None
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["validation_rmse"] == result.validation_score
    assert "val_rmse" in (tmp_path / "run/history.csv").read_text()
    page = (tmp_path / "run/report.html").read_text()
    assert "RMSE on held-out test images" in page
    assert "IoU" not in page
    assert "1 class" not in page
    assert "12 images" in page
    assert not re.search(r">\s*None\b", page)
    found = mw.load(result.run).predict(heights / "images/test/00.tif")
    assert found.result.heights.shape == (48, 64)
    with pytest.raises(MaskwrightError, match="a model for height has no label map"):
        found.labels  # noqa: B018
    command = ["predict", result.run, heights / "images/test", "--out", tmp_path / "out"]
    assert run([str(word) for word in command]) == 0
    written = tifffile.imread(tmp_path / "out/heights/00.tif")
    assert np.allclose(written, found.result.heights)
    for verb in ("evaluate", "predict"):
        assert run([verb, str(result.run), str(heights), "--postprocess", "crf"]) == 2
        said = capsys.readouterr().err
        assert "the dense CRF needs the probability of each class and nothing else" in said
        assert "this model predicts height: leave --postprocess out" in said
    with pytest.raises(MaskwrightError, match="needs the probability of each class"):
        mw.plan(heights, task="height", steps=2, settings=["postprocess.crf={}"])
    with pytest.raises(
        MaskwrightError, match=r"loss\.terms\.dice has no effect here: the task height has its own loss"
    ):
        mw.plan(heights, task="height", steps=2, settings=["loss.terms.dice=1"])
    assert run(["inspect", str(heights), "--task", "height"]) == 0
    assert run(["evaluate", str(result.run), str(heights)]) == 0
    assert "RMSE" in capsys.readouterr().out


@pytest.mark.usefixtures("added")
def test_an_annotation_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "coco"
    (data / "annotations").mkdir(parents=True)
    picture, mask = toy.picture(0)
    cv2.imwrite(str(data / "a.png"), picture)
    entry = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [[1, 1, 9, 1, 9, 9]]}
    image = {"id": 1, "file_name": "a.png", "width": mask.shape[1], "height": mask.shape[0]}
    content = {"images": [image], "annotations": [entry], "categories": [{"id": 1, "name": "thing"}]}
    (data / "annotations/instances.json").write_text(json.dumps(content))
    with pytest.raises(MaskwrightError, match=r"needs measured values|cannot be trained on|takes at least"):
        mw.plan(data, task="height", steps=2)


def test_a_task_that_nobody_knows_is_named(tmp_path: Path) -> None:
    data = toy.write(tmp_path / "data")
    with pytest.raises(MaskwrightError, match="unknown task 'hight'"):
        mw.plan(data, task="hight", steps=2)


def test_it_keeps_the_rules_of_the_house(added: Path) -> None:
    for check in (["check"], ["format", "--check"]):
        ignored = ["--ignore", "ARG002"] if check == ["check"] else []  # as src/maskwright/tasks has it
        command = [sys.executable, "-m", "ruff", *check, *ignored, "--config", str(ROOT / "pyproject.toml"), str(added)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
