"""The search for a better plan: what it leaves behind, how it goes on after a kill, and when it accepts."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan_file import read_plan
from maskwright.metrics.metric import Estimate
from maskwright.tuning.rungs import Job
from maskwright.workflows import tune as tuning
from maskwright.workflows.tune_parts import search as searching
from maskwright.workflows.tune_parts.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maskwright.training.loggers import Logger
    from maskwright.training.loop import Best
    from maskwright.training.schedule import Schedule
    from maskwright.workflows.train_parts.training_run import TrainingRun
    from maskwright.workflows.tune_parts.result import TuneResult
    from maskwright.workflows.tune_parts.trial import Trial

pytestmark = pytest.mark.usefixtures("quiet_machine")


COUNTS = {"train": 8, "val": 10, "test": 5}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("tune") / "data", COUNTS)


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Let rungs of a moment count, end soon, and let no measurement of a busy machine decide anything."""
    go_on = tuning.go_on
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "ladder", lambda *_: (searching.Rung(0.2, 3), searching.Rung(0.6, 2)))
        patch.setattr(searching.Search, "_in_time", lambda _search, _job: True)
        patch.setattr(tuning, "go_on", lambda trial, plan, run, _seconds, _reserved: go_on(trial, plan, run, 1.5, 1.0))
        yield


def request(*settings: str) -> mw.PlanRequest:
    return toy.request(*settings, steps=None, budget=300)


@pytest.fixture(scope="module")
def planned(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that was killed before it began."""
    out = tmp_path_factory.mktemp("planned") / "run"
    return tuning._fresh(data, request("optim.lr=0.02"), out, time.monotonic(), None, lambda _event: None)


@pytest.fixture(scope="module")
def raced(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Journal]:
    """A search whose second trial was killed while it trained, and that then ended before it settled on a plan.

    With its journal after the first kill.
    """
    run = tmp_path_factory.mktemp("raced") / "run"
    shutil.copytree(planned, run)
    train = searching.Trial.train

    def killed(trial: Trial, *arguments: object) -> int:
        if trial.folder.name == "001":
            raise KeyboardInterrupt
        return train(trial, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching.Trial, "train", killed)
        stopped(run)
        before = Journal(run / "trials")
        patch.setattr(searching.Trial, "train", train)
        patch.setattr(tuning, "_settle", end)
        stopped(run)
    return run, before


def end(*_: object) -> None:
    raise KeyboardInterrupt


def stopped(run: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        mw.tune(resume=run, device="cpu")


@pytest.fixture(scope="module")
def finished(raced: tuple[Path, Journal], tmp_path_factory: pytest.TempPathFactory) -> tuple[TuneResult, int]:
    """The search to its end, killed once more before its last training; with the steps expected of that."""
    run = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(raced[0], run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "fit", end)
        stopped(run)
    settled = Journal(run / "trials")
    fit, expected = tuning.fit, []

    def watched(training: TrainingRun, writers: list[Logger], planned: int) -> tuple[Best, Schedule]:
        expected.append(planned)
        return fit(training, writers, planned)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "fit", watched)
        result = mw.tune(resume=run, device="cpu")
    assert Journal(run / "trials").scores == settled.scores
    return result, expected[0]


def test_the_result_is_a_run_like_any_other(finished: tuple[TuneResult, int], data: Path, tmp_path: Path) -> None:
    result, steps = finished
    assert result.scores is not None
    assert [len(row.scores) for row in result.trials].count(2) == 2
    assert result.trials[0].words == "the plan"
    assert len(result.trials[0].scores) == 2
    assert result.gains is not None
    assert result.gains.trial > 0
    plan = read_plan(result.run / "plan.yaml")
    assert plan.optim.lr == 0.02  # what is set is not changed
    assert plan.optim.schedule == "cooldown"
    told = json.loads((result.run / "tune.json").read_text())
    assert told["gains"]["test"] is not None
    assert told["accepted"] is result.accepted
    assert "he search tried 3 plans" in (result.run / "report.html").read_text()
    assert steps < plan.train.steps / 10  # which are those of a training in the whole budget
    again = mw.evaluate(result.run, data, out=tmp_path / "again").scores
    assert again.images == COUNTS["test"]
    assert again.score.value is not None
    halves = Journal(result.run / "trials").setup
    assert not set(halves["ranking"]) & set(halves["confirming"])


def test_killed_while_it_races_it_goes_on(raced: tuple[Path, Journal]) -> None:
    run, before = raced
    assert set(before.scores) == {Job(0, 0)}
    after = Journal(run / "trials")
    assert after.choices[: len(before.choices)] == before.choices
    assert after.scores[Job(0, 0)] == before.scores[Job(0, 0)]
    assert len(after.scores) == 5


def test_train_does_not_go_on_with_a_search(raced: tuple[Path, Journal]) -> None:
    run, _ = raced
    with pytest.raises(MaskwrightError, match=f"go on with `maskwright tune --resume {run}`"):
        mw.train(resume=run, device="cpu")
    assert not (run / "checkpoint").exists()


@pytest.mark.parametrize(("low", "accepted"), [(0.01, True), (0.0, False), (-0.01, False), (None, False)])
def test_a_trial_is_accepted_only_if_its_bound_is_above_zero(
    raced: tuple[Path, Journal],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    low: float | None,
    accepted: bool,
) -> None:
    shutil.copytree(raced[0], tmp_path / "run")

    def gain(*_: object, one_sided: bool = False) -> Estimate:
        return Estimate(0.02, low, None if low is None else 0.03) if one_sided else Estimate(0.5, 0.4, 0.6)

    plans = []

    def decided(search: searching.Search) -> object:
        settled = search.journal.settled
        assert settled is not None
        plans.append(tuning._final_plan(search, settled["trial"]))
        return tuning._result(search)

    monkeypatch.setattr(tuning, "_trained", decided)
    monkeypatch.setattr(tuning, "difference", gain)
    result = mw.tune(resume=tmp_path / "run", device="cpu")
    assert result.accepted is accepted
    words = result.sentence()
    assert words.startswith("accepted" if accepted else "the plan is kept")
    assert any("chosen by the search" in reason for reason in plans[0].reasons.values()) is accepted


def test_a_trial_that_fails_is_out(planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(planned, tmp_path / "run")
    train = searching.Trial.train

    def fails(trial: Trial, *arguments: object) -> int:
        if trial.folder.name == "001":
            raise MaskwrightError("the loss became nan")
        return train(trial, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(searching.Trial, "train", fails)
    monkeypatch.setattr(tuning, "_trained", tuning._result)
    result = mw.tune(resume=tmp_path / "run", device="cpu")
    assert result.trials[1].scores == (None,)
    assert result.trials[1].why == "the loss became nan"
    assert result.gains is not None
    assert result.gains.trial == 2


def test_without_time_for_a_search_the_plan_is_trained(
    planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(planned, tmp_path / "run")
    monkeypatch.setattr(searching, "ladder", lambda *_: ())
    plans = []

    def decided(search: searching.Search) -> object:
        plans.append(tuning._final_plan(search, 0))
        return tuning._result(search)

    monkeypatch.setattr(tuning, "_trained", decided)
    result = mw.tune(resume=tmp_path / "run", device="cpu")
    assert result.gains is None
    assert "the plan is kept" in result.sentence()
    assert plans == [read_plan(result.run / "plan.yaml")]
    assert plans[0].optim.schedule == "cosine"


def test_what_cannot_be_searched_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match="give a `budget` instead of a number of steps"):
        mw.tune(data, toy.request(steps=4), out=tmp_path / "run")
    with pytest.raises(MaskwrightError, match="`trials` is 1, and it must be 2 or more"):
        mw.tune(data, request(), out=tmp_path / "run", trials=1)
    with pytest.raises(MaskwrightError, match="holds no search to resume"):
        mw.tune(resume=tmp_path)
