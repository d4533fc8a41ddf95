"""Successive halving by time: how long each trial trains before it is scored, and how many go on.

Li et al. 2018, "Hyperband", section 2 (successive halving), with three changes. The resource is time and not steps,
since a plan that takes longer for a step must pay for it. Trials go on from where they were instead of starting again,
since they train at a constant rate; each score is that of a copy whose rate falls to zero (`cooldown`). And the plan,
trial zero, reaches every rung: it is what the others are compared with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

FACTOR = 3
"""Each rung is this many times as long as the one before, and has this share of its trials."""
COOLDOWN = 0.25
"""Time of the cooldown, as a share of the time that a trial has trained."""
WIDTHS = (729, 486, 324, 243, 162, 108, 81, 54, 36, 27, 18, 12, 9, 6, 4, 3, 2)
"""Numbers of trials at the lowest rung that are considered."""
WIDEST = 81
"""At most, for each worker."""


class Rung(NamedTuple):
    """One rung.

    Attributes:
        seconds: that a trial has trained in all when it is scored, without the cooldown.
        trials: that reach it, that of the plan included.
    """

    seconds: float
    trials: int

    @property
    def cooldown_seconds(self) -> float:
        """Time in which the rate of a copy falls to zero."""
        return self.seconds * COOLDOWN


class Job(NamedTuple):
    """A trial that shall reach a rung."""

    trial: int
    rung: int


def ladder(
    seconds: float, fixed: float, least: float, most_trials: int | None = None, workers: int = 1
) -> tuple[Rung, ...]:
    """Return the rungs of a search: as many trials as possible, if the lowest rung is still long enough.

    No worker is idle while others train, so more than a third of the trials may go on.

    Args:
        seconds: for the search.
        fixed: seconds that each trial takes at each rung besides its training: to start, to be scored.
        least: seconds of training below which a score says nothing.
        most_trials: limit on the trials, that of the plan included.
        workers: trials that are trained at a time.

    Returns:
        The rungs, the lowest first; none if there is no time to compare even one other trial with the plan.
    """
    for width in WIDTHS:
        if width > WIDEST * workers or (most_trials is not None and width > most_trials):
            continue
        counts = _counts(width)
        unit = _unit(counts, seconds, fixed, workers)
        if unit >= least:
            filled = [min(-(-count // workers) * workers, most_trials or math.inf) for count in counts]
            return tuple(Rung(unit * FACTOR**place, int(count)) for place, count in enumerate(filled))
    return ()


def cost(rungs: tuple[Rung, ...], fixed: float, workers: int = 1) -> float:
    """Return the seconds that a search takes; a rung begins when the one below is done."""
    total, before = 0.0, 0.0
    for rung in rungs:
        total += -(-rung.trials // workers) * (rung.seconds - before + rung.cooldown_seconds + fixed)
        before = rung.seconds
    return total


def _counts(width: int) -> list[int]:
    counts = [width]
    while counts[-1] > 2:
        counts.append(max(-(-counts[-1] // FACTOR), 2))
    return counts


def _unit(counts: list[int], seconds: float, fixed: float, workers: int) -> float:
    """Return the seconds of the lowest rung that use up all of the time."""
    units = tuple(Rung(float(FACTOR**place), count) for place, count in enumerate(counts))
    whole = cost(units, 0.0, workers)
    return (seconds - (cost(units, fixed, workers) - whole)) / whole


@dataclass(frozen=True)
class Standing:
    """What a search knows.

    Attributes:
        rungs: the lowest first.
        scores: job -> score; None for one that failed.
        higher_is_better: whether larger scores are better.
    """

    rungs: tuple[Rung, ...]
    scores: Mapping[Job, float | None]
    higher_is_better: bool = True

    def members(self, rung: int) -> list[int] | None:
        """Return the trials that reach a rung, the plan first; None as long as the rung below is not settled."""
        if not rung:
            return list(range(self.rungs[0].trials))
        below = self.members(rung - 1)
        if below is None or any(Job(trial, rung - 1) not in self.scores for trial in below):
            return None
        ranked = [trial for trial in self.ranked(rung - 1) if trial]
        return [0, *ranked[: self.rungs[rung].trials - 1]]

    def ranked(self, rung: int) -> list[int]:
        """Return the trials that have a score at a rung, the best first; of equal ones the earlier."""
        known = {job.trial: score for job, score in self.scores.items() if job.rung == rung and score is not None}
        sign = -1 if self.higher_is_better else 1
        return sorted(known, key=lambda trial: (sign * known[trial], trial))

    def open_jobs(self) -> list[Job]:
        """Return what can be done now, in the order to do it."""
        for rung in range(len(self.rungs)):
            members = self.members(rung)
            if members is None:
                return []
            jobs = [Job(trial, rung) for trial in members if Job(trial, rung) not in self.scores]
            if jobs:
                return jobs
        return []

    def leader(self) -> Job | None:
        """Return the best trial but the plan at the highest rung that both have reached; None if there is none."""
        for rung in reversed(range(len(self.rungs))):
            ranked = self.ranked(rung)
            others = [trial for trial in ranked if trial]
            if 0 in ranked and others:
                return Job(others[0], rung)
        return None
