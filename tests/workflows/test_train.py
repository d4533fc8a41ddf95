from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import cv2
import numpy as np
import pytest
import torch
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Saved, Stage
from maskwright.metrics.scores import Scores
from maskwright.training import checkpoint, loggers
from maskwright.workflows.plan import make_plan
from maskwright.workflows.plan_parts.requested import requested_plan
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.runs import run_folder
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from maskwright.core.events import Event


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("toy") / "data")


pytestmark = pytest.mark.usefixtures("quiet_machine")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps, on which many tests look."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(data, toy.request(steps=6), run)
    return run


def test_the_run_folder_holds_all_that_was_promised(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "plan.yaml",
        "model.safetensors",
        "history.csv",
        "metrics.json",
        "report.html",
        "environment.json",
        "checkpoint",
        "tensorboard",
    }
    assert not any(name.startswith(".") for name in names)
    metrics = json.loads((finished / "metrics.json").read_text())
    assert (metrics["split"], metrics["steps"], metrics["scores"]["images"]) == ("test", 6, 2)
    known = json.loads((finished / "environment.json").read_text())
    assert known["torch"] == torch.__version__.partition("+")[0] or known["torch"] == torch.__version__
    assert len(known["data_hash"]) == 8
    assert (finished / "history.csv").read_text().count("\n") == 7
    assert [path.name for path in (finished / "checkpoint").iterdir()] == ["step-00000006.safetensors"]
    assert toy.plan_of(finished).reasons["train.steps"] == "set by hand"
    assert "swiftnet on compact, from scratch" in (finished / "report.html").read_text()


def test_the_bundle_predicts_at_the_image_s_own_size(finished: Path) -> None:
    predictor = mw.load(finished)
    image = np.zeros((37, 53, 3), np.uint8)
    assert predictor.predict(image).labels.shape == (37, 53)
    assert predictor.classes.names == ("class-0", "class-1", "class-2")
    assert predictor.card.summary["steps"] == 6


def test_more_steps_learn_the_shapes(data: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    result = train(data, toy.request(steps=60), tmp_path / "run", on_event=events.append)
    assert result.scores is not None
    assert result.scores.mean["iou"].value is not None
    assert result.scores.mean["iou"].value > 0.5
    assert result.steps == 60
    stages = [event.name for event in events if isinstance(event, Stage)]
    assert stages == ["plan", "train", "evaluate", "report"]
    assert Saved(tmp_path / "run", 60) in events


def test_evaluate_repeats_the_judgement_of_the_training(finished: Path, data: Path, tmp_path: Path) -> None:
    judged = mw.evaluate(finished, data, split="test", out=tmp_path)
    metrics = json.loads((finished / "metrics.json").read_text())
    assert judged.scores.to_json()["confusion"] == metrics["scores"]["confusion"]
    assert judged.report == tmp_path / "report-test.html"
    assert json.loads((tmp_path / "metrics-test.json").read_text())["split"] == "test"
    assert mw.evaluate(finished, data, split="train", out=tmp_path).scores.images == 8
    assert mw.evaluate(finished, data, split="all", out=tmp_path).scores.images == 12
    with pytest.raises(MaskwrightError, match="`split` is 'tset', and it must be one of train, val, test, or all"):
        mw.evaluate(finished, data, split="tset")


def test_evaluate_keeps_the_training_s_own_split(tmp_path: Path) -> None:
    """What the run trained on must never come back as a test image, also where the split was made by us."""
    heap = toy.write(tmp_path / "heap", {".": 12})
    train(heap, toy.request(steps=1, seed=3), tmp_path / "run")
    known = json.loads((tmp_path / "run" / "split.json").read_text())
    for split in ("train", "val", "test"):
        scores = mw.evaluate(tmp_path / "run", heap, split=split, out=tmp_path).scores
        assert {entry.id for entry in scores.per_image} == {
            name for name, entry in known.items() if entry["split"] == split
        }


def test_other_classes_are_not_judged(finished: Path, tmp_path: Path) -> None:
    other = toy.write(tmp_path / "other", values=(0, 1, 1))
    with pytest.raises(
        MaskwrightError,
        match=r"has the classes background, foreground, and the model has class-0, class-1, class-2: "
        r"give them the same names in the same order with `read\.classes`",
    ):
        mw.evaluate(finished, other)


# Where it may be written


def test_a_folder_with_a_run_is_not_written_over(finished: Path, data: Path) -> None:
    before = (finished / "model.safetensors").read_bytes()
    with pytest.raises(
        MaskwrightError, match=r"already holds a run: continue it with `resume`, or choose another `out`"
    ):
        train(data, toy.request(), finished)
    assert (finished / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_file_in_the_way_is_named_before_any_work(data: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MaskwrightError, match=r"file is a file|is a file: name a folder"):
        train(data, toy.request(), tmp_path / out, on_event=lambda _event: pytest.fail("too late"))


def test_a_read_only_folder_is_refused_before_any_work(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    with pytest.raises(MaskwrightError, match=r"the folder is read-only\. Choose another `out`"):
        train(data, toy.request(), tmp_path / "run", on_event=lambda _event: pytest.fail("too late"))


def test_unnamed_runs_are_numbered(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "data-001").mkdir(parents=True)
    assert train(data, toy.request(steps=1)).run == Path("runs/data-002")


def test_a_logger_that_is_not_there_is_named_before_any_work(data: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match="unknown logger 'wandbb': did you mean 'wandb'"):
        train(data, toy.request(), tmp_path / "run", log=("wandbb",), on_event=lambda _event: pytest.fail("too late"))


@pytest.mark.parametrize("made", [True, False])
def test_a_logger_that_fails_takes_back_the_run_and_not_the_user_s_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    def create(_names: object, run: Path, _settings: object) -> None:
        (run / "tensorboard").mkdir()
        raise MaskwrightError("wandb could not begin a run")

    monkeypatch.setattr("maskwright.training.loggers.create", create)
    run = tmp_path / "run"
    if made:
        run.mkdir()
    with pytest.raises(MaskwrightError, match="wandb could not begin"):
        train(data, toy.request(steps=1), run)
    assert run.exists() == made
    assert not made or list(run.iterdir()) == []


# Data at the edge


def test_one_image_is_too_few_to_judge_on_and_enough_without(tmp_path: Path) -> None:
    single = toy.write(tmp_path / "data", {".": 1})
    with pytest.raises(MaskwrightError, match=r"1 image cannot be divided .*split\.test=0"):
        train(single, toy.request(), tmp_path / "run")
    events: list[Event] = []
    alone = toy.request("split.val=0", "split.test=0", steps=2)
    result = train(single, alone, tmp_path / "run", on_event=events.append)
    assert result.scores is None
    assert result.validation_score is None
    told = [event.text for event in events if isinstance(event, Note)]
    assert any("no image was held out, so the quality of the model is unknown" in text for text in told)
    said = re.compile(r"model swiftnet with backbone compact, 0\.\d+ M parameters, from scratch")
    assert any(said.fullmatch(text) for text in told)
    assert mw.load(result.run).predict(np.zeros((20, 20, 3), np.uint8)).labels.shape == (20, 20)


def test_one_class_only_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    plain = toy.write(tmp_path / "data", values=(0, 0, 0))
    with pytest.raises(MaskwrightError, match=r"every labelled pixel is \w+: there is no second class to learn"):
        train(plain, toy.request(steps=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_that_validation_lacks_is_left_out_of_its_score(tmp_path: Path) -> None:
    root = toy.write(tmp_path / "data")
    for path in (root / "masks" / "val").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask[mask == 2] = 0
        cv2.imwrite(str(path), mask)
    result = train(root, toy.request(steps=60), tmp_path / "run")
    assert result.validation_score is not None
    assert result.validation_score > 0.45


def test_validation_without_a_label_chooses_nothing_and_hurts_nothing(tmp_path: Path) -> None:
    root = toy.write(tmp_path / "data")
    for path in (root / "masks" / "val").iterdir():
        cv2.imwrite(str(path), np.full(toy.SIZE, 255, np.uint8))
    (root / "classes.txt").write_text("0,class-0\n1,class-1\n2,class-2\n255,void\n")
    result = train(root, toy.request(steps=2), tmp_path / "run")
    assert result.validation_score is None
    assert result.scores is not None


@pytest.mark.parametrize("crop", ["[30, 45]", "[8, 9]"])
def test_any_crop_trains(data: Path, tmp_path: Path, crop: str) -> None:
    assert train(data, toy.request(f"sampling.crop={crop}", steps=2), tmp_path / "run").steps == 2


# How long


def test_twelve_seconds_are_refused_with_a_cure_where_the_start_took_ten(data: Path, tmp_path: Path) -> None:
    started = time.monotonic() - 10
    with pytest.raises(
        MaskwrightError,
        match=r"the budget of 12 s leaves \d s for training, and a step takes \d\.\d\d s on this machine: give \d+s",
    ):
        train(data, toy.request(steps=None, budget=12, started=started), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_options_settings_and_plan_file_say_how_long(tmp_path: Path) -> None:
    def length(**wish: object) -> tuple[float | None, int | None]:
        plan, pins = requested_plan(PlanRequest(**wish))  # type: ignore[arg-type]
        return plan.train.budget_seconds, plan.train.steps if "train.steps" in pins else None

    assert length() == (600, None)
    assert length(budget=60) == (60, None)
    assert length(steps=5) == (None, 5)
    assert length(epochs=2)[0] is None
    assert length(settings=("train.steps=7",)) == (None, 7)
    assert length(settings=("train.budget_seconds=90",)) == (90, None)
    file = tmp_path / "plan.yaml"
    file.write_text("train: {steps: 11}\n")
    assert length(plan_file=file) == (None, 11)
    assert length(plan_file=file, steps=3) == (None, 3)
    assert length(plan_file=file, budget="30s")[0] == 30
    file.write_text("train: {steps: 11, budget_seconds: 45}\n")
    assert length(plan_file=file) == (45, 11)
    assert length(plan_file=file, steps=3) == (None, 3)


def test_epochs_show_each_image_so_often(data: Path) -> None:
    plan = make_plan(data, toy.request(steps=None, epochs=5)).plan
    assert plan.train.steps == 5 * toy.COUNTS["train"] / 4


def test_a_plan_file_repeats_a_training(finished: Path, data: Path, tmp_path: Path) -> None:
    again = PlanRequest(plan_file=finished / "plan.yaml", device="cpu")
    train(data, again, tmp_path / "run")
    assert toy.differing(finished / "model.safetensors", tmp_path / "run" / "model.safetensors") == []


# Resuming


@pytest.mark.parametrize("held_out", [True, False], ids=["images held out", "none held out"])
def test_a_finished_run_is_left_as_it_is_and_says_so(
    finished: Path, data: Path, tmp_path: Path, held_out: bool
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    if not held_out:
        entries = {
            name: {**entry, "split": "train"} for name, entry in run_folder.read_json(run / "split.json").items()
        }
        (run / "split.json").write_text(json.dumps(entries))
        for name in ("metrics.json", "report.html"):
            (run / name).unlink()
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}
    events: list[Event] = []
    result = train(tmp_path / "moved away", PlanRequest(device="cpu"), resume=run, on_event=events.append)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()} == before
    (note,) = events
    assert isinstance(note, Note)
    assert note.text.startswith(f"the training of {run} is finished: all files stay as they are, and `maskwright evalu")
    assert result.steps == 6
    assert result.seconds > 0
    if held_out:
        metrics = json.loads((run / "metrics.json").read_text())
        assert result.scores is not None
        assert result.scores.to_json() == Scores.from_json(metrics["scores"]).to_json()
        assert (result.validation_score, result.seconds) == (metrics["validation_iou"], metrics["seconds"])
    else:
        assert (result.scores, result.validation_score) == (None, None)


def test_scores_that_cannot_be_read_are_not_taken_for_a_finished_run(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "metrics.json").write_text("{}")
    with pytest.raises(MaskwrightError, match=r"metrics\.json does not hold the scores .*'scores'.*: delete"):
        train(None, PlanRequest(device="cpu"), resume=run)
    (run / "metrics.json").unlink()
    assert train(None, PlanRequest(device="cpu"), resume=run).scores is not None


def test_a_run_that_lacks_its_evaluation_is_only_evaluated(finished: Path, tmp_path: Path) -> None:
    run = toy.interrupted(finished, tmp_path / "run")
    events: list[Event] = []
    assert train(None, PlanRequest(device="cpu"), resume=run, on_event=events.append).scores is not None
    assert "all 6 steps are made already: only the evaluation is left" in [
        event.text for event in events if isinstance(event, Note)
    ]


def test_an_unfinished_run_is_used_with_a_note_on_how_to_finish_it(finished: Path, data: Path, tmp_path: Path) -> None:
    def notes(model: Path) -> list[str]:
        """Return what `predict` and `evaluate` say of it."""
        image = next(data.rglob("*.png"))
        said = mw.predict(model, image, out=tmp_path / "masks", device="cpu").notes
        said += mw.evaluate(model, data, out=tmp_path / "scores", device="cpu").notes
        return [note for note in said if "not finished" in note]

    run = toy.interrupted(finished, tmp_path / "run")
    words = (
        f"{run} is not finished: what a training fits after its last step, such as thresholds, may be missing from the "
        f"model. `maskwright train --resume {run}` finishes it"
    )
    assert notes(run) == notes(run / "model.safetensors") == [words, words]
    (run / "trials").mkdir()
    (run / "trials" / "start.json").touch()
    assert f"`maskwright tune --resume {run}` finishes it" in notes(run)[0]
    alone = tmp_path / "alone" / "model.safetensors"
    alone.parent.mkdir()
    shutil.copy(run / "model.safetensors", alone)
    other = shutil.copy(alone, run / "other.safetensors")
    assert [*notes(finished), *notes(alone), *notes(other)] == []


def test_a_finished_run_without_its_model_resumes_to_itself(finished: Path, data: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "model.safetensors").unlink()
    (run / ".metrics.json.abc123.json").write_text("half of it")
    result = train(None, PlanRequest(device="cpu"), resume=run)
    assert result.steps == 6
    assert toy.differing(finished / "model.safetensors", run / "model.safetensors") == []
    assert not list(run.glob(".*"))


@pytest.mark.parametrize("scored", [True, False], ids=["report deleted", "report and scores deleted"])
def test_a_saved_model_without_a_checkpoint_is_not_trained_again(finished: Path, tmp_path: Path, scored: bool) -> None:
    run = shutil.copytree(finished, tmp_path / "run") if scored else toy.interrupted(finished, tmp_path / "run")
    (run / "report.html").unlink(missing_ok=True)
    shutil.rmtree(run / "checkpoint")
    events: list[Event] = []
    result = train(None, PlanRequest(device="cpu"), resume=run, on_event=events.append)
    assert Note(f"{run} holds the trained model: only the evaluation is left") in events
    assert not list(run.glob("checkpoint/*"))
    assert toy.differing(finished / "model.safetensors", run / "model.safetensors") == []
    assert (run / "history.csv").read_bytes() == (finished / "history.csv").read_bytes()
    before, after = (json.loads((folder / "metrics.json").read_text()) for folder in (finished, run))
    for key in ("scores", "steps", "best_step", "validation_iou", "parameters"):
        assert after[key] == before[key]
    assert result.validation_score == before["validation_iou"]
    assert (run / "report.html").exists()


def test_a_saved_model_without_checkpoint_and_history_is_not_touched(finished: Path, tmp_path: Path) -> None:
    run = toy.interrupted(finished, tmp_path / "run")
    shutil.rmtree(run / "checkpoint")
    (run / "history.csv").unlink()
    with pytest.raises(
        MaskwrightError, match=r"no checkpoint, and no history\.csv.*: `maskwright evaluate .* DATA` scores"
    ):
        train(None, PlanRequest(device="cpu"), resume=run)
    assert (run / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()


def test_a_run_without_a_checkpoint_says_that_it_starts_again(finished: Path, data: Path, tmp_path: Path) -> None:
    run = toy.interrupted(finished, tmp_path / "run")
    shutil.rmtree(run / "checkpoint")
    (run / "model.safetensors").unlink()
    events: list[Event] = []
    assert train(None, PlanRequest(device="cpu"), resume=run, on_event=events.append).steps == 6
    notes = [event.text for event in events if isinstance(event, Note)]
    assert f"{run} has no checkpoint, since it ended before the first: it starts at step 0" in notes
    assert toy.differing(finished / "model.safetensors", run / "model.safetensors") == []
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(run / "split.json", half)
    again = PlanRequest(plan_file=run / "plan.yaml", device="cpu")
    train(data, again, half, on_event=events.append)
    said = f"{half} holds a run that ended before its first step: it starts again"
    assert said in [event.text for event in events if isinstance(event, Note)]


def test_a_run_whose_only_checkpoint_is_cut_off_says_so_at_once(finished: Path, data: Path, tmp_path: Path) -> None:
    run = toy.interrupted(finished, tmp_path / "run")
    (point,) = (run / "checkpoint").iterdir()
    point.write_bytes(point.read_bytes()[:1000])
    events: list[Event] = []
    with pytest.raises(MaskwrightError, match=r"holds 1 checkpoint, and none can be read: .* `plan_file` .*plan\.yaml"):
        train(None, PlanRequest(device="cpu"), resume=run, on_event=events.append)
    assert not [event for event in events if isinstance(event, Note)], "it does not start from that checkpoint"
    cure = PlanRequest(plan_file=run / "plan.yaml", device="cpu")
    assert train(data, cure, tmp_path / "another").steps == 6


def test_a_run_goes_on_where_its_data_went(finished: Path, data: Path, tmp_path: Path) -> None:
    run, moved = toy.interrupted(finished, tmp_path / "run"), shutil.copytree(data, tmp_path / "moved")
    described = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps({**described, "root": str(tmp_path / "gone")}))
    with pytest.raises(MaskwrightError, match="gone"):
        train(None, PlanRequest(device="cpu"), resume=run)
    assert train(moved, PlanRequest(device="cpu"), resume=run).steps == 6


@pytest.mark.parametrize("change", ["pixels", "gone", "class"])
def test_changed_data_are_not_gone_on_with(finished: Path, data: Path, tmp_path: Path, change: str) -> None:
    run, changed = toy.interrupted(finished, tmp_path / "run"), shutil.copytree(data, tmp_path / "data")
    mask = changed / "masks" / "train" / "03.png"
    if change == "pixels":
        cv2.imwrite(str(mask), np.ones(toy.SIZE, np.uint8))
    elif change == "gone":
        (changed / "images" / "train" / "03.png").unlink()
        mask.unlink()
    else:
        image, labels = toy.picture(77)
        cv2.imwrite(str(changed / "images" / "train" / "98.png"), image)
        cv2.imwrite(str(changed / "masks" / "train" / "98.png"), labels + 1)
    with pytest.raises(MaskwrightError, match=r"changed since .* began, so a resumed training would not be the same"):
        train(changed, PlanRequest(device="cpu"), resume=run)


def test_a_plan_changed_by_hand_is_not_gone_on_with(finished: Path, tmp_path: Path) -> None:
    run = toy.interrupted(finished, tmp_path / "run")
    text = (run / "plan.yaml").read_text()
    (run / "plan.yaml").write_text(text.replace("label_smoothing: 0.0", "label_smoothing: 0.1"))
    with pytest.raises(MaskwrightError, match=r"plan\.yaml was changed after the training began \(loss"):
        train(None, PlanRequest(device="cpu"), resume=run)


@pytest.mark.parametrize("name", ["plan.yaml", "split.json", "data.json"])
def test_a_folder_that_was_never_whole_says_train_anew(finished: Path, tmp_path: Path, name: str) -> None:
    run = toy.interrupted(finished, tmp_path / "run")
    (run / name).unlink()
    with pytest.raises(MaskwrightError, match=r"start a new training|start one with `out`"):
        train(None, PlanRequest(device="cpu"), resume=run)


def test_a_logger_that_fails_takes_the_run_back(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        (tmp_path / "run" / "tensorboard").mkdir()
        raise MaskwrightError("no login")

    monkeypatch.setattr(loggers, "create", fail)
    with pytest.raises(MaskwrightError, match="no login"):
        train(data, toy.request(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_ends_it_and_a_free_one_lets_it_go_on(
    finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, whole, count = tmp_path / "run", checkpoint.write_bytes, 0

    def third_time_full(path: Path, content: bytes) -> None:
        nonlocal count
        count += 1
        if count == 3:
            monkeypatch.setattr("pathlib.Path.write_bytes", full)
        whole(path, content)

    def full(_path: Path, _content: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_bytes", third_time_full)
        with pytest.raises(MaskwrightError, match=r"the disk is full.* once there is space, `maskwright train"):
            train(data, toy.request("train.checkpoint_seconds=1e-9", steps=6), run)
    monkeypatch.undo()
    found = checkpoint.load(run)
    assert found is not None
    assert found.state["schedule"]["step"] == 2
    train(None, PlanRequest(device="cpu"), resume=run)
    assert toy.differing(finished / "model.safetensors", run / "model.safetensors") == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_training_that_can_go_on(data: Path, tmp_path: Path, number: int, code: int) -> None:
    run = tmp_path / "run"
    line = ["train", data, *toy.arguments("train.checkpoint_seconds=1e-6", steps=100_000), "--out", run]
    before = signal.signal(number, signal.SIG_DFL)  # where nohup began the tests, SIGHUP is ignored, and inherited so
    try:
        process = subprocess.Popen(toy.command(*line), env=toy.environment(), stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, before)
    try:
        while process.poll() is None and len(list((run / "checkpoint").glob("step-*"))) < 2:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, said
    assert "is saved in" in said
    assert f"maskwright train --resume {run}" in said
    assert checkpoint.load(run) is not None


def kill_at(process: subprocess.Popen[str], moment: float, run: Path) -> None:
    """Kill -9 so many seconds after the first checkpoint is there (or when it is over, if that is earlier)."""
    while process.poll() is None and not list((run / "checkpoint").glob("step-*")):
        time.sleep(0.005)
    deadline = time.monotonic() + moment
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("adamw", ("model.name=unet", "model.options={widths: [8, 8, 8, 8]}")),
        ("muon", ("train.channels_last=false", "adversarial.weight=0.1", "adversarial.width=6")),
        ("sgd", ("optim.accumulate=2", "train.gradient_checkpointing=true", "edges.weight=1")),
    ],
)
def test_kill_9_and_resume_end_in_the_same_bits(data: Path, tmp_path: Path, name: str, extra: tuple[str, ...]) -> None:
    settings = (
        *extra,
        f"optim.name={name}",
        "optim.lr=0.01",
        "model.dropout=0.2",
        "train.validations=5",
        "train.checkpoint_seconds=1e-6",
    )
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(data, toy.request(*settings, steps=40), whole)
    rng = random.Random(name)
    first = ["train", data, *toy.arguments(*settings, steps=40), "--out", run]
    for _ in range(2):
        process = subprocess.Popen(
            toy.command(*first), env=toy.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        )
        kill_at(process, rng.uniform(0, 0.6), run)
        first = ["train", "--resume", run, "--device", "cpu"]
    last = toy.run(*first)
    assert last.returncode == 0, last.stderr
    assert toy.differing(whole / "model.safetensors", run / "model.safetensors") == []
    point = "checkpoint/step-00000040.safetensors"
    assert toy.differing(whole / point, run / point) == []


def test_two_processes_do_what_one_does_with_the_whole_batch(data: Path, tmp_path: Path) -> None:
    """To rounding, and so soon, as steps magnify it: weights moved by 1e-7 in one process are 1.3e-3 off after 5."""
    # Adam divides by the gradient's own size, however small: the discriminator's rate is low, its moments are compared.
    adversarial = ("adversarial.weight=0.1", "adversarial.width=12", "adversarial.lr=1e-5")
    settings = ("optim.name=sgd", "optim.lr=0.02", "optim.warmup=0", "train.validations=1", *adversarial)
    one, two = tmp_path / "one", tmp_path / "two"
    train(data, toy.request(*settings, steps=2), one)
    done = toy.run("train", data, *toy.arguments(*settings, steps=2), "--out", two, processes=2)
    assert done.returncode == 0, done.stderr
    first, second = (toy.tensors(run / "checkpoint" / "step-00000002.safetensors") for run in (one, two))
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-4, atol=1e-4, err_msg=name)
    moved = [first[name] for name in first if name.startswith("model.") and name.endswith("running_mean")]
    assert max(float(np.abs(values).max()) for values in moved) > 1e-2
    moments = [
        first[name] for name in first if name.startswith("discriminator_optimizer.") and name.endswith(".exp_avg")
    ]
    assert max(float(np.abs(values).max()) for values in moments) > 1e-2


def test_images_that_cannot_be_used_are_counted(data: Path, tmp_path: Path) -> None:
    place = shutil.copytree(data, tmp_path / "data")
    masks = sorted((place / "masks").rglob("*.png"))
    masks[0].write_bytes(masks[0].read_bytes()[:20])
    events: list[Event] = []
    train(place, toy.request(steps=1), tmp_path / "run", on_event=events.append)
    (said,) = (event.text for event in events if isinstance(event, Note) and "in the data" in event.text)
    assert said.startswith(f"{len(masks) - 1} of {len(masks)} annotated images are usable; 1 fault in the data: ")
