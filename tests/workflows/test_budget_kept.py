"""A training keeps its budget, and scores all images in it, however much slower scoring becomes on the way.

The clock is not real: a step takes one second, and what an image takes depends on how much the network has learnt.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.workflows import toy_data as toy

from maskwright.core.events import Note
from maskwright.core.plan_file import read_plan
from maskwright.data.formats import ReadOptions
from maskwright.inference.predictor import Predictor
from maskwright.planning.cost import StepCost
from maskwright.tasks import edge_fit, edge_judge, label_fit
from maskwright.training.step import TrainingStep
from maskwright.workflows import plan
from maskwright.workflows.train import train
from maskwright.workflows.train_parts import fit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

    from maskwright.workflows.train_parts.training_run import TrainingRun

BUDGET = 60.0
IMAGES = 12


class Clock:
    """Seconds that pass only in a step, in the prediction of an image and in the fit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, untrained: float, trained: float, fitting: float) -> None:
        self.now, self.each = 1000.0, untrained
        blocks, step, fit = Predictor.blocks, TrainingStep.__call__, label_fit.fit_offsets

        def slow_blocks(predictor: Predictor, image: Any) -> Iterator[Any]:
            self.now += self.each
            return blocks(predictor, image)

        def slow_step(whole: TrainingStep, batch: Any, number: int, progress: float, rate: float) -> Any:
            self.now += 1.0
            self.each = untrained + (trained - untrained) * progress
            return step(whole, batch, number, progress, rate)

        def slow_fit(scores: Any, truth: Any, images: Any, deadline: float | None) -> Any:
            assert deadline is not None
            self.now = max(min(self.now + fitting, deadline), self.now)
            return fit(scores, truth, images, deadline)

        monkeypatch.setattr(Predictor, "blocks", slow_blocks)
        monkeypatch.setattr(TrainingStep, "__call__", slow_step)
        monkeypatch.setattr(label_fit, "fit_offsets", slow_fit)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.mark.parametrize(
    ("untrained", "trained", "fitting"),
    [(0.01, 0.2, 99.0), (0.2, 0.01, 0.0)],
    ids=["slower once trained, and a slow fit", "faster once trained"],
)
def test_all_images_are_scored_within_the_budget(
    untrained: float, trained: float, fitting: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy.write(tmp_path / "data", {"train": 8, "val": 2, "test": IMAGES})
    Clock(monkeypatch, untrained, trained, fitting)
    result = train(data, toy.request("train.validations=1", steps=None, budget=BUDGET), tmp_path / "run")
    assert result.scores is not None
    assert result.scores.images == IMAGES
    assert result.seconds <= BUDGET
    steps = json.loads((tmp_path / "run/metrics.json").read_text())["steps"]
    assert steps > (0.7 if trained > untrained else 0.82) * BUDGET, "no time is kept that nothing needs"


@pytest.mark.parametrize(("each", "rough"), [(2.0, True), (0.002, False)], ids=["slow matching", "fast matching"])
def test_edges_are_scored_within_the_budget_however_long_matching_takes(
    each: float, rough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`each`: seconds for a threshold. Two seconds are 198 for an image; a quick judge takes a twentieth of them."""
    data = toy.write(tmp_path / "data", {"train": 8, "val": 4, "test": IMAGES})
    clock, counts = Clock(monkeypatch, 0.01, 0.01, 0.0), edge_judge.edge_counts

    def slow(strength: Any, people: Any, thresholds: int, *, pool: Any = None, quick: bool = False) -> Any:
        clock.now += each * thresholds / (40 if quick else 1)
        return counts(strength, people, thresholds, quick=True)

    for module in (edge_judge, edge_fit):
        monkeypatch.setattr(module, "edge_counts", slow)
        monkeypatch.setattr(module, "workers", lambda: None)
    monkeypatch.setattr(edge_judge, "cores", lambda: 2)
    events: list[object] = []
    wanted = toy.request(
        "train.validations=1", steps=None, budget=BUDGET, task="edges", read=ReadOptions(between="classes")
    )
    result = train(data, wanted, tmp_path / "run", on_event=events.append)
    assert result.seconds <= BUDGET
    assert result.scores is not None
    assert result.scores.edges is not None
    assert len(result.scores.edges.thresholds) == (9 if rough else 99)
    assert result.scores.images == IMAGES
    said = " ".join(event.text for event in events if isinstance(event, Note))
    assert ("there was time for rough scores only: edges were matched at 9 thresholds instead of 99" in said) == rough
    assert ("rough scores only" in (tmp_path / "run/report.html").read_text(encoding="utf-8")) == rough
    assert "left out" not in said
    assert result.steps > 0.4 * BUDGET


@pytest.mark.parametrize(("step", "told"), [(0.25, True), (0.8, False)])
def test_a_training_that_the_budget_ends_early_says_so(
    step: float, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy.write(tmp_path / "data", {"train": 8, "val": 2, "test": 4})
    Clock(monkeypatch, 0.01, 0.01, 0.0)
    # A step of the training takes a second.
    monkeypatch.setattr(plan, "measured", lambda *_, **_named: StepCost(1e-9, step, 1.0))
    events: list[object] = []
    wanted = toy.request("train.validations=1", steps=None, budget=40.0)
    result = train(data, wanted, tmp_path / "run", on_event=events.append)
    planned = read_plan(tmp_path / "run/plan.yaml").train.steps
    said = [event.text for event in events if isinstance(event, Note) and "planned steps" in event.text]
    assert bool(said) == told
    if told:
        assert said[0].startswith(f"there was time for {result.steps} of {planned} planned steps (")
        assert "s are kept for scoring): the machine is slower than when the plan was made" in said[0]


@pytest.mark.parametrize("share", [0.001, 0.006, 0.011, 0.019, 0.04])
def test_estimates_take_a_few_percent_of_the_budget_whatever_an_image_takes(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy.write(tmp_path / "data", {"train": 8, "val": 2, "test": IMAGES})
    clock = Clock(monkeypatch, share * BUDGET, share * BUDGET, 0.0)
    taken: list[float] = []
    estimate = fit._evaluation_seconds

    def counted(training: TrainingRun, network: nn.Module) -> float:
        started = clock.now
        seconds = estimate(training, network)
        taken.append((clock.now - started) / BUDGET)
        return seconds

    monkeypatch.setattr(fit, "_evaluation_seconds", counted)
    train(data, toy.request("train.validations=1", steps=None, budget=BUDGET), tmp_path / "run")
    assert sum(taken) <= 0.045
    assert len(taken) == 5 if share == 0.001 else len(taken) < 5
    assert len(taken) > 1 or share == 0.04, "of an untrained network alone it would say little"
