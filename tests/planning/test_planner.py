from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.planning.facts_by_hand import facts, fingerprint, kind

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import Plan
from maskwright.core.plan_file import overridden
from maskwright.models.catalog import OBJECT_MODELS, PIXEL_MODELS
from maskwright.planning import planner, rules_semantic, task_rules
from maskwright.planning.cost import StepCost, pixels
from maskwright.planning.facts import Decision, Facts
from maskwright.tasks import BY_OBJECTS, TASKS

if TYPE_CHECKING:
    from maskwright.planning.cost import Measure


def half_a_second(plan: Plan) -> StepCost:
    """A machine of known speed."""
    return StepCost(0.5 / pixels(plan), 0.0, 2**20 / pixels(plan))


def made(*settings: str, pins: frozenset[str] | None = None, measure: Measure = half_a_second, **changes: Any) -> Plan:
    """Plan with `--set` options, as the workflow does it."""
    pinned = frozenset(setting.partition("=")[0] for setting in settings) if pins is None else pins
    return planner.make(facts(**changes), overridden(Plan(), list(settings)), pinned, measure)


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


def test_a_step_is_measured_as_it_will_be_made() -> None:
    measured: list[Plan] = []

    def measure(plan: Plan) -> StepCost:
        measured.append(plan)
        return half_a_second(plan)

    plan = made("sampling.crop=[64,64]", measure=measure, train_seconds=200.0)
    (seen,) = measured
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
    with pytest.raises(MaskwrightError, match=r"^the budget of 5 s leaves 0 s .* give 10s or more$") as refused:
        made("train.budget_seconds=5", train_seconds=0.2)
    assert refused.value.key == "train.budget_seconds"


def test_channels_can_be_set() -> None:
    plan = made("data.channels=1")
    assert (plan.data.channels, len(plan.data.mean), len(plan.data.std)) == (1, 1, 1)
    assert plan.reasons["data.channels"] == "set by hand"


def test_few_steps_make_the_network_narrow_and_the_measuring_is_taken_off() -> None:
    measured: list[Plan] = []

    def measure(plan: Plan) -> StepCost:
        measured.append(plan)
        return StepCost((0.5 if len(measured) == 1 else 0.25) / pixels(plan), 0.0, 0.0, spent_seconds=10.0)

    plan = made(measure=measure, train_seconds=120.0)
    assert [entry.model.options.get("widths") for entry in measured] == [None, [24, 48, 96, 160]]
    assert plan.train.steps == 400
    assert "100 s at 0.250 s" in plan.reasons["train.steps"]


def test_the_network_that_is_measured_is_the_planned_one_at_any_resolution() -> None:
    """Where time is short, the network becomes narrow and then the images small; neither undoes the other."""
    measured = []

    def measure(plan: Plan) -> StepCost:
        measured.append(plan)
        return half_a_second(plan)

    settings = ("task=instance", "model.name=maskrcnn")
    usual, short = (
        made(*settings, train_seconds=seconds, measure=measure, found=fingerprint(1500, 2000))
        for seconds in (20000.0, 60.0)
    )
    assert short.model.options["width"] < usual.model.options["width"]
    assert short.data.scale < usual.data.scale
    assert short.model.options["width"] == measured[-1].model.options["width"]


def test_a_passing_load_decides_no_network() -> None:
    def measure(plan: Plan) -> StepCost:
        return StepCost(2.0 / pixels(plan), 0.0, 0.0, busy=10.0)

    plan = made(measure=measure, train_seconds=100.0)
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


def test_no_rule_is_applied_twice_in_a_row() -> None:
    for rules in (planner.FIRST_RULES, planner.SIZED_RULES, planner.CROPPED_RULES, planner.LAST_RULES):
        assert len(set(rules)) == len(rules)
    assert len(set(planner.LENGTH_RULES)) == len(planner.LENGTH_RULES)


# Rules of the task


def test_every_task_has_rules() -> None:
    assert task_rules.RULES.keys() == TASKS.keys()
    own = task_rules.rules_of(Plan())
    assert own == task_rules.TaskRules(rules_semantic.FIRST, rules_semantic.CROPPED)
    assert not set(own.first) & set(own.cropped)


def test_models_of_some_tasks_have_rules_for_each_and_those_of_objects_a_task_too() -> None:
    served: dict[str, set[str]] = {}
    for entry in OBJECT_MODELS.values():
        served.setdefault(entry.learns, set()).update(entry.tasks)
    assert {learns: set(tasks) for learns, tasks in BY_OBJECTS.items()} == served
    for entry in PIXEL_MODELS.values():
        served.setdefault(entry.learns, set()).update(entry.tasks)
    assert {learns: set(tasks) for learns, tasks in task_rules.LEARNED_RULES.items()} == served


def test_a_task_without_rules_is_refused() -> None:
    words = (
        r"^unknown task with planning rules 'semantics': did you mean 'semantic'\? "
        "Available: edges, instance, panoptic, semantic$"
    )
    with pytest.raises(MaskwrightError, match=words):
        task_rules.rules_of(Plan.model_construct(task="semantics"))


def test_rules_of_the_task_come_first_and_again_after_the_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    """So they see the user's own values, and then the network and the crop of the whole plan, and of the affordable."""
    seen: list[tuple[str, str, tuple[int, int]]] = []

    def first(_facts: Facts, plan: Plan) -> list[Decision]:
        seen.append(("first", plan.model.name, plan.sampling.crop))
        return [Decision("loss.terms", {"focal": 1.0}, "as this task wants it")]

    def cropped(_facts: Facts, plan: Plan) -> list[Decision]:
        seen.append(("cropped", plan.model.name, plan.sampling.crop))
        assert plan.loss.terms == {"focal": 1.0}
        height, width = plan.sampling.crop
        return [Decision("loss.full_size", value=height * width < 200 * 200, reason="as the crop allows it")]

    monkeypatch.setitem(task_rules.RULES, "semantic", task_rules.TaskRules((first,), (cropped,)))
    plan = made(train_seconds=50.0)
    assert seen == [
        ("first", Plan().model.name, Plan().sampling.crop),
        ("cropped", "swiftnet", (256, 320)),
        ("cropped", "swiftnet", (128, 192)),
    ]
    assert plan.loss.full_size
    assert plan.reasons["loss.full_size"] == "as the crop allows it"
    assert "sampling.rare_share" not in plan.reasons, "the rules of another task are not applied"


def test_pins_hold_for_the_rules_of_the_task() -> None:
    plan = made("loss.full_size=false", "sampling.rare_share=0.25")
    assert (plan.loss.full_size, plan.sampling.rare_share) == (False, 0.25)
    assert plan.reasons["loss.full_size"] == plan.reasons["sampling.rare_share"] == "set by hand"
    assert (made().loss.full_size, made().sampling.rare_share) == (True, 0.5)
