"""The trials of a search on a Ray cluster, whose machines see the run folder and the images at the same paths.

A trial at a rung is a task in a process of its own. All that it leaves behind is in the trial's folder, so a trial
whose process was lost goes on elsewhere from its last checkpoint. Only the process of the search writes the journal.
"""

from __future__ import annotations

import contextlib
import os
import platform
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import cv2
import torch

from maskwright.core.cluster import connected, lost
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note
from maskwright.core.resources import cores
from maskwright.core.text import plural
from maskwright.core.time_budget import TimeBudget
from maskwright.training.processes import alone
from maskwright.workflows.train_parts.training_run import TrainingRun
from maskwright.workflows.tune_parts.crew import Alone, Outcome, Task, brought
from maskwright.workflows.tune_parts.trial import Room, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from maskwright.core.plan import Plan
    from maskwright.core.records import Record
    from maskwright.tuning.rungs import Job, Rung
    from maskwright.workflows.runs.run_folder import Material
    from maskwright.workflows.tune_parts.crew import Crew

PROCESS_SECONDS = 10.0
"""Until a new process has imported PyTorch. Ray uses processes again, but not those with a GPU."""
LOOK_SECONDS = 10.0
"""How often to look whether there are machines left."""


@contextlib.contextmanager
def crew_of(on: str | None, training: TrainingRun) -> Iterator[Crew]:
    """Yield this process, or connect to a cluster.

    Raises:
        MaskwrightError: Ray is not installed, or no machine of the cluster can train a trial.
    """
    if on is None:
        yield Alone()
        return
    with connected() as ray, Cluster(ray, training) as cluster:
        yield cluster


class Share(NamedTuple):
    """What each trial gets of a cluster: all get the same, since they are compared by time.

    Attributes:
        cores: of one machine.
        gpus: 0 or 1.
        workers: trials at a time.
        beside: trials at a time on one machine, at most.
    """

    cores: int
    gpus: int
    workers: int
    beside: int


def share(machines: Sequence[Mapping[str, float]], most: int, *, gpu: bool) -> Share:
    """Divide a cluster.

    Args:
        machines: "CPU" and "GPU" of each.
        most: cores that a training on this machine uses: a trial gets as many, if a machine has them.
        gpu: a trial gets a GPU, and an equal part of the cores of its machine.

    Raises:
        MaskwrightError: no machine has a core, or a GPU, for a trial.
    """
    pairs = [(int(machine.get("CPU", 0)), int(machine.get("GPU", 0)) if gpu else 0) for machine in machines]
    if gpu:
        each = [cpus // gpus for cpus, gpus in pairs if gpus]
        have = min([most, *(count for count in each if count)]) if any(each) else 0
    else:
        have = min(most, max((cpus for cpus, _ in pairs), default=0))
    if not have:
        raise MaskwrightError(
            f"no machine of the cluster has {'a core and a GPU' if gpu else 'a core'} for a trial: add one, or search "
            "without `on`"
        )
    workers = [min(cpus // have, gpus) if gpu else cpus // have for cpus, gpus in pairs]
    return Share(have, int(gpu), sum(workers), max(workers))


class _Sent(NamedTuple):
    task: Task
    again: bool


class Cluster:
    """The processes of a Ray cluster, which see the run folder and the images at the same paths."""

    def __init__(self, ray: Any, training: TrainingRun) -> None:
        self._ray, self._training = ray, training
        self._kind = training.fabric.device.type
        limited = "OMP_NUM_THREADS" in os.environ
        most = torch.get_num_threads() if limited else cores()
        self._share = share(self._machines(), most, gpu=self._kind == "cuda")
        self.size, self.start_seconds = self._share.workers, PROCESS_SECONDS
        self.task_seconds = PROCESS_SECONDS * self._share.gpus
        # Ray's own repetitions would go unnoticed.
        options = {"num_cpus": self._share.cores, "num_gpus": self._share.gpus, "max_retries": 0}
        self._run = ray.remote(**options)(_there)
        room = Room(min(torch.get_num_threads(), self._share.cores), self._share.beside)
        self._place = ray.put(
            Place(training.run.resolve(), training.material, training.budget.seconds, self._kind, room)
        )
        self._going: dict[Any, _Sent] = {}

    def _machines(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def __enter__(self) -> Self:
        each = plural(self._share.cores, "core") + (" and a GPU" if self._share.gpus else "")
        self._training.on_event(Note(f"the cluster trains {plural(self.size, 'trial')} at a time, each with {each}"))
        return self

    def __exit__(self, *_: object) -> None:
        """End what is still going on, so that nobody writes to the folder any more."""
        for reference in self._going:
            self._ray.cancel(reference, force=True)
        if self._going:
            self._ray.wait(list(self._going), num_returns=len(self._going), timeout=LOOK_SECONDS)

    def begin(self, task: Task) -> None:
        """Hand it to the cluster."""
        self._send(_Sent(task, again=False))

    def _send(self, sent: _Sent) -> None:
        task = sent.task
        reference = self._run.remote(
            self._place, task.job, task.rung, task.trial.folder.resolve(), task.trial.training.plan, task.records
        )
        self._going[reference] = sent

    def finished(self) -> tuple[Job, Outcome]:
        """Wait for a task; one whose process was lost is tried once more.

        Raises:
            MaskwrightError: see `Crew`.
        """
        while True:
            for reference in self._ray.wait(list(self._going), timeout=LOOK_SECONDS)[0]:
                sent = self._going.pop(reference)
                outcome = self._outcome(reference, sent)
                if outcome is not None:
                    return sent.task.job, outcome
                self._send(_Sent(sent.task, again=True))
            self._check()

    def _check(self) -> None:
        """Stop if the machines are lost that a trial needs; otherwise Ray would wait for new ones."""
        cpus, gpus = self._share.cores, self._share.gpus
        if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in self._machines()):
            run = self._training.run
            raise MaskwrightError(
                "the cluster has lost all machines that could train a trial: when they are back, "
                f"`maskwright tune --resume {run} --on ray` goes on; without `on` this machine goes on alone"
            )

    def _outcome(self, reference: Any, sent: _Sent) -> Outcome | None:
        """Return what became of a task; None if its process was lost for the first time.

        Raises:
            MaskwrightError: see `Crew`.
        """
        number = sent.task.job.trial
        try:
            found: Outcome = self._ray.get(reference)
        except lost(self._ray) as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            if not sent.again:
                self._training.on_event(
                    Note(f"the process of trial {number} was lost; it goes on elsewhere from its last checkpoint")
                )
                return None
            why = f"its process was lost twice, perhaps for want of memory ({first})"
            if number == 0:
                raise MaskwrightError(
                    f"trial 0 is the plan, and {why}: `maskwright tune --resume {self._training.run}` goes on"
                ) from None
            return Outcome(why=why)
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, MaskwrightError) else error) from None
        for sentence in found.notes:
            self._training.on_event(Note(sentence))
        return found


class Place(NamedTuple):
    """What all trials share, in whatever process they are.

    Attributes:
        run: the run folder, an absolute path.
        material: data set with splits, with absolute paths.
        budget: seconds of the whole search.
        device: cpu, cuda or mps.
        room: that each has on its machine.
    """

    run: Path
    material: Material
    budget: float | None
    device: str
    room: Room


def _there(place: Place, job: Job, rung: Rung, folder: Path, plan: Plan, records: tuple[Record, ...]) -> Outcome:
    """Bring a trial to a rung in a process of the cluster.

    Raises:
        MaskwrightError: the plan failed, or the process does not see the files.
    """
    for path in (place.run, place.material.dataset.root):
        if not path.exists():
            raise MaskwrightError(
                f"{platform.node()} does not see {path}: the machines of a cluster must see the data and `out` at the "
                "same paths"
            )
    torch.set_num_threads(place.room.threads)
    cv2.setNumThreads(place.room.threads)
    fabric = alone(torch.device(place.device), plan.train.precision)
    fabric.launch()
    notes: list[str] = []

    def note(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    training = TrainingRun(place.run, plan, place.material, fabric, TimeBudget.of(place.budget), note)
    outcome = brought(Task(job, rung, Trial(folder, training, place.room), records))
    return outcome._replace(notes=tuple(notes))
