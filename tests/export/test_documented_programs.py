"""The programs of docs/export.md in other languages run as they are printed there, and read what Python reads."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from maskwright.inference.opening import How, opened

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/export.md").read_text("utf-8")


def code(language: str, mark: str) -> str:
    """Return the block of code in a language that holds a mark."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if mark in block]
    return str(found)


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing")
    return found


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_cpp_with_openvino(exported: Path, tmp_path: Path) -> None:
    program("g++")
    shutil.copytree(exported / "exports/openvino", tmp_path, dirs_exist_ok=True)
    (tmp_path / "main.cpp").write_text(code("cpp", "openvino"))
    python = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run(["bash", "-euc", code("sh", "g++")], tmp_path, PATH=python)
    usage, card, shape = run([str(tmp_path / "main")], tmp_path).rsplit("\n", 3)[:3]
    _, expected = opened(tmp_path / "model.xml", How())
    assert "uint8" in usage
    assert type(expected).model_validate_json(card) == expected
    assert shape == f"[1,{len(expected.classes.names)},480,640]"


def test_javascript_with_onnx_runtime(exported: Path, tmp_path: Path) -> None:
    node = program("node")
    packages = Path(os.environ.get("MASKWRIGHT_NODE_MODULES", ROOT / "node_modules"))
    if not (packages / "onnxruntime-node").is_dir():
        pytest.skip("onnxruntime-node is missing: npm install --no-save onnxruntime-node")
    shutil.copytree(exported / "exports/onnx", tmp_path, dirs_exist_ok=True)
    (tmp_path / "node_modules").symlink_to(packages)
    (tmp_path / "main.mjs").write_text(code("js", "onnxruntime-node"))
    engine, card = opened(tmp_path / "model.onnx", How())
    grey = np.full((1, 480, 640, card.data.channels), 127, np.uint8)
    maps = engine.forward(grey)[0, :, 0, 0].numpy() + np.array(card.decoding.get("offsets", 0))
    label = int(maps.argmax())
    name, color = run([node, "main.mjs"], tmp_path).split(maxsplit=1)
    assert name == card.classes.names[label]
    assert [int(part) for part in re.findall(r"\d+", color)] == list(card.classes.colors[label])
