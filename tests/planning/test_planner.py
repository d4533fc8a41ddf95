from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.planning.facts_by_hand import facts, fingerprint, kind

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import Plan
from maskwright.core.plan_file import overridden
from maskwright.planning import measure, planner
from maskwright.planning.facts import Decision
from maskwright.planning.measure import StepCost, pixels, sample_size, step_cost
from maskwright.training import adversarial


def build(network: torch.nn.Module, _plan: Plan) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=1e-6)


def made(*settings: str, pins: frozenset[str] | None = None, **changes: Any) -> Plan:
    """Plan with `--set` options, as the workflow does it."""
    pinned = frozenset(setting.partition("=")[0] for setting in settings) if pins is None else pins
    return planner.make(facts(**changes), overridden(Plan(), list(settings)), pinned, build)


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """A machine of known speed; what was measured is kept."""
    seen: list[Plan] = []

    def cost(plan: Plan, *_: object) -> StepCost:
        seen.append(plan)
        return StepCost(0.5 / pixels(plan), 0.0, 2**20 / pixels(plan))

    monkeypatch.setattr(planner, "step_cost", cost)
    return seen


def value_at(plan: Plan, key: str) -> Any:
    found: Any = plan.model_dump()
    for part in key.split("."):
        found = found[part]
    return found


def test_every_decision_has_a_reason_and_its_place() -> None:
    plan = made(train_seconds=200.0)
    for key, why in plan.reasons.items():
        value_at(plan, key)
        assert len(why.split()) >= 2, key
    changed = {
        f"{section}.{key}"
        for section, values in plan.model_dump().items()
        if isinstance(values, dict) and section != "reasons"
        for key, value in values.items()
        if value != value_at(Plan(), f"{section}.{key}")
    }
    assert changed - {"model.options"} <= set(plan.reasons)
    assert {f"model.options.{name}" for name in plan.model.options} <= set(plan.reasons)
    for key in (
        "data.scale",
        "sampling.crop",
        "model.name",
        "loss.class_weights",
        "optim.lr",
        "train.steps",
        "predict.tile",
    ):
        assert key in plan.reasons


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data.scale=0.5", 0.5),
        ("sampling.crop=[64,96]", (64, 96)),
        ("model.name=unet", "unet"),
        ("optim.name=sgd", "sgd"),
        ("optim.lr=0.123", 0.123),
        ("loss.class_weights=[1,1]", [1, 1]),
        ("train.precision=32-true", "32-true"),
        ("sampling.batch=3", 3),
        ("train.steps=77", 77),
        ("augment.flip_vertical=0.25", 0.25),
        ("predict.tile=[128,128]", (128, 128)),
    ],
)
def test_what_the_user_set_stays_and_is_told_as_such(setting: str, value: object) -> None:
    key = setting.partition("=")[0]
    plan = made(setting, train_seconds=100.0)
    assert value_at(plan, key) == value
    assert plan.reasons[key] == "set by hand"
    others = made(train_seconds=100.0)
    assert value_at(others, key) != value


def test_a_pinned_section_is_pinned_throughout() -> None:
    plan = made(pins=frozenset({"augment", "optim"}))
    assert plan.augment == Plan().augment
    assert plan.optim == Plan().optim
    assert not any(key.startswith(("augment.", "optim.")) for key in plan.reasons)
    assert "sampling.crop" in plan.reasons


def test_a_pin_inside_a_value_keeps_the_value() -> None:
    plan = made("model.options.finest=8")
    assert plan.model.options == {"finest": 8}


def test_a_pin_is_no_pin_on_its_namesakes() -> None:
    decisions = [Decision("train.steps", 5, "why not"), Decision("train.threads", 2, "why not")]
    plan = planner.applied(Plan(), decisions, frozenset({"train.step", "train.threads"}))
    assert (plan.train.steps, plan.train.threads) == (5, 1)


def test_rules_see_what_the_user_set() -> None:
    assert made("optim.name=sgd").optim.lr != made("optim.name=adam").optim.lr
    assert made("data.scale=0.5").predict.tile[0] < made().predict.tile[0]


def test_a_step_is_measured_as_it_will_be_made(measured: list[Plan]) -> None:
    plan = made("sampling.crop=[64,64]", train_seconds=200.0)
    seen = measured[0]
    assert seen.sampling.crop == (64, 64)
    assert seen.train.precision == plan.train.precision
    assert plan.train.steps == 400


def test_a_plan_is_made_of_its_facts_alone() -> None:
    assert made() == made()


def test_large_images_of_thin_things_stay_large() -> None:
    stats = (kind("ground", 0.9, 200.0), kind("crack", 0.1, 6.0))
    plan = made(found=fingerprint(2000, 3000, class_stats=stats))
    assert plan.data.scale == pytest.approx(4 / 6, abs=1e-3)
    assert plan.sampling.crop[0] < 2000 * plan.data.scale


def test_too_little_time_is_an_error_that_names_enough() -> None:
    with pytest.raises(MaskwrightError, match=r"--budget 5s leaves 0 s .* give 10s or more"):
        made("train.budget_seconds=5", train_seconds=0.2)


def test_channels_can_be_set() -> None:
    plan = made("data.channels=1")
    assert (plan.data.channels, len(plan.data.mean), len(plan.data.std)) == (1, 1, 1)
    assert plan.reasons["data.channels"] == "set by hand"


def test_few_steps_make_the_network_narrow_and_the_measuring_is_taken_off(
    measured: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cost(plan: Plan, *_: object) -> StepCost:
        measured.append(plan)
        return StepCost((0.5 if len(measured) == 1 else 0.25) / pixels(plan), 0.0, 0.0, spent_seconds=10.0)

    monkeypatch.setattr(planner, "step_cost", cost)
    plan = made(train_seconds=120.0)
    assert [entry.model.options.get("widths") for entry in measured] == [None, [24, 48, 96, 160]]
    assert plan.train.steps == 400
    assert "100 s at 0.250 s" in plan.reasons["train.steps"]


def test_a_passing_load_decides_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def cost(plan: Plan, *_: object) -> StepCost:
        return StepCost(2.0 / pixels(plan), 0.0, 0.0, busy=10.0)

    monkeypatch.setattr(planner, "step_cost", cost)
    plan = made(train_seconds=100.0)
    assert "widths" not in plan.model.options
    assert plan.sampling.crop == (256, 320)
    assert (plan.data.scale, plan.train.steps) == (1.0, 50)


def test_what_is_cut_smaller_is_zoomed_out_further() -> None:
    short, usual = made(train_seconds=80.0), made(train_seconds=500.0)
    assert pixels(short) < 0.7 * pixels(usual)
    assert short.augment.zoom[0] < usual.augment.zoom[0]
    assert "only 160 steps" in short.reasons["sampling.crop"]


def test_images_that_shrink_have_smaller_crops_and_more_steps() -> None:
    plan = made(train_seconds=50.0)
    assert plan.data.scale == pytest.approx((256 * 320 / (240 * 320) / 3) ** 0.5, abs=1e-3)  # a third of the steps
    assert plan.sampling.crop == (128, 192)
    assert plan.train.steps == pytest.approx(100 * 256 * 320 / (128 * 192), abs=1)


# Measuring


@pytest.mark.parametrize("crop", ["[32,32]", "[30,50]"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_real_step_costs_something(crop: str, precision: str) -> None:
    settings = [f"sampling.crop={crop}", "sampling.batch=2", "model.options={widths: [8, 8, 8, 8], width: 8}"]
    plan = overridden(Plan(), [*settings, f"train.precision={precision}"])
    larger = overridden(plan, ["sampling.batch=8"])
    small, large = (step_cost(entry, 3, "cpu", build) for entry in (plan, larger))
    assert min(small.pixel_seconds, small.update_seconds, small.spent_seconds) > 0
    # Activations grow with the batch; the weights, which are saved for the backward pass too, do not.
    assert 1.5 < large.activation_bytes(larger) / small.activation_bytes(plan) <= 4.01


def test_recomputing_keeps_less_and_heads_keep_more() -> None:
    plain = overridden(
        Plan(), ["sampling.crop=[64,64]", "sampling.batch=2", "model.name=fcn", "model.backbone=compact"]
    )

    def kept(*settings: str) -> float:
        return step_cost(overridden(plain, list(settings)), 3, "cpu", build).pixel_bytes

    assert kept("train.gradient_checkpointing=true") < 0.8 * kept()


@pytest.mark.parametrize(("freeze", "trained"), [("backbone", False), ("until-step=2000", True), ("none", True)])
def test_a_step_is_measured_as_the_last_ones_will_be(
    freeze: str, trained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def step(bench: Any) -> tuple[float, float]:
        seen.append(any(weight.requires_grad for weight in bench.segmenter.backbone.parameters()))
        return 1.0, 1.0

    monkeypatch.setattr(measure._Bench, "step", step)
    base = ["sampling.crop=[32,32]", "sampling.batch=1", "model.options={widths: [8, 8, 8, 8], width: 8}"]
    step_cost(overridden(Plan(), [*base, f"optim.freeze={freeze}"]), 3, "cpu", build)
    assert seen[0] is trained


def test_an_opponent_counts_in_time_and_memory() -> None:
    base = ["sampling.crop=[64,64]", "sampling.batch=2", "model.options={widths: [8, 8, 8, 8], width: 8}"]
    plan = overridden(Plan(), [*base, "adversarial.weight=0.1"])
    calls: list[str] = []

    class Foe:
        def __init__(self) -> None:
            self.weight = torch.ones(1, requires_grad=True)

        def challenge(self, images: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            assert len(images) == len(logits) == len(labels)
            calls.append("challenge")
            return logits.square().mean()

        def learn(self) -> None:
            calls.append("learn")
            kept = (torch.ones(1 << 22) * self.weight).square().sum()
            kept.backward()

    alone = step_cost(plan, 3, "cpu", build)
    opposed = step_cost(plan, 3, "cpu", build, lambda _segmenter, _plan, _device: Foe())
    assert calls[:2] == ["challenge", "learn"]
    assert len(calls) >= 4
    assert opposed.activation_bytes(plan) >= 4 << 22 > alone.activation_bytes(plan)
    real = step_cost(plan, 3, "cpu", build, adversarial.create)
    assert real.activation_bytes(plan) > alone.activation_bytes(plan)


def test_measuring_leaves_torchs_randomness_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    plan = overridden(
        Plan(), ["sampling.crop=[32,32]", "sampling.batch=1", "model.options={widths: [8, 8], depths: [1, 1]}"]
    )
    step_cost(plan, 3, "cpu", build)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ([], (8, 256, 256)),
        (["optim.accumulate=3"], (3, 256, 256)),
        (["sampling.batch=100"], (16, 256, 256)),
        (["sampling.crop=[2048,2048]"], (1, 1024, 1024)),
    ],
)
def test_what_is_measured_is_never_huge(settings: list[str], size: tuple[int, int, int]) -> None:
    assert sample_size(overridden(Plan(), settings), 1 << 20) == size
