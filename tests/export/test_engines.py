"""Which file and which engine a model is opened with."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.inference import opening
from maskwright.inference.engine import TorchEngine
from maskwright.inference.exported import OnnxEngine, OpenvinoEngine

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.inference.engine import Engine
    from maskwright.models.bundle import Card

KINDS = {"torch": TorchEngine, "onnx": OnnxEngine, "openvino": OpenvinoEngine}


@pytest.mark.parametrize("fastest", KINDS)
def test_auto_takes_the_fastest(exported: Path, monkeypatch: pytest.MonkeyPatch, fastest: str) -> None:
    timed = []

    def milliseconds(engine: Engine, _card: Card) -> float:
        timed.append(type(engine))
        return 1.0 if type(engine) is KINDS[fastest] else 2.0

    monkeypatch.setattr(opening, "milliseconds", milliseconds)
    assert type(mw.load(exported, "cpu", engine="auto").engine) is KINDS[fastest]
    # OpenVINO is timed with its own file and with that for ONNX.
    assert sorted(kind.__name__ for kind in timed) == ["OnnxEngine", "OpenvinoEngine", "OpenvinoEngine", "TorchEngine"]


def test_auto_leaves_out_what_is_not_installed(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda _name: None)
    assert type(mw.load(exported, "cpu", engine="auto").engine) is TorchEngine


def test_auto_leaves_out_what_cannot_have_another_stride(exported: Path) -> None:
    with pytest.raises(MaskwrightError, match="swiftnet cannot have the output stride 16"):  # PyTorch says this
        mw.load(exported, "cpu", 16, engine="auto")


@pytest.mark.parametrize("name", KINDS)
def test_a_named_engine_is_taken(exported: Path, name: str) -> None:
    assert type(mw.load(exported, "cpu", engine=name).engine) is KINDS[name]


def test_a_run_is_predicted_by_torch_and_an_export_by_its_runtime(exported: Path) -> None:
    assert type(mw.load(exported, "cpu").engine) is TorchEngine
    assert type(mw.load(exported / "exports/onnx", "cpu").engine) is OnnxEngine
    assert type(mw.load(exported / "exports/openvino/model.xml", "cpu").engine) is OpenvinoEngine


def test_an_engine_without_a_file_is_refused(exported: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(exported, tmp_path / "run", ignore=shutil.ignore_patterns("exports"))
    with pytest.raises(MaskwrightError, match="has no file for the engine onnx: export the model for it") as caught:
        mw.load(alone, "cpu", engine="onnx")
    assert caught.value.key == "engine"


def test_an_unknown_engine_names_the_nearest(exported: Path) -> None:
    with pytest.raises(MaskwrightError, match="openvino"):
        mw.load(exported, "cpu", engine="openvin")


def test_an_export_runs_on_the_cpu_only(exported: Path) -> None:
    with pytest.raises(MaskwrightError, match="runs on the CPU only, and the device is cuda"):
        mw.load(exported / "exports/onnx", "cuda")


def test_the_stride_of_an_export_is_fixed(exported: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"output stride of .* is fixed"):
        mw.load(exported / "exports/onnx", "cpu", output_stride=16)


def test_weights_of_openvino_are_missed_by_name(exported: Path, tmp_path: Path) -> None:
    file = shutil.copy(exported / "exports/openvino/model.xml", tmp_path / "model.xml")
    with pytest.raises(MaskwrightError, match=r"has no model\.bin beside it: copy both files"):
        mw.load(file, "cpu")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [value])
    graph.output[0].name = "y"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "a.onnx")
    with pytest.raises(MaskwrightError, match="is not a model of maskwright: it has no card"):
        mw.load(tmp_path / "a.onnx", "cpu")
