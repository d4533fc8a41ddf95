"""A search in progress: its halves of the validation images, its rungs, and the race of the trials. Prints nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress, Stage
from maskwright.core.plan_file import overridden
from maskwright.inference.predictor import Predictor
from maskwright.tuning.halves import halves
from maskwright.tuning.proposals import proposal
from maskwright.tuning.rungs import Job, Rung, Standing, ladder
from maskwright.workflows.evaluate_parts import scoring
from maskwright.workflows.train_parts.fit import begun
from maskwright.workflows.tune_parts.candidates import candidate
from maskwright.workflows.tune_parts.crew import Outcome, Task
from maskwright.workflows.tune_parts.trial import Trial

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.plan import Plan
    from maskwright.core.records import Record
    from maskwright.tuning.space import Space
    from maskwright.workflows.train_parts.training_run import TrainingRun
    from maskwright.workflows.tune_parts.crew import Crew
    from maskwright.workflows.tune_parts.journal import Journal

FOLDER = "trials"
SHARE = 0.45
"""Of the budget, at most, for the search; the rest is for planning, for training the accepted plan, and for scoring."""
SCORING_SHARE = 0.015
"""Of the time of the search, for scoring one trial at one rung."""
FEWEST, MOST = 4, 32
"""Validation images that rank, if there are enough."""
LEAST_SECONDS = 10.0
LEAST_STEPS = 50
"""Below either of these, a score of a trial says nothing."""
WARMUP_SHARE = 0.2
"""Of the lowest rung, in which the rate rises from 0."""
START_SECONDS = 1.5
"""To read and to write files at each rung, besides what is measured."""


@dataclass(frozen=True)
class Search:
    """A search.

    Attributes:
        training: by the plan, trial zero; its folder holds that of the trials.
        space: of the choices.
        journal: what was done so far.
    """

    training: TrainingRun
    space: Space
    journal: Journal

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs, the lowest first; none if there is no time for a search."""
        return tuple(Rung(seconds, trials) for seconds, trials in self.journal.setup["rungs"])

    @property
    def standing(self) -> Standing:
        """What is known."""
        return Standing(self.rungs, self.journal.scores, self.training.task.headline.higher_is_better)

    def spent(self) -> float:
        """Return the seconds of the budget that are spent."""
        return time.monotonic() - self.training.budget.started

    def half(self, name: str) -> tuple[Record, ...]:
        """Return the validation images that rank (`ranking`) or confirm (`confirming`)."""
        chosen = set(self.journal.setup[name])
        return tuple(record for record in self.training.part("val") if record.id in chosen)

    def set_up(self, most_trials: int | None, crew: Crew) -> None:
        """Divide the validation images, measure what a score costs, and choose the rungs."""
        budget, plan = self.training.budget.seconds, self.training.plan
        assert budget is not None
        records = self.training.part("val")
        ranking, confirming = halves([(record.id, record.group) for record in records], plan.seed)
        each, start = self._costs(records)
        seconds = budget * SHARE - max(self.spent() - budget * 0.05, 0.0)
        most = int(min(max(SCORING_SHARE * seconds / max(2 * each, 1e-9), FEWEST), MOST))
        ranked = [record.id for record in records if record.id in ranking]
        chosen = [ranked[place] for place in np.unique(np.linspace(0, len(ranked) - 1, most).astype(int))]
        fixed = START_SECONDS + 2 * start + 2 * each * len(chosen) + crew.task_seconds
        step = budget * 0.8 / max(plan.train.steps, 1)
        least = max(LEAST_SECONDS, LEAST_STEPS * step)
        room = seconds - 2 * each * len(confirming) - crew.start_seconds
        most_trials = self.space.size if most_trials is None else min(most_trials, self.space.size)
        rungs = ladder(room, fixed, least, most_trials, crew.size) if confirming else ()
        self.journal.add(
            "setup",
            self.spent(),
            rungs=[list(rung) for rung in rungs],
            ranking=chosen,
            confirming=sorted(confirming),
            fixed=fixed,
            workers=crew.size,
        )

    def _costs(self, records: tuple[Record, ...]) -> tuple[float, float]:
        """Measure the seconds to predict a validation image, and to build a network."""
        started = time.monotonic()
        quiet = replace(self.training, on_event=lambda _event: None)
        segmenter = begun(quiet, resumed=False)
        start = time.monotonic() - started
        predictor = Predictor.of(segmenter, self.training.card(), self.training.fabric.device)
        dataset, quick = self.training.material.dataset, bool(self.training.task.rough)
        each = scoring.seconds_each(predictor, dataset, records, 5.0, quick=quick)
        return each, start

    def plan_of(self, number: int) -> Plan:
        """Return the plan of a trial, at a constant rate that can fall to zero at any time.

        Raises:
            MaskwrightError: the values contradict each other.
        """
        plan = candidate(self.training.plan, self.space, self.journal.choices[number], self.training.fingerprint)
        budget = plan.train.budget_seconds
        assert budget is not None
        first = self.rungs[0].seconds
        warmup = min(round(WARMUP_SHARE * first / budget, 5), plan.optim.warmup)
        changes = {"optim.schedule": "cooldown", "optim.warmup": warmup, "train.validations": 1}
        made = overridden(plan, (), changes)
        made.reasons["optim.schedule"] = "trials train at a constant rate, so that they can go on; it falls at the end"
        made.reasons["optim.warmup"] = f"a fifth of the first {first:.0f} s"
        made.reasons["train.validations"] = plan.reasons.get("train.validations", "")
        return made

    def trial(self, number: int) -> Trial:
        """Return a trial, which may have been trained already."""
        training = replace(self.training, plan=self.plan_of(number))
        return Trial(self._folder(number), training)

    def _folder(self, number: int) -> Path:
        return self.training.run / FOLDER / f"{number:03d}"

    def race(self, crew: Crew) -> None:
        """Train and score trials until the search is done, or until there is no time for the next one."""
        total = sum(rung.trials for rung in self.rungs)
        if total:
            words = ", ".join(f"{rung.trials} x {rung.seconds:.0f} s" for rung in self.rungs)
            self.training.on_event(Stage("search", f"{words}; the plan is trial 0 at each"))
        going: set[Job] = set()
        while True:
            while len(going) < crew.size and (job := self._next(going, crew.size)) is not None:
                if self._begun(job, crew):
                    going.add(job)
            if not going:
                return
            job, outcome = crew.finished()
            going.remove(job)
            self._note(job, outcome)
            self.training.on_event(Progress(len(self.journal.scores), total))

    def _next(self, going: set[Job], workers: int) -> Job | None:
        """Return the next job; None if there is none now, or no time for it."""
        left = (job for job in self.standing.open_jobs() if job not in going)
        job = next(left, None)
        return job if job is not None and self._in_time(job) and self._proposed(job.trial, workers) else None

    def _proposed(self, number: int, workers: int) -> bool:
        """Propose trials up to a number; False if there are no more choices, or not yet.

        While so many workers train, a proposal goes by the scores of the trials that they have behind them, and waits
        for these: so it does not depend on which of several trials ends first.
        """
        while len(self.journal.choices) <= number:
            known = [Job(trial, 0) for trial in range(len(self.journal.choices) - workers + 1)]
            if any(job not in self.journal.scores for job in known):
                return False
            scores = {job.trial: score for job in known if (score := self.journal.scores[job]) is not None}
            better = self.training.task.headline.higher_is_better
            made = proposal(self.space, self.training.plan.seed, self.journal.choices, scores, higher_is_better=better)
            if made is None:
                return False
            self.journal.add("proposed", self.spent(), choice=list(made), words=self.space.words(made))
        return True

    def _in_time(self, job: Job) -> bool:
        """Say whether a job will end before the search must end."""
        budget = self.training.budget.seconds
        assert budget is not None
        rung = self.rungs[job.rung]
        before = self.rungs[job.rung - 1].seconds if job.rung else 0.0
        needs = rung.seconds - before + rung.cooldown_seconds + self.journal.setup["fixed"]
        return self.spent() + needs <= budget * (SHARE + 0.1)

    def _begun(self, job: Job, crew: Crew) -> bool:
        """Have a trial brought to a rung; False if its values contradict each other, and it is out."""
        try:
            trial = self.trial(job.trial)
        except MaskwrightError as error:
            if job.trial == 0:
                raise
            self._note(job, Outcome(why=str(error)))
            return False
        crew.begin(Task(job, self.rungs[job.rung], trial, self.half("ranking")))
        return True

    def _note(self, job: Job, outcome: Outcome) -> None:
        """Write down what became of a trial. One that failed is out."""
        told = {"trial": job.trial, "rung": job.rung}
        if outcome.why:
            self.journal.add("failed", self.spent(), **told, why=outcome.why)
            self.training.on_event(Note(f"trial {job.trial} failed and is out: {outcome.why}"))
            return
        score, steps, taken = outcome.score, outcome.steps, outcome.taken
        self.journal.add("scored", self.spent(), **told, score=score, steps=steps, taken=taken)
        words = self.space.words(self.journal.choices[job.trial])
        self.training.on_event(Note(f"trial {job.trial} ({words}): {score:.4f} after {steps} steps, {taken:.0f} s"))
