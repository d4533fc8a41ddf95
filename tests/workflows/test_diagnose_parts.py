"""Answers of a diagnosis in cases that no short run gives: short trainings, and scores that are undefined."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from maskwright.cli.commands import command
from maskwright.core.answers import Figure
from maskwright.core.plan import Plan
from maskwright.metrics.scores import Metric
from maskwright.workflows.diagnose_parts import robustness
from maskwright.workflows.diagnose_parts.learning import gradients
from maskwright.workflows.diagnose_parts.questions import cures_of
from maskwright.workflows.diagnose_parts.short_runs import LEAST_STEPS, Setup, too_short
from maskwright.workflows.diagnose_parts.shortcuts import _alike


@pytest.mark.parametrize(("steps", "words"), [(6, "6 steps"), (1, "1 step"), (900, f"{LEAST_STEPS} steps")])
def test_a_short_run_asks_for_no_more_steps_than_it_had(steps: int, words: str) -> None:
    data = SimpleNamespace(root=Path("data"))
    study: Any = SimpleNamespace(run=Path("run"), dataset=data, history=[{"step": steps, "seconds": 1.0}])
    answer = too_short("more-data", "Why?", Setup(study, None, None, []), 3, 7)  # type: ignore[arg-type]
    assert answer.verdict == f"Not measured: 3 trainings of {words} need about 7 minutes."


def answered(losses: dict[tuple[str, int], float | None]) -> Any:
    clean: Any = SimpleNamespace(headline_metric=Metric("dice", "Dice", "Overlap."), score=Figure("", 0.8), images=4)
    study: Any = SimpleNamespace(plan=None, run="run", dataset=SimpleNamespace(root="data"))
    return robustness._answer(study, clean, {place: Figure("", value) for place, value in losses.items()})


def test_an_undefined_score_of_corrupted_images_is_left_out() -> None:
    (grid,) = answered({("noise", 0): -0.4, ("noise", 1): None, ("blur", 1): -0.2, ("fog", 1): None}).grids
    assert [(row[0], row[-1]) for row in grid.rows] == [
        (robustness.CORRUPTIONS["noise"].words, "50.0%"),
        (robustness.CORRUPTIONS["blur"].words, "25.0%"),
    ]
    assert "undefined" in answered({("fog", 1): None}).verdict


def told(history: list[dict[str, float | None]], clip: float) -> Any:
    plan = Plan()
    plan.optim.clip = clip
    dataset = SimpleNamespace(root=Path("data"))
    return gradients(cast("Any", SimpleNamespace(plan=plan, history=history, dataset=dataset)))


def rows(**numbers: float) -> list[dict[str, float | None]]:
    return [{"step": step, "loss": 1.0, **numbers} for step in (1, 2)]


def test_clipping_that_never_acted_was_not_needed() -> None:
    answer = told(rows(gradient=0.5, gradient_max=0.9, clipped=0.0), clip=1.0)
    assert answer.verdict.endswith(
        "The norm of its gradient was 0.5 as a rule and 0.9 at most: no step was clipped, so the training would have "
        "been the same without clipping."
    )
    assert (answer.level, answer.cures) == ("good", ())
    (plot,) = answer.plots
    assert plot.lines == {"mean": ((1, 0.5), (2, 0.5)), "largest": ((1, 0.9), (2, 0.9))}


def test_norms_of_single_steps_are_one_line() -> None:
    (plot,) = told(rows(gradient=0.5, gradient_max=0.5, clipped=0.0), clip=1.0).plots
    assert plot.lines == {"norm": ((1, 0.5), (2, 0.5))}


def test_a_shortcut_in_a_few_groups_may_be_chance() -> None:
    def said(*groups: str | None) -> str:
        return _alike(SimpleNamespace(groups=list(groups)))  # type: ignore[arg-type]

    assert "from 2 groups (videos, patients) only" in said("a", "b", "a", "b")
    assert said(*"abcdefgh") == said(None, None, "a") == ""


def test_clipping_that_acted_is_left_to_a_training_without_it() -> None:
    answer = told(rows(gradient=1.5, gradient_max=2.0, clipped=0.25), clip=1.0)
    assert "25.0% of the steps were clipped. Only a training without" in answer.verdict
    assert (answer.level, len(answer.cures)) == ("note", 1)


def test_norms_without_clipping_and_clipping_without_norms() -> None:
    free = told(rows(gradient=1.5, gradient_max=2.0), clip=0.0)
    assert free.verdict.endswith("was 1.5 as a rule and 2 at most.")
    assert (free.level, free.cures) == ("note", ())
    older = told(rows(), clip=1.0)
    assert "holds no norms of gradients" in older.verdict
    assert (older.level, older.plots, len(older.cures)) == ("open", (), 1)


def test_a_question_that_was_not_measured_has_the_command_that_does() -> None:
    commands = [command(cure) for cure in cures_of(18, set(), "my run", "data")]
    assert commands == ["maskwright diagnose 'my run' data --question more-data --budget 30m"]
    assert cures_of(18, {"more-data"}, "run", "data") == ()
    commands = [command(cure) for cure in cures_of(7, {"groups", "kinds"}, "run", "data")]
    assert commands == [
        "maskwright diagnose run data --question new-groups --budget 30m",
        "maskwright diagnose run data --question shift",
    ]


def test_commands_of_other_verbs_name_the_run_and_its_data() -> None:
    commands = [command(cure) for cure in cures_of(2, set(), "r", "d")]
    assert commands == ["maskwright plan d", "maskwright tune d", "maskwright compare r OTHER_RUN"]
