"""Exports of networks that emit objects: they find what the model finds, and each planted fault is refused."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("openvino")
pytest.importorskip("nncf")

import onnx
import openvino
from onnx import helper, numpy_helper
from tests.workflows import test_mask2former, test_maskrcnn
from tests.workflows.squares import STILL, picture, written

import maskwright as mw
from maskwright.cli.main import run as command
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import PredictPlan
from maskwright.exporting import formats
from maskwright.exporting.graph import to_onnx
from maskwright.exporting.usage import usage
from maskwright.models import bundle
from maskwright.models.objects.reading import Reading
from maskwright.workflows.export_parts import agreeing
from maskwright.workflows.export_parts.attempt import trained_network
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")

REQUESTS = {
    "maskrcnn": test_maskrcnn.request("optim.name=adamw", "optim.lr=5e-3", "optim.ema=0.5", *STILL, steps=30),
    "mask2former": test_mask2former.request("optim.lr=0.02", "optim.ema=0.9", *STILL, steps=200),
}


@dataclass
class Trained:
    """A run, its graph, which is made once, and what is done to each copy of it."""

    run: Path
    model: Any
    modules: dict[str, str]
    edits: list[Callable[[Any], None]] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.run.parent / "data"

    def remade(self, _segmenter: Any, _card: Any) -> tuple[Any, dict[str, str]]:
        copy = type(self.model)()
        copy.CopyFrom(self.model)
        for edit in self.edits:
            edit(copy)
        return copy, dict(self.modules)


@pytest.fixture(scope="module", params=REQUESTS)
def found(request: Any, tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Trained:
    root = tmp_path_factory.mktemp(request.param)
    (root / "data").mkdir()
    train(written(root / "data"), REQUESTS[request.param], root / "run")
    file = root / "run/model.safetensors"
    card = bundle.read_card(file)
    return Trained(root / "run", *to_onnx(trained_network(file, card), card))


@pytest.fixture
def trained(found: Trained, monkeypatch: pytest.MonkeyPatch) -> Trained:
    found.edits.clear()
    monkeypatch.setattr(formats, "to_onnx", found.remade)
    return found


def boxes_only(trained: Trained) -> None:
    if len(trained.model.graph.output) != 5:
        pytest.skip("its objects have no boxes")


@pytest.mark.parametrize("target", ["onnx", "openvino", "torch"])
def test_an_export_finds_what_the_model_finds(trained: Trained, tmp_path: Path, target: str) -> None:
    result = mw.export(trained.run, to=target, out=tmp_path / "out")
    assert result.parity.agreement.objects
    assert result.parity.agreement.labels == 1
    assert result.parity.agreement.largest < 1e-3
    assert result.parity.loss == pytest.approx(0, abs=1e-6)
    ours, theirs = mw.load(trained.run, "cpu"), mw.load(tmp_path / "out", "cpu")
    image, _ = picture(100)
    for predictor in (ours, theirs):
        assert [group.name for group in predictor.card.channels] == ["objects"]
    wanted = ours.with_decoding({"score": 0.3}).result(image).objects
    assert wanted
    for first, second in zip(wanted, theirs.with_decoding({"score": 0.3}).result(image).objects, strict=True):
        assert (first.index, first.top, first.left) == (second.index, second.top, second.left)
        assert first.score == pytest.approx(second.score, abs=1e-3)
        np.testing.assert_array_equal(first.mask, second.mask)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_batches_and_sizes_are_free(trained: Trained, tmp_path: Path, engine: str) -> None:
    mw.export(trained.run, to=engine, out=tmp_path / "out")
    ours, theirs = mw.load(trained.run, "cpu").engine, mw.load(tmp_path / "out", "cpu").engine
    for batch, size in ((1, (96, 96)), (3, (64, 130)), (2, (40, 40))):
        images = [np.resize(picture(number)[0], (*size, 3)) for number in range(batch)]
        for first, second in zip(ours.objects(np.stack(images)), theirs.objects(np.stack(images)), strict=True):
            assert len(first.scores) == len(second.scores)
            np.testing.assert_allclose(first.scores, second.scores, atol=1e-4)


def rounded_for(file: Path) -> set[str]:
    """Return the types of the operations of a file that take what was rounded to int8."""
    if file.suffix == ".onnx":
        nodes = onnx.load(file).graph.node
        rounded = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
        return {node.op_type for node in nodes if rounded & set(node.input)}
    nodes = openvino.Core().read_model(file).get_ordered_ops()
    outputs = [node.output(0) for node in nodes if node.get_type_name() == "FakeQuantize"]
    return {use.get_node().get_type_name() for output in outputs for use in output.get_target_inputs()}


COORDINATES = {
    *("ScatterND", "RoiAlign", "TopK", "GatherND", "GatherElements", "Concat", "Exp", "Sqrt", "GridSample", "Where"),
    *("ScatterNDUpdate", "ROIAlign", "NonMaxSuppression", "Select"),
}


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_int8_leaves_coordinates_alone(trained: Trained, tmp_path: Path, target: str) -> None:
    boxes_only(trained)
    result = mw.export(trained.run, to=target, int8=True, allow_loss=100, out=tmp_path / "out")
    assert result.parity.agreement.objects
    assert 0 < result.parity.agreement.largest < 0.5
    assert result.kept == ()
    users = rounded_for(result.file)
    assert users & {"Conv", "Convolution"}
    assert not users & COORDINATES


def test_int8_with_ranges_of_noise_is_refused(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes_only(trained)

    def grey(*_: Any) -> list[Any]:
        return [np.random.default_rng(0).integers(126, 129, (1, 96, 96, 3), np.uint8)]

    monkeypatch.setattr(agreeing, "real_tiles", grey)
    monkeypatch.setattr(agreeing, "SHARES", (0.0,))
    with pytest.raises(MaskwrightError, match=r"int8 hurts most in \S+ \(\d+ % of the error\).*Nothing was written"):
        mw.export(trained.run, to="openvino", int8=True, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_int8_does_not_hide_a_fault(trained: Trained, tmp_path: Path) -> None:
    boxes_only(trained)
    trained.edits.append(wrong_mean)
    with pytest.raises(MaskwrightError, match="report it, with the plan"):
        mw.export(trained.run, to="openvino", int8=True, allow_loss=100, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def wrong_mean(model: Any) -> None:
    """Subtract too much from the pixels."""
    mean = next(weights for weights in model.graph.initializer if weights.name == "mean")
    mean.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(mean) + 90, "mean"))


def exchanged(name: str, index: list[int], axis: int) -> Callable[[Any], None]:
    """Return an edit that puts an output into another order along an axis."""

    def edit(model: Any) -> None:
        last = next(node for node in model.graph.node if name in node.output)
        last.output[list(last.output).index(name)] = "in_order"
        model.graph.initializer.append(numpy_helper.from_array(np.array(index), "order"))
        exchange = helper.make_node("Gather", ["in_order", "order"], [name], "exchange", axis=axis)
        model.graph.node.insert(list(model.graph.node).index(last) + 1, exchange)

    return edit


def other_points(model: Any) -> None:
    """Read the points of boxes half a pixel beside."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if (node.op_type, attribute.name) == ("RoiAlign", "spatial_scale"):
                attribute.f *= 1.5


def test_a_wrong_mean_is_refused(trained: Trained, tmp_path: Path) -> None:
    trained.edits.append(wrong_mean)
    with pytest.raises(MaskwrightError, match="Nothing was written"):
        mw.export(trained.run, to="onnx", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", [exchanged("boxes", [1, 0, 3, 2], 1), other_points], ids=["sides", "points"])
@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_fault_in_boxes_is_refused(trained: Trained, tmp_path: Path, fault: Any, target: str) -> None:
    boxes_only(trained)
    trained.edits.append(fault)
    with pytest.raises(MaskwrightError, match=r"of the objects are found by both, and 98 % must|points of F1"):
        mw.export(trained.run, to=target, out=tmp_path / "out")


def test_classes_in_another_order_are_refused(trained: Trained, tmp_path: Path) -> None:
    if len(trained.model.graph.output) == 5:
        pytest.skip("it has one class, and no logits of it")
    trained.edits.append(exchanged("class_logits", [1, 0, 2], 2))
    with pytest.raises(MaskwrightError, match="Nothing was written"):
        mw.export(trained.run, to="onnx", out=tmp_path / "out")


def test_the_file_says_how_to_read_its_objects(trained: Trained, tmp_path: Path) -> None:
    mw.export(trained.run, to="onnx", out=tmp_path / "out")
    model = onnx.load(tmp_path / "out/model.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    names = [node.name for node in model.graph.output]
    assert all(f"{name}: " in metadata["maskwright.usage"] for name in names)
    reading = json.loads(metadata["maskwright.objects"])
    assert reading == ({"aligned": True, "stride": None} if "boxes" in names else {"aligned": None, "stride": 4})
    del model.metadata_props[[entry.key for entry in model.metadata_props].index("maskwright.objects")]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(MaskwrightError, match="does not say how to read its objects"):
        mw.load(tmp_path / "other.onnx", "cpu")


def test_the_file_of_maps_says_how_they_are_averaged(trained: Trained) -> None:
    card = bundle.read_card(trained.run / "model.safetensors")
    said = {
        scale: usage(
            card.model_copy(
                update={"predict": PredictPlan(flip=scale > 0, flip_scale=scale or 1), "decoding": {"offsets": [0.5]}}
            )
        )
        for scale in (0.0, 1.0, 1.5)
    }
    assert "mirrored" not in said[0.0]
    assert "of images of at most 16777216 pixels with those of the mirrored image (mirrored back)" in said[1.0]
    assert "with those of the mirrored image at 1.5 times its size" in said[1.5]
    views = PredictPlan(flip=True, scales=(0.5, 2.0))
    assert (
        "the mirrored image (mirrored back) and the image at 0.5 times its size and the image at 2 times its size, "
        "before the decoding" in usage(card.model_copy(update={"predict": views}))
    )
    assert said[1.0].index("Add 'offsets' to the raw values") < said[1.0].index("to the logarithms of the averages")


def test_the_file_says_which_parts_of_an_object_count(trained: Trained) -> None:
    card = bundle.read_card(trained.run / "model.safetensors")
    said = {
        part: usage(card.model_copy(update={"decoding": {"score": 0.5, "part": part}}), Reading(stride=4))
        for part in (0.0, 0.1, 1.0)
    }
    assert "connected parts" not in said[0.0]
    assert "(8 neighbours), those below 10% of the largest one do not count" in said[0.1]
    assert "(8 neighbours), only the largest counts" in said[1.0]
    assert "IoU" not in said[1.0]
    alone = card.model_copy(update={"decoding": {"score": 0.5, "double": 0.5}})
    assert "have an IoU above 0.5, the less certain does not count" in usage(alone, Reading(stride=4))


def test_the_command_line_exports_predicts_and_evaluates(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(trained.run, tmp_path / "run", ignore=shutil.ignore_patterns("exports"))
    assert command(["export", str(copy), "--to", "openvino"]) == 0
    shown = capsys.readouterr()
    assert "objects found by both" in shown.out
    assert re.search(r"\bsame\b.*\n.*\bobject\b", shown.out)  # a header of two lines
    assert "compare: the objects of " in shown.err
    assert "the objects that both find" in (copy / "report.html").read_text()
    images = str(trained.data / "images")
    masks = ["--out", str(tmp_path / "masks"), "--save", "instances"]
    assert command(["predict", str(copy), images, "--engine", "auto", *masks]) == 0
    assert len(list((tmp_path / "masks").rglob("*.tif"))) + len(list((tmp_path / "masks").rglob("*.png"))) == 16
    ours = mw.evaluate(copy, trained.data, out=tmp_path).scores.score.value
    theirs = mw.evaluate(copy / "exports/openvino", trained.data, out=tmp_path).scores.score.value
    assert theirs == pytest.approx(ours, abs=1e-6)
