"""What is refused by its path alone, in every verb, without waiting for anything slow."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from maskwright.core.errors import MaskwrightError
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.runs.preflight import check_model, check_resuming, check_training

if TYPE_CHECKING:
    from pathlib import Path

LINES = {
    "train gone": "gone does not exist: check the path",
    "train data --out data/file": "--out data/file is a file: name a folder",
    "train data --out run": "run already holds a run: continue it with --resume, or choose another --out",
    "train data --plan gone.yaml": "gone.yaml does not exist: give a plan.yaml",
    "train data --from gone": "gone does not exist: give the folder of a run, or a model.safetensors",
    "train --resume gone": "--resume gone does not exist",
    "train --resume data": "data has no plan.yaml, so there is no training to resume: start one with --out data",
    "plan gone": "gone does not exist: check the path",
    "train data --out data/file/run": "--out data/file/run cannot be created, because data/file is a file",
    "plan data --out data/file/plan.yaml": "--out data/file/plan.yaml cannot be created, because data/file is a file",
    "plan data --out data": "--out data is a folder: name a file, e.g. data/plan.yaml",
    "predict gone images": "gone does not exist: give the folder of a run",
    "predict run images": "run has no model.safetensors: give the folder of a finished run",
    "evaluate gone data": "gone does not exist: give the folder of a run",
    "evaluate data/file gone": "gone does not exist: check the path",
    "evaluate data/file data --out data/file/report": "--out data/file/report cannot be created, because",
    "predict data/file images --out data/file/here": "--out data/file/here cannot be created, because",
    "predict data/file images --out data/file": "--out data/file is a file: name a folder",
}


def test_a_wrong_path_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.yaml").write_text("seed: 0\n")
    code = (
        "import sys; from maskwright.cli.main import run\n"
        f"for line in {list(LINES)}:\n"
        "    assert run(line.split()) == 2, line\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert len(said) == len(LINES)
    for words, line in zip(LINES.values(), said, strict=True):
        assert words in line


def test_what_is_there_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "plan.yaml").write_text("seed: 0\n")
    plan, model = tmp_path / "plan.yaml", tmp_path / "model.safetensors"
    check_training(tmp_path, PlanRequest(plan_file=plan, from_run=tmp_path), tmp_path / "new")
    check_training(tmp_path, PlanRequest(plan_file=tmp_path, weights=model))
    monkeypatch.setenv("RANK", "1")
    check_training(tmp_path, PlanRequest(), tmp_path)  # what the first process has begun meanwhile
    check_resuming(tmp_path, tmp_path, PlanRequest(device="cpu"))
    check_model(tmp_path, tmp_path, tmp_path / "new")
    with pytest.raises(MaskwrightError, match="does not exist either"):
        check_training(tmp_path / "a" / "b", PlanRequest())
    for field, key in (("weights", "model.weights"), ("from_run", "from_run")):
        with pytest.raises(MaskwrightError, match=r"w\.pth does not exist") as caught:
            check_training(tmp_path, PlanRequest(**{field: tmp_path / "w.pth"}))
        assert caught.value.key == key, "the command line names the option"
    with pytest.raises(MaskwrightError, match="leave out `steps`, or start a new run"):
        check_resuming(tmp_path, None, PlanRequest(steps=3))
