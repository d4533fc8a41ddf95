"""A search on a Ray cluster: it finds what one process finds, also if a machine is lost and the search interrupted."""

from __future__ import annotations

import random
import shutil
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress
from maskwright.core.plan import Plan
from maskwright.core.plan_file import overridden
from maskwright.training import checkpoint, loop
from maskwright.tuning.rungs import Job, Rung
from maskwright.tuning.space import Dimension, Option, Space
from maskwright.workflows import tune as tuning
from maskwright.workflows.train_parts import fit as fitting
from maskwright.workflows.train_parts.training_run import TrainingRun
from maskwright.workflows.tune_parts import cluster as clustering
from maskwright.workflows.tune_parts import search as searching
from maskwright.workflows.tune_parts.cluster import Cluster, Share, share
from maskwright.workflows.tune_parts.crew import Outcome, Task
from maskwright.workflows.tune_parts.journal import NAME, Journal
from maskwright.workflows.tune_parts.search import Search
from maskwright.workflows.tune_parts.trial import Room, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from maskwright.core.events import Event, OnEvent
    from maskwright.workflows.tune_parts.result import TuneResult

pytestmark = pytest.mark.usefixtures("quiet_machine")

RUNGS = (Rung(1.0, 3), Rung(3.0, 2))
SETTLE, GO_ON = tuning._settle, tuning.go_on  # which a fixture replaces
SPACE = Space(
    tuple(Dimension(f"d{k}", (Option(f"{k}", {f"k.{k}": 1}), Option(f"{k}b", {f"k.{k}": 2}))) for k in range(6))
)


# ---------------------------------------------------------------- what each trial gets


@pytest.mark.parametrize(
    ("machines", "most", "gpu", "found"),
    [
        ([(8, 0)], 8, False, Share(8, 0, 1, 1)),
        ([(8, 0), (8, 2), (4, 0)], 4, False, Share(4, 0, 5, 2)),
        ([(8, 0), (4, 0)], 8, False, Share(8, 0, 1, 1)),
        ([(0, 0), (2, 0), (4, 0)], 16, False, Share(4, 0, 1, 1)),
        ([(16, 4), (64, 8), (32, 0)], 16, True, Share(4, 1, 12, 8)),
        ([(16, 4)], 2, True, Share(2, 1, 4, 4)),
        ([(2, 4), (8, 1)], 8, True, Share(8, 1, 1, 1)),
    ],
)
def test_every_trial_gets_the_same(machines: list[tuple[int, int]], most: int, gpu: bool, found: Share) -> None:
    assert share([{"CPU": cpus, "GPU": gpus} for cpus, gpus in machines], most, gpu=gpu) == found


@pytest.mark.parametrize(("machine", "gpu"), [({"CPU": 8.0}, True), ({"GPU": 1.0}, True), ({"memory": 1e9}, False)])
def test_a_cluster_without_room_for_a_trial(machine: dict[str, float], gpu: bool) -> None:
    with pytest.raises(MaskwrightError, match="no machine of the cluster has a core"):
        share([machine], 4, gpu=gpu)


def test_what_is_missing_is_said_before_anything_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MaskwrightError, match="the only cluster known is ray"):
        mw.tune(tmp_path, out=tmp_path / "run", on="spark", budget="1h")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MaskwrightError, match=r'ray is not installed: pip install "maskwright\[ray\]"'):
        mw.tune(tmp_path, out=tmp_path / "run", on="ray", budget="1h")
    assert not (tmp_path / "run").exists()


def test_trials_on_one_machine_share_its_cores_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part: Any = SimpleNamespace()
    training = TrainingRun(tmp_path, overridden(Plan(), ["train.threads=6"]), part, part, part, lambda _event: None)
    rooms = (None, Room(2, 4), Room(8, 1))
    assert [Trial(tmp_path, training, room)._fed().plan.train.threads for room in rooms] == [6, 2, 6]

    found: list[int] = []

    def cache(*given: Any) -> object:
        found.append(given[3])
        return SimpleNamespace(records=())

    monkeypatch.setattr(fitting, "free_memory", lambda: 1000)
    monkeypatch.setattr(fitting, "DecodedCache", cache)
    monkeypatch.setattr(fitting, "TrainingCrops", lambda *_: None)
    run: Any = SimpleNamespace(
        plan=Plan(),
        material=SimpleNamespace(dataset=None),
        task=SimpleNamespace(lesson=None, pasted=None),
        fabric=SimpleNamespace(world_size=1),
        part=lambda _name: (),
    )
    fitting.crops(run)
    fitting.crops(run, 4)
    assert found == [400, 100]


# ---------------------------------------------------------------- the order of things


class Shuffled:
    """Three workers; which of them is done next is random."""

    size, start_seconds, task_seconds = 3, 0.0, 0.0

    def __init__(self, search: Search, seed: int) -> None:
        self.search, self.random, self.tasks = search, random.Random(seed), list[Task]()
        self.most = 0

    def begin(self, task: Task) -> None:
        self.tasks.append(task)
        self.most = max(self.most, len(self.tasks))

    def finished(self) -> tuple[Job, Outcome]:
        job = self.tasks.pop(self.random.randrange(len(self.tasks))).job
        choice = self.search.journal.choices[job.trial]
        return job, Outcome(sum((k + 2) * value for k, value in enumerate(choice)) % 7 / 7 + job.rung, 5)


def raced(folder: Path, seed: int) -> tuple[Journal, Shuffled]:
    folder.mkdir()
    journal = Journal(folder)
    journal.add("setup", 0.0, rungs=[(1.0, 12), (3.0, 4), (9.0, 2)], ranking=[], confirming=[], fixed=0.0)
    training: Any = SimpleNamespace(
        run=folder,
        plan=SimpleNamespace(seed=0),
        task=SimpleNamespace(headline=SimpleNamespace(higher_is_better=True)),
        budget=SimpleNamespace(seconds=1e9, started=time.monotonic()),
        part=lambda _name: (),
        on_event=lambda _event: None,
    )
    search = Search(training, SPACE, journal)
    crew = Shuffled(search, seed)
    search.race(crew)
    return journal, crew


def test_the_order_in_which_trials_end_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Search, "trial", lambda _search, number: number)
    (first, crew), *others = (raced(tmp_path / str(seed), seed) for seed in range(4))
    assert crew.most == 3
    assert len(first.scores) == 12 + 4 + 2
    orders = {tuple(first.scores)}
    for journal, _ in others:
        assert journal.choices == first.choices
        assert journal.scores == first.scores
        orders.add(tuple(journal.scores))
    assert len(orders) > 1


# ---------------------------------------------------------------- processes that are lost


class FakeRay:
    """A cluster of one machine, whose tasks end as they are told to."""

    def __init__(self, *ends: object) -> None:
        names = ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "RayTaskError")
        self.exceptions: Any = SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names})
        self.ends, self.sent, self.cancelled, self.alive = list(ends), 0, list[int](), True

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": self.alive, "Resources": {"CPU": 1.0}}]

    def remote(self, **options: object) -> Callable[[object], object]:
        assert options == {"num_cpus": 1, "num_gpus": 0, "max_retries": 0}
        return lambda _function: SimpleNamespace(remote=self.send)

    def send(self, *_arguments: object) -> int:
        self.sent += 1
        return self.sent

    def put(self, value: object) -> object:
        return value

    def wait(self, references: list[int], **_limits: object) -> tuple[list[int], list[int]]:
        return (references[:1], references[1:]) if self.ends else ([], references)

    def get(self, _reference: int) -> object:
        end = self.ends.pop(0)
        if isinstance(end, str):
            raise getattr(self.exceptions, end)("it is gone\nand more")
        return end

    def cancel(self, reference: int, *, force: bool) -> None:
        assert force
        self.cancelled.append(reference)


def cluster_of(ray: FakeRay, tmp_path: Path) -> tuple[Cluster, list[str]]:
    said: list[str] = []
    training: Any = SimpleNamespace(
        run=tmp_path,
        material=None,
        fabric=SimpleNamespace(device=SimpleNamespace(type="cpu")),
        budget=SimpleNamespace(seconds=60.0),
        on_event=lambda event: said.append(event.text),
    )
    return Cluster(ray, training), said


def task_of(number: int, tmp_path: Path) -> Task:
    trial: Any = SimpleNamespace(folder=tmp_path / str(number), training=SimpleNamespace(plan=None))
    return Task(Job(number, 0), RUNGS[0], trial, ())


def test_a_trial_whose_process_is_lost_is_tried_once_more(tmp_path: Path) -> None:
    ray = FakeRay("WorkerCrashedError", Outcome(0.5, 7, notes=("an image is damaged",)))
    cluster, said = cluster_of(ray, tmp_path)
    cluster.begin(task_of(2, tmp_path))
    job, outcome = cluster.finished()
    assert (job, outcome.score, ray.sent) == (Job(2, 0), 0.5, 2)
    assert said == [
        "the process of trial 2 was lost; it goes on elsewhere from its last checkpoint",
        "an image is damaged",
    ]


def test_a_trial_that_is_lost_twice_is_out_but_the_plan_must_not_be(tmp_path: Path) -> None:
    cluster, _ = cluster_of(FakeRay("NodeDiedError", "OutOfMemoryError"), tmp_path)
    cluster.begin(task_of(2, tmp_path))
    job, outcome = cluster.finished()
    assert job == Job(2, 0)
    assert outcome == Outcome(why="its process was lost twice, perhaps for want of memory (it is gone)")
    cluster, _ = cluster_of(FakeRay("NodeDiedError", "NodeDiedError"), tmp_path)
    cluster.begin(task_of(0, tmp_path))
    with pytest.raises(MaskwrightError, match="trial 0 is the plan, and its process was lost twice"):
        cluster.finished()


def test_a_cluster_that_lost_its_machines_is_not_waited_for(tmp_path: Path) -> None:
    ray = FakeRay()
    cluster, _ = cluster_of(ray, tmp_path)
    ray.alive = False
    cluster.begin(task_of(1, tmp_path))
    with pytest.raises(MaskwrightError, match="has lost all machines"), cluster:
        cluster.finished()
    assert ray.cancelled == [1]


# ---------------------------------------------------------------- a cluster of two machines, of which one is lost


def steady(stop: Callable[[int], None] = lambda _step: None) -> None:
    """Let an eighth of a second pass with each step of a training, and none in between."""
    module: Any = loop
    trainer = module.Trainer
    real = trainer.real_step = getattr(trainer, "real_step", trainer._step)
    steps = 0

    def step(self: object, batch: object) -> None:
        nonlocal steps
        stop(steps)
        steps += 1
        real(self, batch)

    trainer._step = step
    module.time = SimpleNamespace(monotonic=lambda: steps / 8)


def troubled(there: Any, trouble: Path) -> Any:
    """Let the first process of trial 1 stand still in the middle and say where it is, and the second what it found."""

    def run(place: object, job: Job, rung: Rung, folder: Path, *more: object) -> object:
        stuck, again = trouble / "stuck", trouble / "again"
        first = job == Job(1, 0) and not stuck.exists()
        if job == Job(1, 0) and not first and not again.exists():
            point = checkpoint.load(folder)
            again.write_text("nothing" if point is None else str(point.state["schedule"]["step"]))

        def stop(step: int) -> None:
            if first and step == 5:
                import ray

                stuck.write_text(ray.get_runtime_context().get_node_id())
                time.sleep(600)

        steady(stop)
        return there(place, job, rung, folder, *more)

    return run


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that was killed before it began."""
    folder = tmp_path_factory.mktemp("planned")
    data = toy.write(folder / "data", {"train": 8, "val": 10})
    request = toy.request("train.checkpoint_seconds=0.3", steps=None, budget=3000)
    return tuning._fresh(data, request, folder / "run", time.monotonic(), None, lambda _event: None)


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Let there be a few short rungs, and time for them; and end before a plan is settled on."""

    def end(_search: Search) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "ladder", lambda *_: RUNGS)
        patch.setattr(Search, "_in_time", lambda _search, _job: True)
        patch.setattr(tuning, "_settle", end)
        yield


def raced_by(run: Path, on: str | None, on_event: OnEvent | None = None) -> Journal:
    with pytest.raises(KeyboardInterrupt):
        mw.tune(resume=run, on=on, device="cpu", on_event=on_event)
    return Journal(run / "trials")


def ended(run: Path, on: str) -> TuneResult:
    """Settle on a plan and train it for a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_settle", SETTLE)
        patch.setattr(tuning, "go_on", lambda trial, plan, run, *_: GO_ON(trial, plan, run, 1.5, 1.0))
        return mw.tune(resume=run, on=on, device="cpu")


def end_is_a_run(result: TuneResult, found: Journal) -> None:
    """Check that the end of a search trains no trial again, and leaves a model."""
    assert Journal(result.run / "trials").scores == found.scores
    assert [len(row.scores) for row in result.trials] == [sum(job.trial == k for job in found.scores) for k in range(3)]
    assert result.gains is not None
    assert mw.load(result.run, "cpu").predict(toy.picture(0)[0]).labels.shape == (48, 64)


def test_two_machines_of_which_one_is_lost(planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",  # 15 would wait for whatever else the machine does
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    cluster_utils = pytest.importorskip("ray.cluster_utils", exc_type=ImportError)
    here, there, trouble = tmp_path / "here", tmp_path / "there", tmp_path / "trouble"
    trouble.mkdir()
    shutil.copytree(planned, here)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", time)
        patch.setattr(loop.Trainer, "_step", loop.Trainer._step)
        patch.setattr(loop.Trainer, "real_step", loop.Trainer._step, raising=False)
        steady()
        expected = raced_by(here, None)
    shutil.copytree(planned, there)
    setup, *_ = (here / "trials" / NAME).read_text().splitlines(keepends=True)
    (there / "trials" / NAME).write_text(setup)
    sys.modules["ray"].cloudpickle.register_pickle_by_value(sys.modules[__name__])  # nobody there imports this file
    monkeypatch.setattr(clustering, "_there", troubled(clustering._there, trouble))

    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    lost_one = "the process of trial 1 was lost; it goes on elsewhere from its last checkpoint"
    said: list[str] = []

    def lose() -> None:
        while not (trouble / "stuck").exists() or not (name := (trouble / "stuck").read_text()):
            time.sleep(0.05)
        lost = next(node for node in cluster.worker_nodes if node.node_id == name)
        cluster.remove_node(lost, allow_graceful=False)

    def interrupt(event: Event) -> None:
        if isinstance(event, Note):
            said.append(event.text)
        if isinstance(event, Progress) and event.done >= 2 and lost_one in said:
            raise KeyboardInterrupt

    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        threading.Thread(target=lose, daemon=True).start()
        half = raced_by(there, "ray", interrupt)
        assert 2 <= len(half.scores) < len(expected.scores)
        found = raced_by(there, "ray")
        end_is_a_run(ended(there, "ray"), found)
    finally:
        cluster.shutdown()
    assert "the cluster trains 2 trials at a time, each with 1 core" in said
    assert lost_one in said
    assert (trouble / "again").read_text() == "3"
    assert found.choices == expected.choices
    assert found.scores == expected.scores
    assert all(score is not None for score in found.scores.values())
    steps = {job: entry["steps"] for job, entry in found.entries.items()}
    assert steps == {job: 24 if job.rung else 8 for job in expected.scores}
    for job in expected.scores:
        model = f"trials/{job.trial:03d}/rung-{job.rung}.safetensors"
        assert toy.differing(here / model, there / model) == []
