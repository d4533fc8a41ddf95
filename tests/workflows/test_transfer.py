"""Whole trainings that start from a run, and what is refused before they begin."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.channels import class_channels
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note
from maskwright.core.plan import ModelPlan, Plan
from maskwright.models import bundle
from maskwright.workflows.plan_parts import warm_start
from maskwright.workflows.plan_parts.requested import requested_plan
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.train import train
from maskwright.workflows.train_parts.network import first_network

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import Event


pytestmark = pytest.mark.usefixtures("quiet_machine")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("toy") / "data")


@pytest.fixture(scope="module")
def base(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("base") / "run"
    train(data, toy.request(steps=2), run)
    return run


def request(base: Path, *settings: str, steps: int = 2, **wishes: object) -> PlanRequest:
    """Ask for a training from `base`: its network is taken from there, and not from the settings."""
    usual = [entry for entry in toy.SETTINGS if not entry.startswith("model.")]
    return PlanRequest(steps=steps, settings=(*usual, *settings), device="cpu", from_run=base, **wishes)  # type: ignore[arg-type]


def test_a_run_is_fine_tuned_by_lora_and_saved_without_a_trace(data: Path, base: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    train(data, request(base, "lora.rank=2", steps=3), tmp_path / "run", on_event=events.append)
    told = [event.text for event in events if isinstance(event, Note)]
    assert told[0].startswith("model swiftnet with backbone compact, ")
    assert told[0].endswith(f" parameters, from {toy.plan_of(tmp_path / 'run').model.weights}")
    assert told[1].endswith("backbone and decoder; last layers copied for class-0, class-1, class-2")
    assert told[2].startswith("trains ")
    before, after = (load_file(run / "model.safetensors") for run in (base, tmp_path / "run"))
    assert before.keys() == after.keys()
    name = "backbone.stages.3.0.conv2.0.weight"
    change = (after[name] - before[name]).reshape(len(after[name]), -1)
    assert 0 < np.linalg.matrix_rank(change, tol=1e-6) <= 2
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 < metrics["parameters"]["trained"] < metrics["parameters"]["whole"]
    whole = sum(value.size for key, value in after.items() if not key.endswith(("running_mean", "running_var")))
    assert metrics["parameters"]["whole"] == whole - sum(key.endswith("num_batches_tracked") for key in after)
    assert f"Training changed {metrics['parameters']['trained']:,} of" in (tmp_path / "run/report.html").read_text()
    assert "Training changed" not in (base / "report.html").read_text(), "all of them: nothing to say"
    assert mw.load(tmp_path / "run").predict(np.zeros((20, 30, 3), np.uint8)).labels.shape == (20, 30)


def test_a_frozen_backbone_is_saved_as_it_came(base: Path, tmp_path: Path) -> None:
    other = toy.write(tmp_path / "other", values=(0, 1, 1))
    train(other, request(base, "optim.freeze=backbone"), tmp_path / "run")
    before, after = (load_file(run / "model.safetensors") for run in (base, tmp_path / "run"))
    same = {name: np.array_equal(before[name], after[name]) for name in after if name.startswith("backbone.")}
    assert same
    assert all(same.values())
    assert after["head.1.weight"].shape[0] == 2
    plan = toy.plan_of(tmp_path / "run")
    assert plan.reasons["model.weights"].startswith(f"weights from {base}, a model with 3 classes (class-0, ")
    assert plan.data.mean == toy.plan_of(base).data.mean, "the normalisation is that of the weights"


def test_two_processes_thaw_and_adapt_as_one_does(data: Path, base: Path, tmp_path: Path) -> None:
    settings = ("optim.name=sgd", "optim.lr=0.02", "optim.warmup=0", "train.validations=1", "lora.rank=2")
    settings = (*settings, "optim.freeze=until-step=1")
    one, two = tmp_path / "one", tmp_path / "two"
    train(data, request(base, *settings), one)
    usual = [word for entry in request(base, *settings).settings for word in ("--set", entry)]
    start = ["train", data, "--from", base, "--steps", "2", "--device", "cpu", *usual, "--out", two]
    done = toy.run(*start, processes=2)
    assert done.returncode == 0, done.stderr
    first, second = (toy.tensors(run / "checkpoint" / "step-00000002.safetensors") for run in (one, two))
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-4, atol=1e-4, err_msg=name)
    assert any(name.endswith("0.second") and np.abs(value).max() > 0 for name, value in first.items())


def test_another_decoder_stands_on_the_backbone_of_a_run(data: Path, base: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    train(data, request(base, model="unet"), tmp_path / "run", on_event=events.append)
    assert any(": backbone only; decoder and last layers start at random" in str(event) for event in events)
    plan = toy.plan_of(tmp_path / "run")
    assert (plan.model.name, plan.model.options["widths"]) == ("unet", [8, 8, 16, 16])
    assert "width" not in plan.model.options, "it is the decoder's, and its fellow in unet means something else"


def test_one_option_set_by_hand_leaves_the_others_as_in_the_run(data: Path, base: Path, tmp_path: Path) -> None:
    request_of = request(base, "model.options.align_corners=true")
    train(data, request_of, tmp_path / "run")
    options = toy.plan_of(tmp_path / "run").model.options
    assert (options["align_corners"], options["widths"], options["width"]) == (True, [8, 8, 16, 16], 16)
    plan, pins = requested_plan(request(base, "model.options.finest=2"))
    assert (plan.model.options["finest"], plan.model.options["widths"]) == (2, [8, 8, 16, 16])
    assert "model.options" in pins, "no rule may widen what weights are there for"


def test_of_another_decoder_the_options_may_yet_be_planned(base: Path) -> None:
    pins = requested_plan(request(base, model="fcn"))[1]
    assert "model.options.widths" in pins
    assert "model.options" not in pins
    plan = requested_plan(request(base, model="deeplabv3plus"))[0]
    assert "output_stride" not in plan.model.options, "it changes no weight, and the decoder has a wish of its own"


def test_an_option_that_the_weights_do_not_fit_is_refused_before_anything_is_written(
    data: Path, base: Path, tmp_path: Path
) -> None:
    rule = r"model.safetensors was trained with model.options.width=\d+, and .* with model.options.width=12: leave the"
    with pytest.raises(MaskwrightError, match=rule):
        train(data, request(base, "model.options.width=12"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_section_set_by_hand_is_left_as_it_is(base: Path) -> None:
    assert requested_plan(request(base, "optim={name: sgd}"))[0].optim.name == "sgd"


def test_what_contradicts_a_start_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"`from_run` .* and `model.weights` each say what to start from"):
        requested_plan(request(base, "model.weights=a.safetensors"))
    with pytest.raises(MaskwrightError, match=r"`from_run` .* and `model` each say what to start from"):
        requested_plan(request(base, "model={name: unet}"))
    with pytest.raises(MaskwrightError, match=r"^.* has no model\.safetensors: give the folder of a finished"):
        requested_plan(request(tmp_path))
    with pytest.raises(MaskwrightError, match=r"gone does not exist: give the folder of a run"):
        requested_plan(request(tmp_path / "gone"))
    with pytest.raises(MaskwrightError, match=r"takes images of 3 channels, but data\.channels is 1"):
        requested_plan(request(base, "data.channels=1"))


@pytest.mark.parametrize("named", ["weights: other.safetensors", "pretrained: true"])
def test_a_plan_that_starts_elsewhere_contradicts_it_too(base: Path, tmp_path: Path, named: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(f"model: {{{named}}}\n")
    key = named.partition(":")[0]
    with pytest.raises(MaskwrightError, match=rf"`from_run` .* and model\.{key} in the `plan_file` each say"):
        requested_plan(request(base, plan_file=file))
    file.write_text(f"model: {{weights: {base / 'model.safetensors'}}}\n")
    assert requested_plan(request(base, plan_file=file))[0].model.weights == str(base / "model.safetensors"), (
        "they agree"
    )


def test_published_weights_that_were_imported_get_their_own_optimiser(base: Path, tmp_path: Path) -> None:
    assert requested_plan(request(base))[0].optim.name == "muon"
    segmenter, card = bundle.load(base / "model.safetensors")
    card.summary = {"imported": {"source": "torchvision:fcn_resnet50"}}
    bundle.save(tmp_path / "model.safetensors", segmenter, card)
    plan, pins = requested_plan(request(tmp_path))
    assert "optim.name" not in pins
    assert plan.model.name == "swiftnet"


def test_the_decoder_is_adapted_where_it_was_taken_over(base: Path) -> None:
    assert requested_plan(request(base, "lora.rank=2"))[0].lora.decoder
    assert not requested_plan(request(base, "lora.rank=2", model="unet"))[0].lora.decoder
    assert not requested_plan(request(base, "lora.rank=2", "lora.decoder=false"))[0].lora.decoder
    assert not requested_plan(request(base))[0].lora.decoder


@pytest.mark.parametrize("setting", ["optim.freeze=backbone", "optim.freeze=until-step=5", "lora.rank=4"])
def test_random_weights_are_not_worth_keeping(setting: str) -> None:
    asked = PlanRequest(settings=(setting,))
    plan = requested_plan(asked)[0]
    key = setting.partition("=")[0]
    words = f"^{key} keeps weights unchanged, but here they would be random: .*`from_run`"
    with pytest.raises(MaskwrightError, match=words) as refused:
        warm_start.check(plan)
    assert refused.value.key == key
    warm_start.check(plan.model_copy(update={"model": ModelPlan(pretrained=True)}))
    warm_start.check(Plan())


def test_what_is_refused_says_why_the_weights_are_random() -> None:
    plan = requested_plan(PlanRequest(freeze="backbone"))[0]
    plan.reasons["model.pretrained"] = "the hub is out of reach: no answer"
    words = r"^optim.freeze keeps .* random \(model.pretrained is false: the hub is out of reach: no answer\): start"
    with pytest.raises(MaskwrightError, match=words) as refused:
        warm_start.check(plan)
    assert refused.value.key == "optim.freeze"


@pytest.mark.parametrize("setting", ["optim.freeze=backbone", "optim.freeze=until-step=5", "optim.backbone_lr=0.1"])
def test_a_backbone_without_weights_cannot_be_treated_otherwise(setting: str) -> None:
    asked = PlanRequest(settings=(setting, "model.name=renet", "train.steps=9"))
    key = setting.partition("=")[0]
    with pytest.raises(MaskwrightError, match=f"^{key}: the backbone of renet has no weights") as refused:
        warm_start.check(requested_plan(asked)[0])
    assert refused.value.key == key


def test_a_backbone_that_never_thaws_is_refused_and_told_of_under_a_budget(base: Path) -> None:
    asked = request(base, "optim.freeze=until-step=7", steps=7)
    with pytest.raises(
        MaskwrightError, match=r"^optim.freeze is until-step=7: the training ends after 7 steps, .*never"
    ) as refused:
        warm_start.check(requested_plan(asked)[0])
    assert refused.value.key == "optim.freeze"
    warm_start.check(requested_plan(replace(asked, steps=8))[0])
    plan = requested_plan(replace(asked, steps=None, budget="1m"))[0]
    plan.train.steps = 5
    warm_start.check(plan)
    told = first_network(plan, class_channels(2), ["a", "b"], resumed=False)[1]
    assert "up to step 7 (about 5 steps are planned), and then" in told[-1]
