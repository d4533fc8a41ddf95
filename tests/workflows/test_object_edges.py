"""Edges beside objects in the verbs: planned, trained, kept in the model, used for sharper masks, and shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.workflows import squares

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import EdgeWatershedPlan
from maskwright.models import bundle
from maskwright.postprocess.edge_watershed import EdgeWatershed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = (
    "model.pretrained=false",
    "model.options={widths: [8, 8, 16, 16], width: 16}",
    "sampling.crop=[64, 64]",
    "sampling.batch=4",
    "train.precision=32-true",
    "optim.lr=0.01",
)
JOINT = (*SETTINGS, "edges.weight=1", "postprocess.edges={doubt: 0.1}")


def request(*settings: str, steps: int = 2, task: str = "instance") -> mw.PlanRequest:
    return mw.PlanRequest(steps=steps, settings=settings, device="cpu", task=task)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return squares.written(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    return mw.train(data, request(*JOINT, steps=80), out=data.parent / "run_with_edges").run


def test_the_model_has_edges_after_what_tells_objects_apart(run: Path) -> None:
    card = bundle.read_card(run / "model.safetensors")
    assert [group.name for group in card.channels] == ["classes", "depth", "border", "edges"]
    assert {"foreground", "seed"} <= card.decoding.keys()
    found = json.loads((run / "metrics.json").read_text())["edges"]
    assert (card.postprocess.edges is not None) == found["helps"]


def test_evaluation_shows_objects_before_and_after(run: Path, data: Path, tmp_path: Path) -> None:
    plain = mw.evaluate(run, data, out=tmp_path)
    result = mw.evaluate(run, data, out=tmp_path, postprocess="edges")
    assert result.gain is not None
    assert set(result.gain) == {"f1", "cell_ap", "pq", "boundary_iou"}
    for key, row in result.gain.items():
        assert (row["without"], row["with"]) == (plain.scores.mean[key].value, result.scores.mean[key].value)
    assert not any("calibrated" in note for note in result.notes)
    written = json.loads((tmp_path / "metrics-test-edges.json").read_text())
    assert written["edges"]["means"] == result.gain
    # The thresholds are those that prediction uses.
    model = mw.load(run, "cpu").with_postprocessor(EdgeWatershed(EdgeWatershedPlan(**written["edges"]["settings"])))
    predicted = sum(len(model.result(model.read(data / entry.id))) for entry in result.scores.per_image)
    assert result.scores.mean["predicted"].value == predicted > 0
    assert "with the edge watershed" in (tmp_path / "report-test-edges.html").read_text()


def test_the_watershed_changes_the_classes_alone(run: Path) -> None:
    image = squares.picture(100)[0]
    model = mw.load(run, "cpu")
    before = model.maps(image)
    doubt = float(1 - np.median(before[:2].max(axis=0)))  # in doubt about half of the pixels, however sure the model is
    after = model.with_postprocessor(EdgeWatershed(EdgeWatershedPlan(doubt=doubt))).maps(image)
    assert not np.array_equal(before[:2], after[:2])
    np.testing.assert_array_equal(before[2:], after[2:])
    np.testing.assert_allclose(after[:2].sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize(("task", "formulation"), [("instance", "centres"), ("panoptic", "depth")])
def test_other_tasks_and_formulations_learn_them(task: str, formulation: str, data: Path, tmp_path: Path) -> None:
    wanted = request(*JOINT, f"objects.formulation={formulation}", task=task)
    result = mw.train(data, wanted, out=tmp_path / "run")
    assert mw.load(result.run).card.channels[-1].name == "edges"
    gain = mw.evaluate(result.run, data, postprocess="edges").gain
    assert gain is not None
    assert {"pq", "boundary_iou"} <= gain.keys()


@pytest.mark.parametrize("model", ["maskrcnn", "mask2former"])
def test_networks_that_emit_objects_learn_none(data: Path, model: str) -> None:
    settings = ("model.pretrained=false", "edges.weight=1", f"model.name={model}")
    with pytest.raises(MaskwrightError, match=f"edges.weight is 1, but {model} does not learn maps: leave it out, or"):
        mw.plan(data, request(*settings))
    assert mw.plan(data, request(*settings, "model.name=swiftnet")).edges.weight == 1
