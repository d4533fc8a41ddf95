"""Which file and which engine a model is opened with."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

import numpy as np
import torch

import maskwright as mw
from maskwright.core import resources
from maskwright.core.channels import class_channels
from maskwright.core.errors import MaskwrightError
from maskwright.core.optional import optional
from maskwright.exporting.formats import quantised
from maskwright.inference import exported as exported_engines
from maskwright.inference import opening
from maskwright.inference.engine import TorchEngine
from maskwright.inference.exported import OnnxEngine, OpenvinoEngine
from maskwright.models import bundle
from maskwright.ops.images import working_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.inference.engine import Engine
    from maskwright.models.bundle import Card

KINDS = {"torch": TorchEngine, "onnx": OnnxEngine, "openvino": OpenvinoEngine}


@pytest.mark.parametrize("fastest", KINDS)
def test_auto_takes_the_fastest(exported: Path, monkeypatch: pytest.MonkeyPatch, fastest: str) -> None:
    timed: list[type] = []

    def milliseconds(engines: Sequence[Engine], _card: Card) -> list[float]:
        timed.extend(map(type, engines))
        return [1.0 if type(engine) is KINDS[fastest] else 2.0 for engine in engines]

    monkeypatch.setattr(opening, "milliseconds", milliseconds)
    assert type(mw.load(exported, "cpu", engine="auto").engine) is KINDS[fastest]
    # Each file is timed with the engine that it was compared with the model in.
    assert sorted(kind.__name__ for kind in timed) == ["OnnxEngine", "OpenvinoEngine", "TorchEngine"]


def test_engines_take_turns() -> None:
    order: list[str] = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def forward(self, tiles: Any) -> torch.Tensor:
            assert tiles.shape == (1, 48, 64, 3)
            order.append(self.name)
            return torch.zeros(1)

    tile, image = SimpleNamespace(tile_size=(48, 64)), SimpleNamespace(channels=3)
    card = SimpleNamespace(predict=tile, data=image, channels=class_channels(2))
    times = opening.milliseconds([Named("a"), Named("b")], card)  # type: ignore[list-item, arg-type]
    assert len(times) == 2
    assert order == ["a", "b"] * 6


def test_bfloat16_is_tried_where_it_was_compared(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(exported, tmp_path / "run")
    comparison = copy / "exports/openvino/parity.json"
    found = json.loads(comparison.read_text())
    assert found["bfloat16"] is None
    loaded: list[bool] = []
    load = OpenvinoEngine.load

    def recorded(path: Path, *, fast: bool = False) -> Any:
        loaded.append(fast)
        return load(path, fast=fast)

    monkeypatch.setattr(opening.OpenvinoEngine, "load", recorded)
    mw.load(copy, "cpu", engine="auto")
    assert loaded == [False]
    comparison.write_text(json.dumps({**found, "bfloat16": found}))
    loaded.clear()
    mw.load(copy, "cpu", engine="auto")
    assert loaded == [False, True]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each network that is compiled takes tiles of any size."""
    found: list[bool] = []
    compiled = exported_engines.compiled

    def recorded(core: Any, model: Any, *, fast: bool = False) -> Any:
        found.append(model.is_dynamic())
        return compiled(core, model, fast=fast)

    monkeypatch.setattr(exported_engines, "compiled", recorded)
    return found


def test_tiles_of_the_card_have_a_network_of_their_own(exported: Path, free: list[bool]) -> None:
    ours, card = opening.opened(exported / "model.safetensors", opening.How("cpu"))
    theirs, _ = opening.opened(exported / "exports/openvino", opening.How("cpu"))
    tile = card.predict.tile_size
    assert card.predict.flip
    mirrored = working_size(*tile, card.predict.flip_scale)
    draw = np.random.default_rng(0)
    for size in ((33, 70), tile, mirrored, (40, 56), tile, mirrored):
        tiles = draw.integers(0, 256, (1, *size, 3), np.uint8)
        np.testing.assert_allclose(theirs.forward(tiles), ours.forward(tiles), atol=1e-3)
    assert free == [True, False, False]


def test_the_tiles_of_another_plan_have_networks_of_their_own(exported: Path, free: list[bool]) -> None:
    found, card = opening.opened(exported / "exports/openvino", opening.How("cpu"))
    assert isinstance(found, OpenvinoEngine)
    large = found.for_tiles(card.predict.model_copy(update={"tile": (128, 128)}))
    for engine in (found, large):
        assert engine.forward(np.zeros((1, 128, 128, 3), np.uint8)).shape[2:] == (128, 128)
    assert free == [True, False]


@pytest.mark.parametrize(("tiles", "int8"), [(True, True), (True, False), (False, True)])
def test_no_int8_network_takes_any_size_where_that_crashes(
    exported: Path, free: list[bool], monkeypatch: pytest.MonkeyPatch, tiles: bool, int8: bool
) -> None:
    if int8 and not tiles and "amx_int8" in resources.cpu_flags():
        pytest.skip("OpenVINO crashes here")
    monkeypatch.setattr(resources, "multiplies_tiles", lambda: tiles)
    core = optional("openvino", "openvino").Core()
    model = core.read_model(exported / "exports/openvino/model.xml")
    card = bundle.read_card(exported / "model.safetensors")
    if int8:
        model = quantised(model, [np.zeros((1, 64, 64, 3), np.uint8)], ())
        assert any(node.get_type_name() == "FakeQuantize" for node in model.get_ops())
    engine = OpenvinoEngine(core, model, card.predict)
    sizes = [(40 + 8 * number, 72) for number in range(6)]
    for size in (*sizes, sizes[-1]):
        assert engine.forward(np.zeros((1, *size, 3), np.uint8)).shape[2:] == size
    assert free == ([False] * 6 if tiles and int8 else [True])
    engine.forward(np.zeros((1, *sizes[0], 3), np.uint8))  # only the last ones are kept
    assert len(free) == (7 if tiles and int8 else 1)


@pytest.mark.parametrize("engine", ["auto", "onnx"])
def test_an_export_of_another_model_is_refused(exported: Path, tmp_path: Path, engine: str) -> None:
    copy = shutil.copytree(exported, tmp_path / "run")
    segmenter, card = bundle.load(copy / "model.safetensors")
    bundle.save(copy / "model.safetensors", segmenter, card.model_copy(update={"decoding": {"temperature": 2.0}}))
    with pytest.raises(MaskwrightError, match=r"was made from another model than .*, which has changed since: export"):
        mw.load(copy, "cpu", engine=engine)
    assert type(mw.load(copy, "cpu", engine="torch").engine) is TorchEngine


def test_an_export_that_does_not_say_its_model_is_refused(exported: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(exported, tmp_path / "run")
    (copy / "exports/onnx/parity.json").write_text("{}")
    with pytest.raises(MaskwrightError, match=r"parity.json does not say which model model.onnx was made from"):
        mw.load(copy, "cpu", engine="onnx")


def test_an_evaluation_takes_the_engine_it_is_told(exported: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match="openvino"):
        mw.evaluate(exported, run.parent / "data", engine="openvin")
    found = mw.evaluate(exported, run.parent / "data", engine="onnx", out=tmp_path)
    assert found.scores.score.value == pytest.approx(
        mw.evaluate(run, run.parent / "data", out=tmp_path).scores.score.value
    )


def test_settings_are_not_fitted_that_an_export_cannot_keep(exported: Path, run: Path) -> None:
    with pytest.raises(MaskwrightError, match="is an export, and what is fitted for crf cannot be written into it"):
        mw.evaluate(exported / "exports/onnx", run.parent / "data", postprocess="crf")


def test_settings_are_not_fitted_into_an_export_for_torch(exported: Path, run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(exported, tmp_path / "run")
    file = mw.export(copy, to="torch", half=True).file
    content = file.read_bytes()
    for place in (file, file.parent):
        with pytest.raises(MaskwrightError, match="is an export, and what is fitted for crf cannot be written into it"):
            mw.evaluate(place, run.parent / "data", postprocess="crf", refit=True)
    assert file.read_bytes() == content


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
