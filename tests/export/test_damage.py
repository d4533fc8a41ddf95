"""Exports that were cut, or whose bytes changed: each is refused with its name, and none predicts other masks."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

import numpy as np

import maskwright as mw
from maskwright.cli.main import run as command
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from pathlib import Path

FILES = ["onnx/model.onnx", "openvino/model.xml", "openvino/model.bin", "torch/model.safetensors"]


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A run with an export for each engine."""
    copy = shutil.copytree(exported, tmp_path / "run")
    mw.export(copy, to="torch")
    return copy


def flip(file: Path) -> None:
    """Change a digit, or a bit of a weight, where no rule of the format is broken."""
    content = bytearray(file.read_bytes())
    place = content.index(b'id="1') + 4 if file.suffix == ".xml" else len(content) // 2
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_changed_bytes_are_refused(copy: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = copy / "exports" / name
    wanted = json.loads(file.with_name("parity.json").read_text())["files_sha256"][file.name]
    mw.load(file.parent, "cpu")
    flip(file)
    rule = rf"{file} is not as it was exported: its SHA-256 is [0-9a-f]{{64}}, and parity.json beside it says {wanted}"
    with pytest.raises(MaskwrightError, match=rf"^{rule}\. Copy the folder again, or export again$"):
        mw.load(file.parent, "cpu")
    if name.startswith("torch"):
        return
    for engine in (name.partition("/")[0], "auto"):
        with pytest.raises(MaskwrightError, match=rule):
            mw.load(copy, "cpu", engine=engine)
    assert command(["predict", str(file.parent), str(copy), "--out", str(copy / "masks")]) == 2
    assert "is not as it was exported" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("name", FILES)
def test_an_export_without_its_hashes_is_opened(copy: Path, name: str) -> None:
    file = copy / "exports" / name
    comparison = file.with_name("parity.json")
    found = json.loads(comparison.read_text())
    del found["files_sha256"]
    comparison.write_text(json.dumps(found))  # as earlier versions wrote it
    image = np.zeros((50, 70, 3), np.uint8)
    wanted = mw.load(file.parent, "cpu").predict(image).labels
    comparison.unlink()
    np.testing.assert_array_equal(mw.load(file.parent, "cpu").predict(image).labels, wanted)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"files_sha256": 3}', b"\xff"])
def test_a_damaged_comparison_does_not_end_the_check(copy: Path, content: bytes) -> None:
    (copy / "exports/onnx/parity.json").write_bytes(content)
    with pytest.raises(MaskwrightError, match=r"parity\.json is damaged, so nothing says whether model\.onnx is whole"):
        mw.load(copy / "exports/onnx", "cpu")


@pytest.mark.parametrize("left", [0.0, 0.5, 0.999])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("onnx/model.onnx", "[^)]+"),
        ("openvino/model.xml", "its end is missing"),
        ("openvino/model.bin", r"it has \d+ bytes, and model\.xml needs \d+"),
    ],
)
def test_a_cut_file_is_named(exported: Path, tmp_path: Path, name: str, fault: str, left: float) -> None:
    copy = shutil.copytree(exported / "exports", tmp_path / "run", ignore=shutil.ignore_patterns("parity.json"))
    file = copy / name
    content = file.read_bytes()
    file.write_bytes(content[: int(left * len(content))])
    rule = rf"^{file} cannot be opened \({fault}\): it was cut, or has another format\. Copy it again, or export again$"
    for engine in (None, "openvino"):
        with pytest.raises(MaskwrightError, match=rule) as caught:
            mw.load(file.parent, "cpu", engine=engine)
        assert "src/" not in str(caught.value)
