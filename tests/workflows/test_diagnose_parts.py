"""Answers of a diagnosis in cases that no short run gives: short trainings, and scores that are undefined."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maskwright.core.answers import Figure
from maskwright.metrics.scores import Metric
from maskwright.workflows.diagnose_parts import robustness
from maskwright.workflows.diagnose_parts.short_runs import LEAST_STEPS, Setup, too_short


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
