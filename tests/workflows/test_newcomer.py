"""Who follows CONTRIBUTING.md to add a model, word by word, has a model that trains, predicts and is documented."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright import models
from maskwright.models.catalog import ModelEntry

ROOT = Path(__file__).parents[2]
NAME = "hypercolumn"


def shown() -> tuple[str, str]:
    """Return the decoder's file and the catalog's line, as CONTRIBUTING shows them."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Add a model\n")[1].split("\n## ")[0]
    code, line = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return code, line


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the file and the line; the package itself is left alone."""
    code, line = shown()
    file = tmp_path / f"{NAME}.py"
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"maskwright.models.decoders.{NAME}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    spec.loader.exec_module(module)
    entries = eval(f"{{{line}}}", {"ModelEntry": ModelEntry, NAME: module})
    assert list(entries) == [NAME]
    monkeypatch.setitem(models.MODELS, NAME, entries[NAME])
    return file


@pytest.mark.usefixtures("added")
def test_it_trains_and_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = toy.write(tmp_path / "data")
    result = mw.train(data, model=NAME, steps=3, out=tmp_path / "run", settings=toy.SETTINGS, device="cpu")
    assert result.steps == 3
    labels = mw.load(result.run).predict(data / "images/test/00.png").labels
    assert labels.shape == toy.SIZE
    assert models.create(NAME, 150, 7)(torch.randn(1, 7, 33, 57)).shape == (1, 150, 33, 57)


def test_it_keeps_the_rules_of_the_house(added: Path) -> None:
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--config", str(ROOT / "pyproject.toml"), str(added)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
