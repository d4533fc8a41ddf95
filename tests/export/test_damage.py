"""Exports that were cut: each is refused with its name."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

import maskwright as mw
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from pathlib import Path


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
