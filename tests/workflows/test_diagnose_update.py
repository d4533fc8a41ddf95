"""Trainings that are compared: a model with the run that it went on from, and other starts, losses and crops."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.answers import Figure
from maskwright.core.paths import model_file
from maskwright.core.plan import Plan
from maskwright.core.plan_file import overridden, read_plan
from maskwright.inference.origin import digest
from maskwright.metrics.scores import Metric
from maskwright.workflows.diagnose_parts import trials, variants
from maskwright.workflows.diagnose_parts import update as update_module
from maskwright.workflows.diagnose_parts.study import Study
from maskwright.workflows.diagnose_parts.update import _both, _gate
from maskwright.workflows.diagnose_request import DiagnoseRequest
from maskwright.workflows.evaluate_parts.evaluation import opened
from maskwright.workflows.plan_parts.requested import requested_plan
from maskwright.workflows.request import EvaluateRequest, PlanRequest
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from maskwright.core.answers import Answer

pytestmark = pytest.mark.usefixtures("one_thread")
IOU = Metric("iou", "IoU", "Overlap.")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("update")
    data = toy.write(root / "data", {"train": 10, "val": 4, "test": 6})
    train(data, toy.request(steps=3), root / "first")
    settings = tuple(entry for entry in toy.SETTINGS if not entry.startswith("model."))
    going_on = PlanRequest(steps=2, settings=settings, device="cpu", from_run=root / "first")
    train(data, going_on, root / "second")
    return root


def asked(place: Path, run: str, question: str, budget: str = "1m") -> Answer:
    found = mw.diagnose(place / run, place / "data", out=place / "out", budget=budget, question=[question])
    return next(answer for part in found.answers.values() for answer in part if answer.key == question)


def test_an_update_is_compared_with_what_it_went_on_from(place: Path) -> None:
    answer = asked(place, "second", "update")
    assert str(place / "first") in answer.verdict
    assert "6 images that neither was trained on" in answer.verdict
    first, second = answer.grids[0].rows
    for row, run in ((first, "first"), (second, "second")):
        assert row[0].endswith(run)
        assert digest(model_file(place / run)).startswith(row[1])
        assert row[2] == "10"
    assert answer.figures[0].value == pytest.approx(second[3].value - first[3].value)
    assert [cure.verb for cure in answer.cures] == ["train", "compare", "serve"]


def test_a_first_version_has_nothing_to_be_compared_with(place: Path) -> None:
    answer = asked(place, "first", "update")
    assert "no earlier version" in answer.verdict
    assert answer.level == "open"
    assert len(answer.grids[0].rows) == 1


@pytest.mark.parametrize(
    ("seconds", "number", "again"),
    [(100.0, 10, False), (29.0, 9, True), (22.0, 7, True), (5.0, 4, True)],
)
def test_versions_are_compared_on_as_many_images_as_there_is_time_for(
    monkeypatch: pytest.MonkeyPatch, seconds: float, number: int, again: bool
) -> None:
    clock, whole = [0.0], SimpleNamespace(ids=list(range(10)))
    monkeypatch.setattr(update_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def scored(records: list[int], predictor: str = "new", seen: Any = lambda _: True) -> SimpleNamespace:
        found = []
        for record in records:
            clock[0] += 2.0 if predictor == "old" else 1.0
            found.append(record)
            if not seen(SimpleNamespace(record=record)):
                break
        return SimpleNamespace(ids=found)

    study = SimpleNamespace(scored=scored, scores=whole, looks=list(range(10)), seconds_each=1.0)
    records = [7, 3, 5, 0, 9, 1, 8, 2, 6, 4]
    old, new = _both(study, "old", records, seconds)  # type: ignore[arg-type]
    assert old.ids == records[:number]
    assert new.ids == (records[:number] if again else whole.ids)
    assert clock[0] <= max(seconds, 12.0)


def test_versions_are_not_compared_without_time(place: Path) -> None:
    request = DiagnoseRequest(device="cpu")
    evaluation = opened(place / "second", place / "data", EvaluateRequest("test", device="cpu"))
    study = Study(evaluation, request, time.monotonic() + 60)
    answer = update_module.update(study, time.monotonic())
    assert answer.level == "open"
    assert answer.verdict.endswith("There was no time to compare the two: ask for it alone.")
    assert [cure.verb for cure in answer.cures] == ["diagnose", "train", "compare", "serve"]


@pytest.mark.parametrize("missing", ["first", "first/model.safetensors"])
def test_an_earlier_version_that_is_gone_is_named(place: Path, missing: str) -> None:
    hidden = place / "hidden"
    (place / missing).rename(hidden)
    try:
        answer = asked(place, "second", "update")
    finally:
        hidden.rename(place / missing)
    assert answer.level == "open"
    assert f"started from {place / 'first'}" in answer.verdict


@pytest.mark.parametrize(
    ("low", "high", "level"),
    [
        (0.01, 0.03, "good"),
        (-0.005, 0.01, "good"),
        (-0.03, 0.02, "note"),
        (-0.05, -0.02, "warning"),
        (None, None, "note"),
    ],
)
def test_the_gate_goes_by_the_bounds_of_the_difference(low: float | None, high: float | None, level: str) -> None:
    scores: Any = SimpleNamespace(headline_metric=IOU)
    assert _gate(Figure("change", 0.0, low, high), scores)[1] == level


def test_of_an_error_a_rise_is_a_loss() -> None:
    scores: Any = SimpleNamespace(headline_metric=Metric("hd", "HD", "Distance.", "px", higher_is_better=False))
    assert _gate(Figure("change", 3.0, 1.0, 5.0, "px"), scores)[1] == "warning"


def test_starts_are_trained_in_the_same_time_and_compared(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen backbone makes its steps in half of the time, so it gets twice as many."""
    frozen = 0.5

    def seconds(_study: Study, plan: Plan) -> float:
        return frozen if plan.optim.freeze == "backbone" else 1.0

    monkeypatch.setattr(variants, "_seconds", seconds)
    answer = asked(place, "second", "starts", "20m")
    rows = {row[0]: row for row in answer.grids[0].rows}
    assert set(rows) == {"as the run", variants.AGAIN, "random weights", "backbone frozen", "low-rank updates (rank 8)"}
    assert [rows[name][1] for name in ("as the run", "random weights", "backbone frozen")] == ["2", "2", "4"]
    base = rows["as the run"][2].value
    for name, row in rows.items():
        if name != "as the run":
            assert row[3].value == pytest.approx(row[2].value - base)
    assert {cure.verb for cure in answer.cures} == {"train"}


def test_the_first_step_measured_gives_no_training_more_steps(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first measurement in a process takes longer, and it is that of the plan of the run."""
    cold = iter([3.0])
    monkeypatch.setattr(variants, "_seconds", lambda *_: next(cold, 1.0))
    answer = asked(place, "second", "starts", "20m")
    assert {row[1] for row in answer.grids[0].rows} == {"2"}


def test_starts_are_not_measured_without_the_weights_of_the_run(place: Path) -> None:
    hidden = place / "hidden"
    (place / "first").rename(hidden)
    try:
        answer = asked(place, "second", "starts", "20m")
    finally:
        hidden.rename(place / "first")
    assert answer.level == "open"
    assert f"{place / 'first'}" in answer.verdict
    assert "does not exist" in answer.verdict


@pytest.mark.parametrize(
    ("low", "high", "higher", "said"),
    [(-0.3, -0.1, True, "Yes"), (-0.3, 0.1, True, "Perhaps"), (0.1, 0.3, True, "No"), (0.1, 0.3, False, "Yes")],
)
def test_a_start_helps_if_it_is_worse_without_it(low: float, high: float, higher: bool, said: str) -> None:
    asked = variants.Asked("starts", "?", "base", helpful="those of the run", without="random weights")
    missed, noise = (
        Figure("change", (low + high) / 2, low, high, "points"),
        Figure("change", 0.05, None, None, "points"),
    )
    assert variants._helps(asked, missed, noise, 1.0 if higher else -1.0).startswith(f"{said}: with random weights")


def test_a_difference_that_another_seed_makes_too_is_no_help() -> None:
    asked = variants.Asked("starts", "?", "base", helpful="those of the run", without="random weights")
    missed, noise = Figure("change", -0.2, -0.3, -0.1, "points"), Figure("change", 0.25, None, None, "points")
    assert variants._helps(asked, missed, noise, 1.0).startswith("Perhaps")


def test_the_best_of_several_trainings_is_no_recommendation(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair of seeds is too few: the best of several changes is often larger by chance."""
    changes = iter([Figure("change", 0.2, 0.1, 0.3, "points")] * 3 + [Figure("change", 0.05, 0.01, 0.1, "points")])
    last = Figure("change", 0.2, 0.1, 0.3, "points")
    monkeypatch.setattr(variants, "change", lambda *_: next(changes, last))
    answer = asked(place, "second", "starts", "20m")
    assert "more than another seed changes" in answer.verdict
    assert answer.verdict.startswith("No: with random weights instead of those of the run the score changes by")
    assert "other seeds" in answer.verdict
    assert (answer.level, answer.stake) == ("note", 0.0)


def test_a_run_from_random_weights_has_no_other_start(place: Path) -> None:
    answer = asked(place, "first", "starts", "20m")
    assert answer.level == "open"
    assert [cure.options for cure in answer.cures] == [{"from_run": "OTHER_RUN"}]


LITE = {"model.backbone": "timm:tf_efficientnet_lite0", "model.pretrained": True}
RANDOM = {"model.pretrained": False, "model.weights": None}
FROZEN = {"optim.freeze": "backbone", "lora.rank": 0}


@pytest.mark.parametrize(
    ("own", "changes", "expected"),
    [
        (
            {**LITE, "optim.name": "muon", "optim.lr": 0.02, "optim.backbone_lr": 0.1},
            RANDOM,
            {"model.pretrained": False, "optim.backbone_lr": 1.0},
        ),
        (
            {**LITE, "optim.name": "muon", "optim.lr": 0.02, "optim.backbone_lr": 0.1},
            FROZEN,
            {"optim.freeze": "backbone", "optim.backbone_lr": 1.0},
        ),
        (
            {**LITE, "optim.name": "muon", "optim.lr": 0.02, "optim.backbone_lr": 0.1},
            {"lora.rank": 8},
            {"lora.rank": 8},
        ),
        (  # twice the usual rate, by hand
            {"model.weights": "run/model.safetensors", "optim.name": "adamw", "optim.lr": 0.000666},
            RANDOM,
            {"model.weights": None, "optim.name": "muon", "optim.lr": 0.04},
        ),
        (  # an optimiser chosen by hand
            {"model.weights": "run/model.safetensors", "optim.name": "sgd", "optim.lr": 0.008333},
            RANDOM,
            {"model.weights": None, "optim.lr": 0.05},
        ),
        (
            {"model.weights": "run/model.safetensors", "optim.name": "adamw", "optim.lr": 0.002, "lora.rank": 4},
            {"lora.rank": 0},
            {"lora.rank": 0, "optim.lr": 0.000333},
        ),
    ],
)
def test_another_start_learns_with_what_the_planner_would_choose_for_it(
    own: dict[str, Any], changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    plan = overridden(Plan(), (), {"sampling.batch": 8, **own})
    assert trials.relearnt(plan, changes) == expected


def test_the_command_of_a_start_trains_what_was_measured(place: Path) -> None:
    plan = read_plan(place / "second")
    study: Any = SimpleNamespace(dataset=SimpleNamespace(root="data"), home=place / "second", plan=plan)
    for variant in trials._starts(study, plan):
        assert variant.cure is not None
        options: Any = dict(variant.cure.options)
        planned, _ = requested_plan(
            PlanRequest(plan_file=Path(options["plan_file"]), settings=options["settings"], steps=int(options["steps"]))
        )
        wanted = overridden(plan, (), variant.changes)
        assert planned.model_dump(exclude={"reasons"}) == wanted.model_dump(exclude={"reasons"})


def test_remedies_of_imbalance_change_what_they_say() -> None:
    plan = Plan()
    plan.loss.class_weights = [0.5, 1.5]
    plan.sampling.rare_share = 0.5
    study: Any = SimpleNamespace(dataset=SimpleNamespace(root="data"), home=Path("run"), plan=plan)
    found = {variant.name: variant for variant in trials._balances(study, plan)}
    assert set(found) == {
        "no class weights",
        "75 % of the crops centred on rare classes",
        "crops drawn at random",
        "focal and Dice loss",
        "cross-entropy alone",
    }
    for variant in found.values():
        assert variant.cure is not None
        (key,) = variant.changes
        section, _, name = key.partition(".")
        assert name in type(getattr(plan, section)).model_fields
        assert variant.cure.options["plan_file"] == "run"
    assert found["no class weights"].changes == {"loss.class_weights": None}


def test_remedies_are_trained_and_the_weakest_class_is_watched(place: Path) -> None:
    answer = asked(place, "first", "balance", "20m")
    (grid,) = answer.grids
    assert grid.header[-1].startswith("change of ")
    assert [row[0] for row in grid.rows[:2]] == ["the plan", variants.AGAIN]
    assert len(grid.rows) >= 4
    assert "another seed" in answer.verdict
