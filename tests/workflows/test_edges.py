"""Edges from folder to judged model and files, as a user does it, on discs that two people outline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.cli.main import run
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Saved
from maskwright.workflows.runs import run_folder
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 192
"""Edges match within 2 pixels."""
SETTINGS = (
    "model.pretrained=false",
    "model.options={widths: [16, 16, 24, 32], width: 24}",
    "sampling.crop=[64, 64]",
    "sampling.batch=4",
    "train.precision=32-true",
    "augment.noise=0",
)


def scene(seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw discs on noise, and their outlines as two people see them; the second one sees the dark discs only."""
    rng = np.random.default_rng(seed)
    image = rng.normal(120, 12, (SIDE, SIDE, 3))
    people = [np.zeros((SIDE, SIDE), np.uint8) for _ in range(2)]
    for number in range(5):
        x, y, radius = (int(value) for value in (*rng.integers(24, SIDE - 24, 2), rng.integers(10, 24)))
        inside = cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (x, y), radius, 1, -1) > 0
        image[inside] += 70 if number else -70
        for place, drawn in enumerate(people):
            drawn[inside] = 0
            if not (place and number):
                cv2.circle(drawn, (x, y), radius, 255, 1)
    return image.clip(0, 255).astype(np.uint8), people


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("edges")
    for place, (split, count) in enumerate((("train", 10), ("val", 2), ("test", 4))):
        for number in range(count):
            image, people = scene(100 * place + number)
            for name, array in (
                (f"images/{split}/{number}.png", image),
                *((f"edges/{split}/{number}_{who}.png", drawn) for who, drawn in enumerate(people)),
            ):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(root / name)
    return root


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> mw.TrainResult:
    request = mw.PlanRequest(steps=200, settings=SETTINGS, seed=0, device="cpu")
    return mw.train(data, request, out=tmp_path_factory.mktemp("run") / "run")


def test_the_plan_of_drawn_edges(data: Path) -> None:
    plan = mw.plan(data, mw.PlanRequest(steps=20, settings=SETTINGS, device="cpu"))
    assert (plan.task, plan.reasons["task"]) == ("edges", "the truth is edges that people drew")
    assert plan.loss.terms == {"balanced_cross_entropy": 1.0}
    assert plan.loss.full_size
    assert plan.sampling.rare_share == 0


def test_edges_are_learnt(trained: mw.TrainResult, data: Path) -> None:
    scores = trained.scores
    assert scores is not None
    assert (scores.task, scores.headline, scores.images) == ("edges", "ods", 4)
    assert scores.score.value is not None
    assert scores.score.value > 0.8
    assert trained.validation_score is not None
    page = (trained.run / "report.html").read_text(encoding="utf-8")
    for words in ("ODS on held-out test images", "Precision-recall curve", "drawn by nobody"):
        assert words in page
    assert ">None<" not in page
    assert "val_ods" in (trained.run / "history.csv").read_text()
    decoding = mw.load(trained.run).card.decoding
    assert 0 < decoding["low"] <= decoding["high"] < 1
    again = mw.evaluate(trained.run, data)
    assert again.scores.score.value == pytest.approx(scores.score.value, abs=1e-6)
    assert again.scores.edges == scores.edges


def test_images_without_a_drawn_edge_cannot_be_scored(trained: mw.TrainResult, tmp_path: Path) -> None:
    for folder in ("images", "edges"):
        (tmp_path / folder).mkdir()
        for name in "ab":
            Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(tmp_path / f"{folder}/{name}.png")
    with pytest.raises(MaskwrightError, match="has no edge in its all split, so there is nothing to score"):
        mw.evaluate(trained.run, tmp_path, split="all", out=tmp_path / "out")


def test_files_of_a_prediction(trained: mw.TrainResult, data: Path, tmp_path: Path) -> None:
    command = ["predict", trained.run, data / "images/test", "--out", tmp_path, "--save", "thin,strength,geojson,svg"]
    assert run([str(word) for word in command]) == 0
    result = mw.load(trained.run).predict(data / "images/test/0.png").result
    assert np.array_equal(np.asarray(Image.open(tmp_path / "edges/0.png")) > 0, result.lines)
    strength = np.asarray(Image.open(tmp_path / "strengths/0.png"))
    assert np.allclose(strength / 65535, result.strength, atol=1e-5)
    lines = json.loads((tmp_path / "lines/0.geojson").read_text())["features"]
    assert len(lines) == (tmp_path / "lines/0.svg").read_text().count("<polyline")
    assert lines


def test_predicted_edges_are_read_back_as_drawn_ones(trained: mw.TrainResult, data: Path, tmp_path: Path) -> None:
    """The lines of a model serve as truth for another."""
    mw.predict(trained.run, data / "images/train", out=tmp_path)
    (tmp_path / "images").symlink_to(data / "images/train")
    assert mw.inspect(tmp_path).format == "edges"


def test_a_stopped_training_resumes_to_the_same_bits(data: Path, tmp_path: Path) -> None:
    class Stopped(Exception):  # noqa: N818 - no error
        pass

    def stop(event: object) -> None:
        if isinstance(event, Saved) and event.step == 2:
            raise Stopped

    settings = (*SETTINGS, "train.checkpoint_seconds=1e-6", "train.validations=1")
    wanted = mw.PlanRequest(steps=4, settings=settings, device="cpu")
    train(data, wanted, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(data, wanted, tmp_path / "run", on_event=stop)
    train(None, mw.PlanRequest(device="cpu"), resume=tmp_path / "run")
    assert toy.differing(tmp_path / "whole/model.safetensors", tmp_path / "run/model.safetensors") == []


def test_edges_of_masks_from_training_to_another_set(tmp_path: Path, data: Path, trained: mw.TrainResult) -> None:
    """A model of edges serves any set of edges, and `--from` goes on with it."""
    root = toy.write(tmp_path / "data")
    settings = [word for setting in ("sampling.crop=[32, 32]", "sampling.batch=2") for word in ("--set", setting)]
    command = ["train", root, "--task", "edges", "--between", "classes", "--from", trained.run, "--steps", "2"]
    command += [*settings, "--device", "cpu", "--out", tmp_path / "run"]
    assert run([str(word) for word in command]) == 0
    assert json.loads((tmp_path / "run/data.json").read_text())["read"]["between"] == "classes"
    _, material = run_folder.reopen(tmp_path / "run")
    assert material.dataset.classes.names == ("background", "edge"), "a resumed training reads edges too"
    scores = mw.evaluate(tmp_path / "run", root).scores
    assert (scores.task, scores.images) == ("edges", 2)
    assert mw.evaluate(trained.run, root, split="all", out=tmp_path).scores.images == 12


def test_settings_of_edges_belong_to_the_task(tmp_path: Path) -> None:
    root = toy.write(tmp_path / "data")
    with pytest.raises(MaskwrightError, match=r"edges\.share has no effect here: the task semantic learns no edges"):
        mw.plan(root, toy.request("edges.share=0.5"))
    assert mw.plan(root, toy.request("edges.share=0.5", task="edges")).edges.share == 0.5


def test_an_unknown_word_for_between_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(data), "--between", "regions"]) == 2
    assert "--between regions: write any, classes, objects or touching" in capsys.readouterr().err.replace("\n", " ")
    assert run(["inspect", str(data), "--task", "edges", "--between", "classes"]) == 2
    assert "its edges are drawn: leave it out" in " ".join(capsys.readouterr().err.split())
