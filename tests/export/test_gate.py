"""The parity gate: a faithful export passes, and each planted fault is refused, with nothing written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("openvino")
pytest.importorskip("nncf")

import onnx
from onnx import helper, numpy_helper
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core import resources
from maskwright.core.errors import MaskwrightError
from maskwright.exporting import layers
from maskwright.exporting.formats import Exporter, Precision
from maskwright.exporting.parity import Parity
from maskwright.workflows.export import export
from maskwright.workflows.export_parts import agreeing
from maskwright.workflows.export_request import ExportRequest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Edit

pytestmark = pytest.mark.usefixtures("one_thread")


def wrong_mean(model: Any) -> None:
    """Subtract too much from the pixels."""
    mean = next(weights for weights in model.graph.initializer if weights.name == "mean")
    mean.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(mean) + 60, "mean"))


def flipped_corners(model: Any) -> None:
    """Resize by the other rule."""
    for node in model.graph.node:
        if node.op_type == "Resize":
            for attribute in node.attribute:
                if attribute.name == "coordinate_transformation_mode":
                    attribute.s = b"align_corners"


def other_order(model: Any) -> None:
    """Exchange the first two classes."""
    [output] = model.graph.output
    last = next(node for node in model.graph.node if output.name in node.output)
    last.output[list(last.output).index(output.name)] = "in_order"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 0, 2]), "order"))
    model.graph.node.append(helper.make_node("Gather", ["in_order", "order"], [output.name], "exchange", axis=1))


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_faithful_export_passes_and_predicts_the_same(
    run: Path, faulty: list[Edit], tmp_path: Path, target: str
) -> None:
    result = export(run, ExportRequest(target, out=tmp_path / "out"))
    assert result.parity.agreement.labels == 1
    assert result.parity.agreement.largest < 1e-4
    assert result.parity.loss == pytest.approx(0, abs=1e-6)
    assert result.parity.exported.bytes > 10_000
    assert json.loads((tmp_path / "out" / "parity.json").read_text())["kept"] == []
    image, _ = toy.picture(77)
    ours, theirs = mw.load(run, "cpu").predict(image), mw.load(tmp_path / "out", "cpu").predict(image)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_allclose(ours.maps, theirs.maps, atol=1e-4)


@pytest.mark.parametrize("fault", [wrong_mean, flipped_corners, other_order])
@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_planted_fault_is_refused(run: Path, faulty: list[Edit], tmp_path: Path, fault: Edit, target: str) -> None:
    faulty.append(fault)
    with pytest.raises(MaskwrightError, match="Nothing was written"):
        export(run, ExportRequest(target, out=tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_names_in_another_order_are_refused(run: Path, faulty: list[Edit], tmp_path: Path) -> None:
    def renamed(model: Any) -> None:
        [entry] = [each for each in model.metadata_props if each.key == "maskwright"]
        card = json.loads(entry.value)
        card["classes"]["names"].reverse()
        entry.value = json.dumps(card)

    faulty.append(renamed)
    with pytest.raises(MaskwrightError, match=r"differs from that of the model in classes\. Nothing was written"):
        export(run, ExportRequest("onnx", out=tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_no_layer_is_blamed_for_a_fault_behind_them(run: Path, faulty: list[Edit], tmp_path: Path) -> None:
    faulty.append(other_order)
    with pytest.raises(MaskwrightError, match="no layer differs, so the fault is in what is done with their results"):
        export(run, ExportRequest("onnx", out=tmp_path / "out"))


def test_half_precision_that_costs_too_much_is_no_fault_of_ours(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Parity, "loss", 0.01)
    with pytest.raises(MaskwrightError, match="export without half, or allow more with `allow_loss`"):
        export(run, ExportRequest("torch", half=True, allow_loss=0, out=tmp_path / "out"))


def test_the_refusal_names_the_layer_with_the_fault(run: Path, faulty: list[Edit], tmp_path: Path) -> None:
    def broken(model: Any) -> None:
        node = next(node for node in model.graph.node if node.op_type == "Conv" and "stages" in scope[node.name])
        weights = next(each for each in model.graph.initializer if each.name == node.input[1])
        weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))
        named.append(scope[node.name])

    named: list[str] = []
    scope = _modules(run)
    faulty.append(broken)
    with pytest.raises(MaskwrightError) as caught:
        export(run, ExportRequest("onnx", out=tmp_path / "out"))
    assert f"the layers that differ most: {named[0]}" in str(caught.value)


@pytest.mark.parametrize("name", ["onnx/model.onnx", "openvino/model.xml"])
def test_no_layer_of_a_faithful_export_differs(
    run: Path, graph: tuple[Any, dict[str, str]], exported: Path, name: str
) -> None:
    from maskwright.exporting.graph import Graph
    from maskwright.models import bundle
    from maskwright.workflows.export_parts.attempt import trained_network

    file = run / "model.safetensors"
    card = bundle.read_card(file)
    tile = np.random.default_rng(5).integers(0, 256, (1, 64, 64, 3), np.uint8)
    found = layers.worst(Graph(trained_network(file, card), card), exported / "exports" / name, graph[1], tile)
    assert all(error < 1e-4 for _, error in found), found


def _modules(run: Path) -> dict[str, str]:
    from maskwright.exporting import formats

    return formats.to_onnx(None, None)[1]  # type: ignore[arg-type]


def test_int8_on_real_tiles_passes_and_on_noise_is_refused(
    run: Path, faulty: list[Edit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = export(run, ExportRequest("openvino", int8=True, allow_loss=3, out=tmp_path / "out"))
    text = (tmp_path / "out" / "model.xml").read_text()
    assert text.count('type="FakeQuantize"') > 10
    assert result.parity.agreement.largest > 0

    def noise(*_: Any) -> list[np.ndarray]:
        return [np.random.default_rng(0).integers(126, 129, (1, 48, 64, 3), np.uint8)]

    monkeypatch.setattr(agreeing, "real_tiles", noise)
    monkeypatch.setattr(agreeing, "SHARES", (0.0,))
    with pytest.raises(MaskwrightError, match=REFUSED):
        export(run, ExportRequest("openvino", int8=True, out=tmp_path / "noise"))
    assert not (tmp_path / "noise").exists()


REFUSED = (
    r"loses .* points of IoU, and 0.5 are allowed, with 0 of \d+ parts of the network in floating point; int8 hurts "
    r"most in .* % of the error\)\. Nothing was written: export without int8, or allow more with `allow_loss`"
)


@pytest.mark.parametrize("fault", [wrong_mean, flipped_corners, other_order])
def test_int8_does_not_hide_a_planted_fault(
    run: Path, faulty: list[Edit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Edit
) -> None:
    faulty.append(fault)
    monkeypatch.setattr(agreeing, "SHARES", (0.0,))
    with pytest.raises(MaskwrightError, match="Nothing was written"):
        export(run, ExportRequest("onnx", int8=True, out=tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_the_graph_is_compared_before_it_is_rounded(run: Path, faulty: list[Edit], tmp_path: Path) -> None:
    faulty.append(other_order)
    with pytest.raises(
        MaskwrightError, match=r"of the pixels keep their label, and 98 % must.*report it, with the plan"
    ):
        export(run, ExportRequest("onnx", int8=True, allow_loss=100, out=tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_the_parts_that_int8_hurts_return_to_floating_point(
    run: Path, faulty: list[Edit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, write = Parity.fault, Exporter.write
    asked: list[float] = []
    rounded_nodes: list[int] = []

    def only_the_second(self: Parity, allowed: float, *, rounded: bool = False, exact: bool = False) -> str | None:
        if not rounded:
            return fault(self, allowed, exact=exact)
        asked.append(allowed)
        return "too much was lost" if len(asked) == 1 else fault(self, 100, rounded=rounded)

    def counted(self: Exporter, target: str, folder: Path, precision: Precision) -> Path:
        file = write(self, target, folder, precision)
        rounded_nodes.append(file.read_text().count('type="FakeQuantize"'))
        return file

    monkeypatch.setattr(resources, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(Parity, "fault", only_the_second)
    monkeypatch.setattr(Exporter, "write", counted)
    result = export(run, ExportRequest("openvino", int8=True, out=tmp_path / "out"))
    assert asked == [0.5, 0.5]
    whole, all_of_it, less = rounded_nodes
    assert whole == 0
    assert 0 < less < all_of_it
    assert result.kept
    assert json.loads((tmp_path / "out" / "parity.json").read_text())["kept"] == list(result.kept)
    assert any("the same export in float32" in note for note in result.notes)


def test_half_stores_half_the_bytes(run: Path, faulty: list[Edit], tmp_path: Path) -> None:
    whole = export(run, ExportRequest("onnx", out=tmp_path / "whole")).parity.exported.bytes
    half = export(run, ExportRequest("onnx", half=True, out=tmp_path / "half")).parity.exported.bytes
    assert half < 0.75 * whole
    model = onnx.load(tmp_path / "half" / "model.onnx")
    assert {each.data_type for each in model.graph.initializer} >= {onnx.TensorProto.FLOAT16}


def test_a_file_names_what_its_user_needs_and_nothing_of_the_machine(
    run: Path, faulty: list[Edit], tmp_path: Path
) -> None:
    export(run, ExportRequest("onnx", out=tmp_path / "out"))
    content = (tmp_path / "out" / "model.onnx").read_bytes()
    model = onnx.load_from_string(content)
    assert [node.name for node in model.graph.input] == ["image"]
    assert [node.name for node in model.graph.output] == ["maps"]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    card = json.loads(metadata["maskwright"])
    assert tuple(card["classes"]["names"]) == mw.load(run, "cpu").classes.names
    assert "uint8 (N, H, W, 3)" in metadata["maskwright.usage"]
    assert b"site-packages" not in content
    assert str(run.parent).encode() not in content


def test_an_export_is_evaluated_like_a_run(run: Path, faulty: list[Edit]) -> None:
    export(run, ExportRequest("onnx"))
    data = run.parent / "data"
    ours = mw.evaluate(run, data).scores.score.value
    assert mw.evaluate(run / "exports" / "onnx", data).scores.score.value == pytest.approx(ours, abs=1e-6)
