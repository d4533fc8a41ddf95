"""The forest through the verbs: planned, grown from scribbles, scored, reported and used; and what it refuses."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.workflows import toy_data as toy

import maskwright
from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note
from maskwright.core.read_options import ReadOptions
from maskwright.training import forest
from maskwright.workflows.evaluate import evaluate
from maskwright.workflows.plan import make_plan
from maskwright.workflows.request import EvaluateRequest, PlanRequest
from maskwright.workflows.train import train
from maskwright.workflows.train_parts import grow

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quiet_machine")


def request(*settings: str, **wishes: Any) -> PlanRequest:
    usual = ("sampling.crop=[32, 32]", "model.options.sigmas=[0.7, 1.6]", "model.options.trees=12")
    options = {"steps": 4, "device": "cpu", "read": ReadOptions(ignore=255), **wishes}
    return PlanRequest(model="forest", settings=(*usual, *settings), **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy pictures whose training masks are scribbles: some 30 pixels of each, everything else is ignored."""
    root = toy.write(tmp_path_factory.mktemp("scribbles") / "data")
    for number, file in enumerate(sorted((root / "masks" / "train").iterdir())):
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        rng = np.random.default_rng(number)
        kept = np.full_like(mask, 255)
        for index in np.unique(mask):
            rows, columns = np.nonzero(mask == index)
            some = rng.choice(len(rows), 10, replace=False)
            kept[rows[some], columns[some]] = index
        assert cv2.imwrite(str(file), kept)
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grown") / "run"
    assert train(data, request(), out).steps == 4
    return out


def iou(run: Path) -> float:
    value: float = json.loads((run / "metrics.json").read_text())["scores"]["mean"]["iou"]["value"]
    return value


def test_it_learns_from_scribbles(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert iou(run) > 0.8
    assert metrics["steps"] == 4
    assert (run / "report.html").exists()
    assert (run / "history.csv").read_text().splitlines()[1].startswith("4,")


def test_the_model_file_is_used_as_any_other(run: Path, data: Path, tmp_path: Path) -> None:
    model = maskwright.load(run)
    assert (model.card.model.name, model.card.model.backbone, model.card.predict.flip) == ("forest", "filters", False)
    image, mask = toy.picture(500)
    assert (model.predict(image).result.labels == mask).mean() > 0.85
    result = evaluate(run, data, EvaluateRequest(split="test", out=tmp_path, device="cpu"))
    assert result.scores.score.value == pytest.approx(iou(run))


def test_the_same_seed_grows_the_same_forest_and_a_killed_run_begins_again(
    run: Path, data: Path, tmp_path: Path
) -> None:
    train(data, request(), tmp_path / "again")
    shutil.copytree(run, tmp_path / "killed")
    for name in ("model.safetensors", "metrics.json", "report.html", "history.csv"):
        (tmp_path / "killed" / name).unlink()
    notes: list[object] = []
    train(None, PlanRequest(device="cpu"), resume=tmp_path / "killed", on_event=notes.append)
    said = [note.text for note in notes if isinstance(note, Note)]
    assert any(text.endswith("has no checkpoint, since forest makes none: it starts at step 0") for text in said)
    wanted = load_file(run / "model.safetensors")
    for other in ("again", "killed"):
        found = load_file(tmp_path / other / "model.safetensors")
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("lost", [(), ("metrics.json", "report.html")], ids=["finished", "killed while scoring"])
def test_trees_that_are_saved_are_not_grown_again(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: tuple[str, ...]
) -> None:
    """The clock might leave time for fewer of them."""
    copy = shutil.copytree(run, tmp_path / "run")
    for name in lost:
        (copy / name).unlink()

    def grown(*_: Any) -> None:
        pytest.fail("the forest is grown again")

    monkeypatch.setattr(forest, "grow", grown)
    notes: list[object] = []
    result = train(None, PlanRequest(device="cpu"), resume=copy, on_event=notes.append)
    said = [note.text for note in notes if isinstance(note, Note)]
    wanted = f"{copy} holds the trained model: only the evaluation is left" if lost else "all files stay as they are"
    assert any(wanted in text for text in said)
    assert not any("starts at step 0" in text for text in said)
    assert result.scores is not None
    assert (result.scores.score.value, result.steps) == (pytest.approx(iou(run)), 4)
    before, after = load_file(run / "model.safetensors"), load_file(copy / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_budget_is_kept_by_fewer_trees(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow, notes = forest.grow, []
    monkeypatch.setattr(forest, "grow", lambda trees, pixels, seed, deadline: grow(trees, pixels, seed, deadline - 1e6))
    train(data, request(steps=None, budget=60), tmp_path / "run", on_event=notes.append)
    assert "there was time for 1 of 12 trees" in [note.text for note in notes if isinstance(note, Note)]


def test_the_plan_has_crops_and_no_optimiser(data: Path) -> None:
    plan = make_plan(data, request(steps=None, budget=60)).plan
    assert plan.train.steps == 4
    assert plan.reasons["train.steps"] == "pixels of 32 crops of 8 images are enough for a forest, 8 per step"
    assert plan.model.backbone == "filters"
    assert plan.predict.tile == (64, 64)
    assert plan.reasons["task"] == "forest labels pixels"
    assert not [key for key in plan.reasons if key.startswith(("optim.", "loss.", "model.pretrained", "train.p"))]
    assert make_plan(data, request(steps=None, epochs=3)).plan.train.steps == 3


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"settings": "optim.lr=0.1"}, "optim.lr has no effect here: forest grows anew, without an optimiser"),
        ({"settings": "loss.auxiliary=0.1"}, "loss.auxiliary has no effect here: forest grows anew"),
        ({"settings": "train.patience=2"}, "train.patience has no effect here"),
        ({"settings": "model.dropout=0.1"}, r"model\.dropout has no effect here"),
        ({"lora": 4}, "lora.rank has no effect here"),
        ({"freeze": "backbone"}, "optim.freeze has no effect here"),
        ({"task": "instance"}, "forest labels pixels, and the task instance needs more .* choose `task` semantic"),
    ],
)
def test_what_needs_steps_or_objects_is_refused(data: Path, wishes: dict[str, Any], message: str) -> None:
    settings = [wishes.pop("settings")] if "settings" in wishes else []
    with pytest.raises(MaskwrightError, match=message):
        make_plan(data, request(*settings, **wishes))


def test_it_starts_from_no_other_model(run: Path, data: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"model\.weights has no effect here: forest grows anew"):
        make_plan(data, request(from_run=run))


def test_without_scikit_learn_nothing_is_planned(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "find_spec", lambda _name: None)
    with pytest.raises(MaskwrightError, match=r'pip install "maskwright\[forest\]"'):
        make_plan(data, request())


def test_crops_without_a_label_are_refused(data: Path, tmp_path: Path) -> None:
    root = shutil.copytree(data, tmp_path / "data")
    for file in sorted((root / "masks" / "train").iterdir()):
        mask = np.full(toy.SIZE, 255, np.uint8)
        mask[0, 0] = 0
        assert cv2.imwrite(str(file), mask)
    wanted = request("sampling.rare_share=0", "augment.zoom=[1, 1]", "sampling.batch=1", steps=1)
    with pytest.raises(MaskwrightError, match="the training crops show no labelled pixel"):
        train(root, wanted, tmp_path / "run")


def test_drawn_pixels_stand_for_all_of_their_class() -> None:
    labels = torch.zeros((20, 30), dtype=torch.long)
    labels[:2, :4] = 1
    labels[10:] = IGNORE
    plain = SimpleNamespace(backbone=lambda images: [images])
    pixels = grow._of_crop(plain, torch.rand((3, 20, 30)), labels, 16, np.random.default_rng(0))  # type: ignore[arg-type]
    assert [(pixels.classes == index).sum() for index in (0, 1)] == [16, 8]
    assert [pixels.weights[pixels.classes == index].sum() for index in (0, 1)] == pytest.approx([292, 8])
