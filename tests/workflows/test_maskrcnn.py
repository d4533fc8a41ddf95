"""Mask R-CNN through the verbs: it finds squares, resumes to the same bits, and two processes do what one does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.workflows import toy_data as toy
from tests.workflows.squares import SIZE, STILL, WAYS, continued, found, picture

import maskwright
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Saved
from maskwright.core.instances import Instances
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = (
    "model.backbone=compact",
    "model.pretrained=false",
    "model.options={widths: [16, 24, 32, 32], depths: [1, 1, 1, 1], width: 32, anchor: 4.0}",
    "sampling.crop=[96, 96]",
    "sampling.batch=4",
    "train.precision=32-true",
    "train.validations=2",
)


def request(*settings: str, steps: int = 3, **wishes: Any) -> PlanRequest:
    wanted = {"task": "instance", "model": "maskrcnn", "device": "cpu", **wishes}
    return PlanRequest(steps=steps, settings=(*SETTINGS, *settings), **wanted)


@pytest.fixture(scope="module")
def run(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that finds squares."""
    out = tmp_path_factory.mktemp("trained") / "run"
    train(squares, request("optim.name=adamw", "optim.lr=5e-3", "optim.ema=0.5", *STILL, steps=30), out)
    return out


def test_it_finds_squares_after_a_few_steps(run: Path, squares: Path, tmp_path: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["scores"]["mean"]["f1"]["value"] > 0.5
    losses = [float(line.split(",")[2]) for line in (run / "history.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.75 * losses[0]
    # Two validation images fit no score that holds for others.
    model = maskwright.load(run).with_decoding({"score": 0.5})
    image, ids = picture(100)
    result = model.predict(image).result
    assert isinstance(result, Instances)
    assert result.size == SIZE
    assert all(max(shares) > 0.5 for shares in found(result, ids))
    with pytest.raises(MaskwrightError, match="no maps"):
        _ = model.predict(image).maps
    card = model.card.model_copy(update={"predict": model.card.predict.model_copy(update={"tile": (64, 64)})})
    tiled = type(model)(model.engine, card)
    assert all(max(shares) > 0.5 for shares in found(tiled.result(image), ids))
    parts = sum(entry.score >= model.card.decoding["score"] for b in tiled.blocks(image) for entry in b.objects.objects)
    assert len(tiled.result(image)) < parts
    maskwright.predict(run, [squares / "images/00.png"], out=tmp_path / "out", save=["instances", "overlay"])
    assert len(list((tmp_path / "out").rglob("00*"))) == 2


@pytest.mark.parametrize("wishes", WAYS)
def test_a_training_from_a_run_goes_on_with_what_it_has_learnt(
    wishes: dict[str, Any], run: Path, squares: Path, tmp_path: Path
) -> None:
    card = continued(run, squares, tmp_path / "next", wishes)
    assert (card.model.name, card.model.options["anchor"]) == ("maskrcnn", 4.0)


def test_a_stopped_training_resumes_to_the_same_bits(squares: Path, tmp_path: Path) -> None:
    class Stopped(Exception):  # noqa: N818 - no error
        pass

    def stop(event: object) -> None:
        if isinstance(event, Saved) and event.step == 2:
            raise Stopped

    wanted = request("train.checkpoint_seconds=1e-6", steps=4)
    train(squares, wanted, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(squares, wanted, tmp_path / "run", on_event=stop)
    train(None, PlanRequest(device="cpu"), resume=tmp_path / "run")
    assert toy.differing(tmp_path / "whole/model.safetensors", tmp_path / "run/model.safetensors") == []


def test_two_processes_do_what_one_does_with_the_whole_batch(squares: Path, tmp_path: Path) -> None:
    """One step: in a second one, what was rounded may have moved a proposal to another pixel, and so the draw."""
    settings = ("optim.name=sgd", "optim.lr=0.01", "optim.warmup=0", "train.validations=1")
    one, two = tmp_path / "one", tmp_path / "two"
    train(squares, request(*settings, steps=1), one)
    words = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    words += ["--task", "instance", "--model", "maskrcnn", "--steps", "1", "--device", "cpu", "--out", str(two)]
    done = toy.run("train", squares, *words, processes=2)
    assert done.returncode == 0, done.stderr
    first, second = (toy.tensors(run / "checkpoint" / "step-00000001.safetensors") for run in (one, two))
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("wishes", "settings", "words"),
    [
        ({"task": "semantic"}, (), "choose `task` instance"),
        ({}, ("adversarial.weight=0.1",), "adversarial.weight needs maps"),
        ({}, ("predict.flip=true",), "predict.flip needs maps"),
        ({}, ("loss.terms={dice: 1.0}",), "maskrcnn has its own loss"),
        ({}, ("model.aux_levels=[0]",), "leave model.aux_levels out"),
        ({}, ("data.scale=0.5", "data.sides=[90, 100]"), "replace the scale"),
    ],
)
def test_what_it_cannot_do_is_refused(
    squares: Path, wishes: dict[str, Any], settings: tuple[str, ...], words: str
) -> None:
    with pytest.raises(MaskwrightError, match=words):
        maskwright.plan(squares, request(*settings, **wishes))


def test_the_plan_gives_its_reasons(squares: Path) -> None:
    bare = tuple(setting for setting in SETTINGS if not setting.startswith(("sampling", "model.options")))
    wanted = PlanRequest(steps=3, settings=bare, model="maskrcnn", device="cpu")
    plan = maskwright.plan(squares, wanted)
    assert plan.task == "instance"
    assert plan.sampling.batch == 2
    assert plan.sampling.crop == (96, 96)
    # 18 pixels is the smallest side drawn, and 4 the stride of the finest anchors.
    assert 4.0 <= plan.model.options["anchor"] <= 6.0
    assert "times the stride of 4 px)" in plan.reasons["model.options.anchor"]
    assert plan.reasons["model.options.most"].startswith("the most objects kept in an image; the data has ")
    assert not [key for key in plan.reasons if key.startswith("loss.")]
    assert (plan.predict.flip, plan.reasons["predict.flip"][:7]) == (False, "objects")
