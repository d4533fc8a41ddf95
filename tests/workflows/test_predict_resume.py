"""An interrupted prediction goes on, here and on a Ray cluster that loses one of its two nodes: with the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.core.records import ImageRef
from maskwright.inference import Predictor
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import spread
from maskwright.workflows.predict_parts.journal import NAME
from maskwright.workflows.predict_parts.journal import interrupted as said_when_interrupted
from maskwright.workflows.predict_parts.results import Failure
from maskwright.workflows.predict_parts.writing import Writing
from maskwright.workflows.predict_request import PredictRequest

CLASSES = Classes(("background", "leaf", "stem"), ((0, 0, 0), (20, 200, 40), (250, 120, 10)))
SAVE = ["mask", "coco"]
COUNT = 12

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("run")
    card = Card(
        model=ModelPlan(name="swiftnet"),
        classes=CardClasses.of(CLASSES),
        data=DataPlan(),
        predict=PredictPlan(tile=(64, 64)),
    )
    bundle.save(folder / "model.safetensors", models.create("swiftnet", classes=3), card)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for seed in range(COUNT):
        noise = np.random.default_rng(seed).integers(0, 256, (48, 48 + seed, 3), np.uint8)
        smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
        assert cv2.imwrite(str(folder / f"{seed:02}.png"), smooth)
    return folder


@pytest.fixture(scope="module")
def whole(run: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    predict(run, [images], out, PredictRequest(SAVE))
    return content(out)


def content(out: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def interrupted(run: Path, images: Path, out: Path, after: int) -> None:
    """Predict, and stop as Ctrl-C does after so many images."""

    def stop(done: float, _total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(run, [images], out, PredictRequest(SAVE), stop)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the images that the network sees from here on."""
    seen: list[str] = []
    real = Writing.run

    def run(self: Writing, picture: Any, *more: Any) -> Any:
        seen.append(picture.image.path.name)
        return real(self, picture, *more)

    monkeypatch.setattr(Writing, "run", run)
    return seen


def test_an_interrupted_prediction_goes_on(
    run: Path, images: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(run, images, tmp_path, after=5)
    seen = counted(monkeypatch)
    result = predict(run, [images], tmp_path, PredictRequest(SAVE, resume=True))
    assert seen == [f"{number:02}.png" for number in range(5, COUNT)]
    assert content(tmp_path) == whole, "and no journal is left"
    assert [image.source.name for image in result.images] == [f"{number:02}.png" for number in range(COUNT)]
    assert sum(result.images[0].summary.values()) == 48 * 48


def test_kill_9_in_the_middle(run: Path, images: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maskwright", "predict", str(run), str(images), "--out", str(tmp_path)]
    command += ["--save", ",".join(SAVE)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    masks = tmp_path / "masks"
    while process.poll() is None and not (masks.is_dir() and len(list(masks.glob("*.png"))) >= 3):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert content(tmp_path) != whole
    subprocess.run([*command, "--resume"], check=True, stdout=subprocess.DEVNULL)
    assert content(tmp_path) == whole


def test_what_changed_since_is_predicted_again(
    run: Path, images: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(run, images, tmp_path, after=5)
    (tmp_path / "masks" / "01.png").unlink()
    stamp = (images / "03.png").stat()
    os.utime(images / "03.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    journal = tmp_path / NAME
    journal.write_bytes(journal.read_bytes()[:-20])  # the fifth line was not written to its end
    seen = counted(monkeypatch)
    predict(run, [images], tmp_path, PredictRequest(SAVE, resume=True))
    assert seen == ["01.png", "03.png", "04.png", *(f"{number:02}.png" for number in range(5, COUNT))]
    assert content(tmp_path) == whole


def test_without_resume_all_is_predicted_again(
    run: Path, images: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(run, images, tmp_path, after=5)
    seen = counted(monkeypatch)
    predict(run, [images], tmp_path, PredictRequest(SAVE))
    assert len(seen) == COUNT
    assert content(tmp_path) == whole


def test_a_note_says_what_resume_would_have_kept(run: Path, images: Path, tmp_path: Path) -> None:
    interrupted(run, images, tmp_path, after=5)
    notes: list[str] = []
    predict(run, [images], tmp_path, PredictRequest(["mask", "overlay"]), on_note=notes.append)
    assert notes == [], "with other options nothing could have been kept"
    interrupted(run, images, tmp_path, after=5)
    predict(run, [images], tmp_path, PredictRequest(SAVE, resume=True), on_note=notes.append)
    predict(run, [images], tmp_path, PredictRequest(SAVE), on_note=notes.append)
    assert notes == [], "nothing was predicted again, or nothing was left to resume"
    interrupted(run, images, tmp_path, after=5)
    journal = tmp_path / NAME
    journal.write_bytes(journal.read_bytes()[:-20])
    predict(run, [images], tmp_path, PredictRequest(SAVE), on_note=notes.append)
    assert len(notes) == 1
    assert "finished 4 images in this folder" in notes[0]


@pytest.mark.parametrize("again", [0, 3])
def test_a_repeated_command_that_is_stopped_loses_nothing(
    run: Path, images: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: int
) -> None:
    interrupted(run, images, tmp_path, after=5)
    journal = tmp_path / NAME
    journal.write_bytes(journal.read_bytes() + b'{"name": "05"')  # and the sixth line was begun
    interrupted(run, images, tmp_path, after=again)
    seen = counted(monkeypatch)
    predict(run, [images], tmp_path, PredictRequest(SAVE, resume=True))
    assert seen == [f"{number:02}.png" for number in range(5, COUNT)]
    assert content(tmp_path) == whole


def test_what_is_said_after_an_interruption(run: Path, images: Path, tmp_path: Path) -> None:
    assert said_when_interrupted(tmp_path) == "interrupted"
    interrupted(run, images, tmp_path, after=1)
    assert said_when_interrupted(tmp_path) == "interrupted: the same command with `resume` goes on"


def test_another_setup_is_refused(run: Path, images: Path, tmp_path: Path) -> None:
    interrupted(run, images, tmp_path, after=5)
    with pytest.raises(MaskwrightError, match="another model, other options"):
        predict(run, [images], tmp_path, PredictRequest(["mask", "overlay"], resume=True))
    changed = Predictor.load(run, postprocess="crf")
    with pytest.raises(MaskwrightError, match="another model, other options"):
        predict(changed, [images], tmp_path, PredictRequest(SAVE, resume=True))
    in_memory = Predictor.load(run).with_decoding({})
    with pytest.raises(MaskwrightError, match="needs a model from a file"):
        predict(in_memory, [images], tmp_path, PredictRequest(SAVE, resume=True))


def test_a_journal_of_other_text_is_refused(run: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("what is this\n")
    with pytest.raises(MaskwrightError, match="is no journal"):
        predict(run, [images], tmp_path, PredictRequest(SAVE, resume=True))


def test_two_nodes_of_which_one_is_killed(
    run: Path, images: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 would wait for whatever else the machine does
    cluster_utils = pytest.importorskip("ray.cluster_utils", exc_type=ImportError)
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    lost = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    monkeypatch.setattr(spread, "MOST_IMAGES", 1)
    broken = images.parent / "broken.png"
    broken.write_bytes(b"no image")

    def kill(done: float, total: int) -> None:
        if done == 3:
            cluster.remove_node(lost, allow_graceful=False)
        if done == total - 3:
            raise KeyboardInterrupt

    request = PredictRequest(SAVE, on="ray")
    try:
        with pytest.raises(KeyboardInterrupt):
            predict(run, [images, broken], tmp_path, request, kill)
        result = predict(run, [images, broken], tmp_path, PredictRequest(SAVE, on="ray", resume=True))
    finally:
        cluster.shutdown()
    assert content(tmp_path) == whole
    assert [image.source for image in result.images] == sorted(images.iterdir())
    assert [failure.path for failure in result.failures] == [broken]


def test_ray_needs_one_engine(run: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match="name the engine"):
        predict(Predictor.load(run, engine="auto"), [images], tmp_path, PredictRequest(SAVE, on="ray"))
    with pytest.raises(MaskwrightError, match="the only cluster known"):
        PredictRequest(on="spark")


def test_a_journal_holds_plain_lines(run: Path, images: Path, tmp_path: Path) -> None:
    interrupted(run, images, tmp_path, after=2)
    setup, *lines = map(json.loads, (tmp_path / NAME).read_text().splitlines())
    assert len(setup) == 64
    assert [line["name"] for line in lines] == ["00", "01"]


def test_a_task_that_ends_its_process_is_split_until_one_image_is_left() -> None:
    names = ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "RayTaskError")
    errors = SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names})

    def get(_reference: object) -> None:
        raise errors.WorkerCrashedError("it is gone")

    ray: Any = SimpleNamespace(exceptions=errors, get=get)
    pictures: Any = [SimpleNamespace(image=ImageRef(Path(name))) for name in ("a.png", "b.png")]
    assert spread._found(ray, None, pictures) is None
    (failure,) = spread._found(ray, None, pictures[:1]) or ()
    assert isinstance(failure, Failure)
    assert "a.png: the process that predicted it ended 4 times" in failure.reason


def test_a_lost_ray_is_an_error_that_says_how_to_go_on() -> None:
    names = ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "LocalRayletDiedError", "RayTaskError")
    errors = SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names})

    def get(_reference: object) -> None:
        raise errors.LocalRayletDiedError("the raylet died")

    ray: Any = SimpleNamespace(exceptions=errors, get=get)
    with pytest.raises(MaskwrightError, match=r"has ended: start Ray again, and go on with `resume`"):
        spread._found(ray, None, [])


def test_ray_has_the_errors_that_are_caught() -> None:
    ray = pytest.importorskip("ray")
    assert issubclass(ray.exceptions.LocalRayletDiedError, Exception)
