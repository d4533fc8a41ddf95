"""The search for a better plan: what it leaves behind, how it goes on after a kill, and when it accepts."""

from __future__ import annotations

import json
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
    from pathlib import Path

    from maskwright.workflows.tune_parts.trial import Trial

pytestmark = pytest.mark.usefixtures("quiet_machine")


COUNTS = {"train": 8, "val": 10, "test": 5}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("tune") / "data", COUNTS)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rungs of a moment count, end soon, and let no measurement of a busy machine decide anything."""
    monkeypatch.setattr(searching, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(searching, "LEAST_STEPS", 0)
    monkeypatch.setattr(searching, "ladder", lambda *_: (searching.Rung(0.3, 3), searching.Rung(0.9, 2)))
    monkeypatch.setattr(searching.Search, "_in_time", lambda _search, _job: True)
    go_on = tuning.go_on
    monkeypatch.setattr(
        tuning, "go_on", lambda trial, plan, run, _seconds, _reserved: go_on(trial, plan, run, 2.0, 1.0)
    )


def request(*settings: str) -> mw.PlanRequest:
    return toy.request(*settings, steps=None, budget=300)


def test_the_result_is_a_run_like_any_other(data: Path, tmp_path: Path) -> None:
    result = mw.tune(data, request("optim.lr=0.02"), out=tmp_path / "run")
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
    again = mw.evaluate(result.run, data, out=tmp_path / "again").scores
    assert again.images == COUNTS["test"]
    assert again.score.value is not None
    halves = Journal(result.run / "trials").setup
    assert not set(halves["ranking"]) & set(halves["confirming"])


def test_killed_anywhere_it_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second trial is killed while it trains, and then the training at the end before its first step."""
    run = tmp_path / "run"
    train = searching.Trial.train

    def killed(trial: Trial, *arguments: object) -> int:
        if trial.folder.name == "001":
            raise KeyboardInterrupt
        return train(trial, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(searching.Trial, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        mw.tune(data, request(), out=run)
    before = Journal(run / "trials")
    assert set(before.scores) == {Job(0, 0)}
    monkeypatch.setattr(searching.Trial, "train", train)

    def no_fit(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "fit", no_fit)
        with pytest.raises(KeyboardInterrupt):
            mw.tune(resume=run, device="cpu")
    settled = Journal(run / "trials")
    assert settled.choices[: len(before.choices)] == before.choices
    assert settled.scores[Job(0, 0)] == before.scores[Job(0, 0)]
    assert settled.settled is not None
    result = mw.tune(resume=run, device="cpu")
    assert result.scores is not None
    assert Journal(run / "trials").scores == settled.scores


@pytest.mark.parametrize(("low", "accepted"), [(0.01, True), (0.0, False), (-0.01, False), (None, False)])
def test_a_trial_is_accepted_only_if_its_bound_is_above_zero(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, low: float | None, accepted: bool
) -> None:
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
    result = mw.tune(data, request(), out=tmp_path / "run", trials=2)
    assert result.accepted is accepted
    words = result.sentence()
    assert words.startswith("accepted" if accepted else "the plan is kept")
    assert any("chosen by the search" in reason for reason in plans[0].reasons.values()) is accepted


def test_a_trial_that_fails_is_out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = searching.Trial.train

    def fails(trial: Trial, *arguments: object) -> int:
        if trial.folder.name == "001":
            raise MaskwrightError("the loss became nan")
        return train(trial, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(searching.Trial, "train", fails)
    monkeypatch.setattr(tuning, "_trained", tuning._result)
    result = mw.tune(data, request(), out=tmp_path / "run")
    assert result.trials[1].scores == (None,)
    assert result.trials[1].why == "the loss became nan"
    assert result.gains is not None
    assert result.gains.trial == 2


def test_without_time_for_a_search_the_plan_is_trained(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "ladder", lambda *_: ())
    plans = []

    def decided(search: searching.Search) -> object:
        plans.append(tuning._final_plan(search, 0))
        return tuning._result(search)

    monkeypatch.setattr(tuning, "_trained", decided)
    result = mw.tune(data, request(), out=tmp_path / "run")
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
