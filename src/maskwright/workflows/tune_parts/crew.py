"""Who brings the trials of a search to their rungs. This process does it one after the other; knows no cluster."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from maskwright.core.records import Record
    from maskwright.tuning.rungs import Job, Rung
    from maskwright.workflows.tune_parts.trial import Trial


class Task(NamedTuple):
    """A trial that shall reach a rung, and be scored there.

    Attributes:
        job: numbers of the trial and of the rung.
        rung: how long it trains.
        trial: that is trained.
        records: validation images that rank.
    """

    job: Job
    rung: Rung
    trial: Trial
    records: tuple[Record, ...]


class Outcome(NamedTuple):
    """What became of a trial at a rung.

    Attributes:
        score: on the validation images that rank; None if the trial failed.
        steps: that it has made.
        taken: seconds.
        why: it failed, or an empty text.
        notes: what was said about the data meanwhile.
    """

    score: float | None = None
    steps: int = 0
    taken: float = 0.0
    why: str = ""
    notes: tuple[str, ...] = ()


class Crew(Protocol):
    """Who trains trials.

    Attributes:
        size: trials at a time.
        start_seconds: until the first trial begins.
        task_seconds: that each task takes longer than in this process.
    """

    size: int
    start_seconds: float
    task_seconds: float

    def begin(self, task: Task) -> None:
        """Take on a task; at most `size` of them without a `finished`."""

    def finished(self) -> tuple[Job, Outcome]:
        """Wait until a task is done.

        Raises:
            MaskwrightError: the plan's own trial failed, or nobody is left to do the work.
        """


class Alone:
    """This process."""

    size, start_seconds, task_seconds = 1, 0.0, 0.0

    def __init__(self) -> None:
        self._tasks: deque[Task] = deque()

    def begin(self, task: Task) -> None:
        """Remember it."""
        self._tasks.append(task)

    def finished(self) -> tuple[Job, Outcome]:
        """Do the oldest task."""
        task = self._tasks.popleft()
        return task.job, brought(task)


def brought(task: Task) -> Outcome:
    """Bring a trial to a rung and score it. A trial may fail; the plan must not.

    Raises:
        MaskwrightError: the plan failed. Also a RuntimeError of PyTorch, which has no memory left, for example.
    """
    began = time.monotonic()
    trial, rung = task.trial, task.job.rung
    try:
        steps = trial.train(task.rung, rung)
        trial.fitted(rung, task.records)
        score = trial.scored(rung, task.records, "ranking").score.value
        if score is None:
            raise MaskwrightError("the ranking images say nothing about the score")
    except (MaskwrightError, RuntimeError) as error:
        if task.job.trial == 0:
            raise
        return Outcome(why=str(error))
    return Outcome(score, steps, round(time.monotonic() - began, 1))
