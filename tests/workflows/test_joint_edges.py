"""Edges beside the task semantic in the verbs: planned, trained, kept in the model, used for sharper masks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import EdgesPlan, EdgeWatershedPlan, Plan
from maskwright.models import bundle
from maskwright.postprocess.edge_watershed import EdgeWatershed
from maskwright.workflows.plan import make_plan
from maskwright.workflows.plan_parts.object_models import check_task
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("joint") / "data")


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    wanted = toy.request("edges.weight=1", "postprocess.edges={doubt: 0.1}", "optim.lr=0.01", steps=60)
    train(data, wanted, data.parent / "run")
    return data.parent / "run"


def test_the_model_says_that_it_has_edges(run: Path) -> None:
    card = bundle.read_card(run / "model.safetensors")
    assert [(group.name, group.count, group.activation) for group in card.channels] == [
        ("classes", 3, "softmax"),
        ("edges", 1, "sigmoid"),
    ]
    assert {"temperature"} <= card.decoding.keys()
    assert toy.plan_of(run).edges.weight == 1


def test_the_edges_are_where_the_classes_meet(run: Path) -> None:
    model = mw.load(run, "cpu")
    inside, on = [], []
    for seed in (200, 201):
        image, mask = toy.picture(seed)
        strength = model.maps(np.ascontiguousarray(image[:, :, ::-1]))[3]
        edges = np.zeros(mask.shape, bool)
        for axis in (0, 1):
            differ = np.diff(mask.astype(int), axis=axis) != 0
            edges |= np.pad(differ, [(0, 1) if place == axis else (0, 0) for place in (0, 1)])
        on.append(strength[edges].mean())
        inside.append(strength[~edges].mean())
    assert np.mean(on) > np.mean(inside) + 0.05


def test_training_and_evaluation_show_what_the_edges_bring(run: Path, data: Path, tmp_path: Path) -> None:
    found = json.loads((run / "metrics.json").read_text())["edges"]
    assert found["images"] == 2
    assert (bundle.read_card(run / "model.safetensors").postprocess.edges is not None) == found["helps"]
    result = mw.evaluate(run, data, out=tmp_path, postprocess="edges")
    plain = mw.evaluate(run, data, out=tmp_path)
    assert result.gain is not None
    assert set(result.gain) == {"iou", "boundary_iou"}
    for key, row in result.gain.items():
        assert (row["without"], row["with"]) == (plain.scores.mean[key].value, result.scores.mean[key].value)
    assert json.loads((tmp_path / "metrics-test-edges.json").read_text())["edges"]["means"] == result.gain
    assert "with the edge watershed" in (tmp_path / "report-test-edges.html").read_text()


def test_predictions_hold_the_classes_alone(run: Path, data: Path, tmp_path: Path) -> None:
    image = data / "images/test/00.png"
    mw.predict(run, [image], out=tmp_path, save=("mask", "probabilities", "coco"), device="cpu")
    expected = mw.load(run, "cpu").predict(image)
    assert expected.maps.shape == (4, *toy.SIZE)
    with np.load(tmp_path / "probabilities/00.npz") as archive:
        np.testing.assert_allclose(archive["probabilities"], expected.maps[:3], atol=1e-3)
    np.testing.assert_array_equal(expected.labels, expected.maps[:3].argmax(0))


def test_sharpened_masks_are_the_same_in_pieces(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that overlap by what a region usually grows agree with the whole, as far as the network does."""
    image = np.concatenate([toy.picture(seed)[0] for seed in range(300, 304)], axis=1)
    model = mw.load(run, "cpu").with_postprocessor(EdgeWatershed(EdgeWatershedPlan(doubt=0.4)))
    whole = model.predict(image)
    assert not np.array_equal(whole.maps[:3], model.with_postprocessor(None).maps(image)[:3])
    np.testing.assert_allclose(whole.maps[:3].sum(0), 1, atol=1e-5)
    monkeypatch.setattr(EdgeWatershed, "most_pixels", lambda *_: 128 * 128)
    assert (model.predict(image).labels == whole.labels).mean() > 0.98


@pytest.mark.parametrize(
    ("settings", "message", "cure"),
    [
        (("task=edges",), "edges.weight is 1, but the task edges learns no edges beside masks", "task=semantic"),
        (("model.name=mask2former",), "but mask2former does not learn maps", "model.name=swiftnet"),
    ],
)
def test_edges_beside_what_has_none_are_refused(data: Path, settings: tuple[str, ...], message: str, cure: str) -> None:
    plain = ("edges.weight=1", "model.pretrained=false")
    with pytest.raises(MaskwrightError, match=message):
        make_plan(data, mw.PlanRequest(steps=1, settings=(*plain, *settings), device="cpu"))
    cured = make_plan(data, mw.PlanRequest(steps=1, settings=(*plain, *settings, cure), device="cpu"))
    assert cured.plan.edges.weight == 1


def test_a_single_class_has_no_edges() -> None:
    plan = Plan(edges=EdgesPlan(weight=0.5))
    with pytest.raises(MaskwrightError, match=r"^edges.weight is 0.5, but the only class is there, so"):
        check_task(plan, Classes.named(["there"]))
    check_task(plan, Classes.named(["there", "background"]))


def test_the_watershed_is_refused_without_edges(data: Path) -> None:
    with pytest.raises(MaskwrightError, match="the edge watershed needs edges beside the classes"):
        make_plan(data, toy.request("postprocess.edges={}"))
    assert make_plan(data, toy.request("postprocess.edges={}", "edges.weight=1")).plan.postprocess.edges is not None
