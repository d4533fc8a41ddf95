"""Mask2Former through the verbs: it finds squares, labels pixels, resumes to the same bits, in two processes too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.tasks.panoptic_scenes import scene, write_panoptic
from tests.workflows import toy_data as toy
from tests.workflows.squares import SIZE, STILL, WAYS, continued, found, picture

import maskwright
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Saved
from maskwright.core.instances import Instances
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = (
    "model.backbone=compact",
    "model.pretrained=false",
    "model.options={widths: [16, 24, 32, 32], depths: [1, 1, 1, 1], width: 32, heads: 4, layers: [1, 2], queries: 8}",
    "sampling.crop=[96, 96]",
    "sampling.batch=4",
    "train.precision=32-true",
    "train.validations=1",
)


def request(*settings: str, steps: int = 3, task: str | None = "instance", **wishes: Any) -> PlanRequest:
    wanted = {"model": "mask2former", "device": "cpu", **wishes}
    return PlanRequest(steps=steps, task=task, settings=(*SETTINGS, *settings), **wanted)


@pytest.fixture(scope="module")
def run(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that finds squares."""
    out = tmp_path_factory.mktemp("trained") / "run"
    train(squares, request("optim.lr=0.02", "optim.ema=0.9", *STILL, steps=200), out)
    return out


def test_it_finds_squares_after_a_few_steps(run: Path, squares: Path, tmp_path: Path) -> None:
    assert json.loads((run / "metrics.json").read_text())["validation_f1"] > 0.4  # of two images
    model = maskwright.load(run)
    assert 0.05 <= model.card.decoding["score"] < 1
    card = model.card.model_copy(update={"predict": model.card.predict.model_copy(update={"tile": (64, 64)})})
    card.decoding["score"] = 0.5  # two validation images fit no score that holds for others
    image, ids = picture(100)
    result = model.with_decoding(card.decoding).predict(image).result
    assert isinstance(result, Instances)
    assert result.size == SIZE
    assert len(result) == len(np.unique(ids)) - 1
    assert np.mean([max(shares) for shares in found(result, ids)]) > 0.5
    tiled = type(model)(model.engine, card)
    parts = sum(entry.score >= 0.5 for block in tiled.blocks(image) for entry in block.objects.objects)
    assert 0 < len(tiled.result(image)) < parts
    maskwright.predict(run, [squares / "images/00.png"], out=tmp_path / "out", save=["instances", "overlay"])
    assert len(list((tmp_path / "out").rglob("00*"))) == 2


@pytest.mark.parametrize("wishes", WAYS)
def test_a_training_from_a_run_goes_on_with_what_it_has_learnt(
    wishes: dict[str, Any], run: Path, squares: Path, tmp_path: Path
) -> None:
    card = continued(run, squares, tmp_path / "next", wishes)
    assert (card.model.name, card.model.options["queries"]) == ("mask2former", 8)


def test_it_learns_classes_of_pixels(squares: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    wanted = request("optim.lr=0.02", "optim.ema=0.9", *STILL, steps=50, task="semantic")
    train(squares, wanted, run)
    scores = json.loads((run / "metrics.json").read_text())["scores"]
    assert scores["mean"]["iou"]["value"] > 0.8
    model = maskwright.load(run)
    maps = model.predict(picture(100)[0]).maps
    assert maps.shape == (2, *SIZE)
    np.testing.assert_allclose(maps.sum(axis=0), 1, atol=1e-5)


def test_it_learns_things_and_stuff(tmp_path: Path) -> None:
    """Data in COCO's panoptic format decide the task; what it predicts is such data again."""
    rng = np.random.default_rng(0)
    data, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "out"
    write_panoptic(data, [scene(rng) for _ in range(16)])
    settings = ("optim.lr=0.02", "optim.ema=0.9", "sampling.crop=[64, 64]", *STILL)
    train(data, request(*settings, steps=80, task=None), run)
    scores = json.loads((run / "metrics.json").read_text())["scores"]
    assert scores["task"] == "panoptic"
    assert scores["mean"]["pq_stuff"]["value"] > 0.7
    assert scores["mean"]["pq_things"]["value"] > 0
    card = maskwright.load(run).card
    assert card.decoding.keys() == {"score", "stuff"}
    assert card.classes.things == [2, 3]
    maskwright.predict(run, [data / "images"], out=out, save=["panoptic", "overlay"])
    (out / "images").symlink_to(data / "images")
    found = read_dataset(out / "panoptic.json", ReadOptions())
    assert len(found.records) == 16
    assert found.classes.things == frozenset({2, 3})


@pytest.mark.parametrize("task", ["instance", "semantic", "panoptic"])
def test_a_stopped_training_resumes_to_the_same_bits(squares: Path, tmp_path: Path, task: str) -> None:
    class Stopped(Exception):  # noqa: N818 - no error
        pass

    def stop(event: object) -> None:
        if isinstance(event, Saved) and event.step == 2:
            raise Stopped

    wanted = request("train.checkpoint_seconds=1e-6", steps=4, task=task)
    train(squares, wanted, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(squares, wanted, tmp_path / "run", on_event=stop)
    train(None, PlanRequest(device="cpu"), resume=tmp_path / "run")
    assert toy.differing(tmp_path / "whole/model.safetensors", tmp_path / "run/model.safetensors") == []


def test_two_processes_do_what_one_does_with_the_whole_batch(squares: Path, tmp_path: Path) -> None:
    settings = ("optim.name=sgd", "optim.lr=0.001", "optim.warmup=0")
    one, two = tmp_path / "one", tmp_path / "two"
    train(squares, request(*settings, steps=2), one)
    words = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    words += ["--task", "instance", "--model", "mask2former", "--steps", "2", "--device", "cpu", "--out", str(two)]
    done = toy.run("train", squares, *words, processes=2)
    assert done.returncode == 0, done.stderr
    first, second = (toy.tensors(run / "checkpoint" / "step-00000002.safetensors") for run in (one, two))
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("wishes", "settings", "words"),
    [
        ({}, ("adversarial.weight=0.1",), "adversarial.weight needs maps"),
        ({}, ("predict.flip=true",), "predict.flip needs maps"),
        ({"task": "semantic"}, ("loss.terms={dice: 1.0}",), "mask2former has its own loss"),
        ({}, ("model.aux_levels=[0]",), "leave model.aux_levels out"),
    ],
)
def test_what_it_cannot_do_is_refused(
    squares: Path, wishes: dict[str, Any], settings: tuple[str, ...], words: str
) -> None:
    with pytest.raises(MaskwrightError, match=words):
        maskwright.plan(squares, request(*settings, **wishes))


@pytest.mark.parametrize(
    ("task", "segments"),
    [
        ("instance", "3 objects in the"),
        ("semantic", "2 classes, one segment each"),
        ("panoptic", "3 objects in the fullest image and 2 classes"),
    ],
)
def test_the_plan_gives_its_reasons(squares: Path, task: str, segments: str) -> None:
    bare = tuple(setting for setting in SETTINGS if not setting.startswith(("sampling", "model.options")))
    plan = maskwright.plan(squares, PlanRequest(steps=3, settings=bare, model="mask2former", task=task, device="cpu"))
    assert plan.task == task
    assert (plan.sampling.batch, plan.sampling.crop) == (4, (96, 96))
    places = {} if task == "semantic" else {"positions": True}
    assert plan.model.options == {"width": 64, "layers": [1, 3], "queries": 20, **places}
    assert plan.reasons["model.options.queries"].startswith(segments)
    assert not [key for key in plan.reasons if key.startswith("loss.")]


def test_the_annotation_decides_which_of_its_tasks_it_learns(squares: Path) -> None:
    plan = maskwright.plan(squares, PlanRequest(steps=3, settings=SETTINGS, model="mask2former", device="cpu"))
    assert plan.task == "instance"
    assert "id of its own" in plan.reasons["task"]
