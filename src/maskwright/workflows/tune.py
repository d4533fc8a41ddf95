"""Tune: search for a better plan within a time, accept it if it is shown to be one, and train on. Prints nothing."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from maskwright.core.cluster import check_cluster, ray_module
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress, Stage
from maskwright.core.files import write_text
from maskwright.core.plan_file import overridden, write_plan
from maskwright.core.time_budget import TimeBudget
from maskwright.metrics.metric import Estimate
from maskwright.metrics.paired import difference
from maskwright.models.device import resolve_device
from maskwright.planning.task_rules import rules_of
from maskwright.training import checkpoint, loggers
from maskwright.training.processes import together
from maskwright.training.schedule import Schedule
from maskwright.workflows.plan import make_plan
from maskwright.workflows.plan_parts.requested import requested_plan
from maskwright.workflows.runs import run_folder
from maskwright.workflows.runs.finished import SEARCH, is_saved, is_search, saved
from maskwright.workflows.runs.run_folder import Material
from maskwright.workflows.train_parts.finalize import finish
from maskwright.workflows.train_parts.fit import Reserve, fit
from maskwright.workflows.train_parts.network import last_network
from maskwright.workflows.train_parts.training_run import TrainingRun
from maskwright.workflows.tune_parts.candidates import space_of
from maskwright.workflows.tune_parts.cluster import crew_of
from maskwright.workflows.tune_parts.journal import Journal
from maskwright.workflows.tune_parts.result import Gains, TrialRow, TuneResult
from maskwright.workflows.tune_parts.search import FOLDER, Search
from maskwright.workflows.tune_parts.trial import go_on

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import OnEvent
    from maskwright.core.plan import Plan
    from maskwright.workflows.request import PlanRequest

DOCUMENT = "tune.json"
TEST_SHARE = 0.03
"""Of the budget, at most, to measure the gain on test images."""


def tune(
    root: Path | None,
    request: PlanRequest,
    out: Path | None = None,
    *,
    trials: int | None = None,
    resume: Path | None = None,
    on: str | None = None,
    on_event: OnEvent | None = None,
) -> TuneResult:
    """Search for a plan that trains a better model than the planned one, and train by it.

    Args:
        root: folder (or file) of images and masks; with `resume`, only needed if the data was moved.
        request: what the user requests; what it sets is not changed. It needs a budget.
        out: the run folder; None for a new one below `runs/`.
        trials: most plans to try, the planned one included; None for as many as the time allows.
        resume: a run folder of a search that was interrupted.
        on: `ray` to train the trials on a Ray cluster; None for this process.
        on_event: called with progress and notes.

    Raises:
        MaskwrightError: the data cannot be trained on, there is no budget or no validation image, the folder cannot
            be written, or there is no such cluster.
    """
    check_cluster(on)
    if on is not None:
        ray_module()  # before anything is planned
    started = time.monotonic() if request.started is None else request.started
    report = on_event or (lambda _event: None)
    if resume is None:
        run = _fresh(root, request, out, started, trials, report)
    else:
        run = resume
        if not is_search(run):
            raise MaskwrightError(f"{run} holds no search to resume: start one with `out` {run}")
    with run_folder.locked(run):
        search = _opened(run, root, request, started, report)
        if search.journal.settled is None:
            with crew_of(on, search.training) as crew:
                if not search.journal.setup:
                    search.set_up(run_folder.read_json(run / SEARCH)["trials"], crew)
                search.race(crew)
            _settle(search)
        return _trained(search)


def _fresh(
    root: Path | None, request: PlanRequest, out: Path | None, started: float, trials: int | None, on_event: OnEvent
) -> Path:
    """Plan, and begin a run with the plan in it.

    Raises:
        MaskwrightError: see `tune`.
    """
    if root is None:
        raise MaskwrightError("a search needs a folder of images and masks, or a run to `resume`")
    if trials is not None and trials < 2:
        raise MaskwrightError(f"`trials` is {trials}, and it must be 2 or more: the plan is one of them", "trials")
    request = replace(request, started=started)
    pinned, pins = requested_plan(request)
    if pinned.train.budget_seconds is None:
        raise MaskwrightError("a search divides a time: give a `budget` instead of a number of steps or epochs")
    with run_folder.claimed(out, root) as run:
        on_event(Stage("plan", f"reading {root}"))
        made = make_plan(root, request, lambda done, total: on_event(Progress(done, total)))
        if not rules_of(made.plan).steps:
            raise MaskwrightError(f"{made.plan.model.name} is not trained by steps, so there is nothing to search for")
        if not made.dataset.part("val"):
            raise MaskwrightError("there is no validation image to compare plans by: set `split.val` higher")
        presence = {record.id: made.survey.present(record.id) for record in made.dataset.records}
        run_folder.begin(run, made.plan, made.fingerprint, Material(made.dataset, presence), request.read)
        start = {"plan": made.plan.model_dump(mode="json"), "pins": sorted(pins), "trials": trials}
        write_text(run / SEARCH, json.dumps(start) + "\n")
    return run


def _opened(run: Path, root: Path | None, request: PlanRequest, started: float, on_event: OnEvent) -> Search:
    """Read a search back; its budget goes on from where its journal ends."""
    plan, material = run_folder.reopen(run, None if root is None else root.resolve())  # other machines see whole paths
    start = run_folder.read_json(run / SEARCH)
    plan = type(plan).model_validate(start["plan"])
    journal = Journal(run / FOLDER)
    fabric = together(resolve_device(request.device), plan.train.precision)
    fabric.launch()
    budget = TimeBudget.of(plan.train.budget_seconds, started - journal.seconds)
    training = TrainingRun(run, plan, material, fabric, budget, on_event)
    space = space_of(plan, frozenset(start["pins"]), run_folder.read_fingerprint(run))
    return Search(training, space, journal)


def _settle(search: Search) -> None:
    """Compare the best trial with the plan on images that did not rank, and write down which one is trained on."""
    leader = search.standing.leader()
    if leader is None:
        search.journal.add("settled", search.spent(), trial=0, gains=None)
        return
    metric = search.training.task.headline
    plan, best = search.trial(0), search.trial(leader.trial)
    ranking = difference(plan.stored(leader.rung, "ranking"), best.stored(leader.rung, "ranking"), metric.key)
    half = search.half("confirming")
    before, after = (trial.scored(leader.rung, half, "confirming") for trial in (plan, best))
    confirming = difference(before, after, metric.key, one_sided=True)
    bound = confirming.low if metric.higher_is_better else confirming.high
    better = bound is not None and (bound > 0 if metric.higher_is_better else bound < 0)
    gains = {
        "trial": leader.trial,
        "ranking": _plain(ranking),
        "confirming": _plain(confirming),
        "test": _plain(_test_gain(search, leader.trial, leader.rung)),
    }
    search.journal.add("settled", search.spent(), trial=leader.trial if better else 0, gains=gains)


def _test_gain(search: Search, number: int, rung: int) -> Estimate | None:
    """Measure the gain on test images, which decide nothing; on as many as there is time for."""
    test = search.training.part("test")
    budget = search.training.budget.seconds
    if not test or budget is None:
        return None
    first = search.trial(0).scored(rung, test, "test", time.monotonic() + TEST_SHARE * budget / 2)
    names = {entry.id for entry in first.per_image}
    second = search.trial(number).scored(rung, [record for record in test if record.id in names], "test")
    return difference(first, second, search.training.task.headline.key)


def _plain(found: Estimate | None) -> list[float | None] | None:
    return None if found is None else [found.value, found.low, found.high]


def _trained(search: Search) -> TuneResult:
    """Train the plan that was settled on for the rest of the time, finish the run, and say what was found."""
    settled = search.journal.settled
    assert settled is not None
    number, run, report = settled["trial"], search.training.run, search.training.on_event
    plan = _final_plan(search, number)
    training = replace(search.training, plan=plan)
    writers = loggers.create((), run, plan.model_dump())
    try:
        if is_saved(run):
            best, schedule = saved(run, training.task.headline)
        else:
            write_plan(run / run_folder.PLAN, plan)
            if search.journal.scores and not any(run.glob(f"{checkpoint.FOLDER}/*")):
                _thaw(search, training, number)
            report(Stage("train", f"{search.space.words(search.journal.choices[number])}" if number else "the plan"))
            best, schedule = fit(training, writers, _planned(run))
    finally:
        for writer in writers:
            writer.close()
    result = _result(search)
    report(Note(result.sentence()))
    scores = finish(training, best, schedule, _notes(result))
    result = replace(result, scores=scores, seconds=search.spent())
    write_text(run / DOCUMENT, json.dumps(result.to_json(), indent=1) + "\n")
    return result


def _thaw(search: Search, training: TrainingRun, number: int) -> None:
    """Let the training go on from where the trial is, in what is left of the time."""
    trial = search.trial(number)
    deadline = training.budget.deadline
    assert deadline is not None
    point = checkpoint.load(trial.folder)
    assert point is not None
    network, _ = last_network(training.plan, training.groups, point.part("ema"), 1)
    reserved = Reserve(training).estimate(network.to(training.fabric.device).eval())
    go_on(trial, training.plan, training.run, deadline - time.monotonic(), reserved)


def _planned(run: Path) -> int | None:
    """Return the steps that a training which goes on from a trial will make, at the trial's pace; None without one.

    The steps of the plan are those of a training in the whole budget.
    """
    point = checkpoint.load(run)
    return None if point is None else Schedule.from_json(point.state["schedule"]).total


def _final_plan(search: Search, number: int) -> Plan:
    """Return the plan of a trial with the validations of a whole training; the plan itself if nothing was tried."""
    if not search.journal.scores:
        return search.training.plan
    own = search.training.plan
    made = overridden(search.plan_of(number), (), {"train.validations": own.train.validations})
    made.reasons["train.validations"] = own.reasons.get("train.validations", "as planned")
    return made


def _result(search: Search) -> TuneResult:
    journal, settled = search.journal, search.journal.settled
    assert settled is not None
    rows = []
    for number, choice in enumerate(journal.choices):
        entries = [(job, entry) for job, entry in journal.entries.items() if job.trial == number]
        rows.append(
            TrialRow(
                number,
                search.space.words(choice),
                tuple(journal.scores[job] for job, _ in entries),
                max((entry.get("steps", 0) for _, entry in entries), default=0),
                next((entry["why"] for _, entry in entries if "why" in entry), ""),
            )
        )
    gains = None
    if settled["gains"] is not None:
        plain = settled["gains"]
        found: dict[str, Any] = {
            name: None if plain[name] is None else Estimate(*plain[name]) for name in ("ranking", "confirming", "test")
        }
        gains = Gains(plain["trial"], search.space.words(journal.choices[plain["trial"]]), **found)
    return TuneResult(
        run=search.training.run,
        scores=None,
        metric=search.training.task.headline,
        accepted=settled["trial"] != 0,
        gains=gains,
        trials=tuple(rows),
        rungs=tuple(rung.seconds for rung in search.rungs),
        images=(len(journal.setup["ranking"]), len(journal.setup["confirming"])),
        seconds=search.spent(),
    )


def _notes(result: TuneResult) -> list[str]:
    """Return what the report says about the search."""
    from maskwright.report.compared import estimate

    notes = [f"the search tried {len(result.trials)} plans; {result.sentence()}"]
    if result.gains is not None:
        each = ((name, getattr(result.gains, name)) for name in ("ranking", "confirming", "test"))
        parts = [f"{estimate(result.metric, found, signed=True)} on the {name} images" for name, found in each if found]
        notes.append(
            f"gain in {result.metric.label} of the best trial over the plan, after equal times: {', '.join(parts)}; "
            "the first is too large, since these images chose the trial"
        )
    return notes
