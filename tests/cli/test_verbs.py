from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from maskwright.cli.main import run
from maskwright.cli.options import parse_map
from maskwright.cli.scores import score_tables
from maskwright.cli.terminal import console
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Note, Progress, Saved, Stage
from maskwright.core.plan_file import read_plan
from maskwright.metrics.scores import Estimate, Metric, ObjectScores, Scores
from maskwright.workflows.predict_request import PredictRequest


def record(calls: list, outcome):
    def workflow(*args, **kwargs):
        calls.append((args, kwargs))
        return outcome

    return workflow


def test_plan_prints_decision_value_and_reason(
    stand_in, plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list = []
    stand_in("maskwright.workflows.plan", make_plan=record(calls, SimpleNamespace(plan=plan, notes=())))
    out = tmp_path / "plan.yaml"
    assert run(["plan", "data", "--budget", "3m", "--set", "optim.lr=1e-3", "--out", str(out)]) == 0
    shown, err = capsys.readouterr()
    assert "optim.lr      0.002   the usual one for AdamW" in shown
    assert "train.steps   1000    600 s at 0.24 s a step" in shown
    assert f"plan written to {out}" in err
    assert read_plan(out) == plan
    (root, request, _), _ = calls[0]
    assert root == Path("data")
    assert (request.budget_seconds, request.settings, request.seed) == (180, ("optim.lr=1e-3",), None)
    assert request.started is not None


def test_plan_json_is_the_whole_plan(stand_in, plan, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("maskwright.workflows.plan", make_plan=record([], SimpleNamespace(plan=plan, notes=())))
    assert run(["plan", "data", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == plan.model_dump(mode="json")


def test_train_shows_scores_and_files(stand_in, result, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list = []
    stand_in("maskwright.workflows.train", train=record(calls, result))
    assert run(["train", "data", "--steps", "120", "--log", "wandb", "--out", "runs/one", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for words in (
        "0.871 (0.852..0.888)",
        "Bicyclist",
        "120 steps; 1 min 01 s for the whole command",
        "runs/one/report.html",
        "4.2",
    ):
        assert words in out, words
    (root, request, run_folder), options = calls[0]
    assert (root, run_folder, request.steps, request.device) == (Path("data"), Path("runs/one"), 120, "cpu")
    assert (options["log"], options["resume"]) == (("wandb",), None)


def test_train_json(stand_in, result, scores, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("maskwright.workflows.train", train=record([], result))
    assert run(["train", "data", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert Scores.from_json(document.pop("scores")) == scores
    assert document == {"run": "runs/one", "steps": 120, "seconds": 61.0, "validation_score": 0.88}


def test_resume_needs_no_data(stand_in, result) -> None:
    calls: list = []
    stand_in("maskwright.workflows.train", train=record(calls, result))
    assert run(["train", "--resume", "runs/one", "--device", "cpu", "--json"]) == 0
    (root, _, _), options = calls[0]
    assert (root, options["resume"]) == (None, Path("runs/one"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train", "no data was given: name a folder"),
        ("train --resume runs/one --steps 5 --set optim.lr=1", "leave out --steps, --set"),
        ("train data --steps 5 --budget 3m", "--budget and --steps each set the length"),
        ("train data --epochs 0", "--epochs is 0.0, and it must be a number above 0"),
        ("train data --epochs inf", "--epochs is inf, and it must be a number above 0, and 1e+09 at most"),
        ("plan data --steps 9999999999", "--steps is 9999999999, and it must be a whole number"),
        ("train data --steps -3", "--steps is -3, and it must be a whole number above 0"),
        ("train data --budget 0s", "must be longer than zero"),
        (
            "train data --budget 9.5s",
            "--budget is 9.5 s, and it must be 10 s or more, because preparation takes that long",
        ),
        ("plan data --budget 5", "--budget is 5 s, and it must be 10 s or more"),
    ],
)
def test_contradictions_are_refused(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("saved", [True, False])
def test_ctrl_c_says_what_is_saved_and_how_to_go_on(saved: bool, stand_in, capsys: pytest.CaptureFixture[str]) -> None:
    def fit(*args, on_event, **kwargs):
        on_event(Stage("train", "swiftnet"))
        if saved:
            on_event(Saved(Path("runs/one"), 320))
        raise KeyboardInterrupt

    stand_in("maskwright.workflows.train", train=fit)
    assert run(["train", "data"]) == 130
    out, err = capsys.readouterr()
    words = "step 320 is saved in runs/one. Continue with: maskwright train --resume runs/one"
    assert out == ""
    assert (words in err) == saved
    assert ("no step was saved" in err) != saved


def test_progress_goes_to_stderr_as_lines_when_there_is_no_terminal(
    stand_in, result, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("maskwright.cli.watch.time", SimpleNamespace(monotonic=lambda: clock.now))

    def fit(*args, on_event, **kwargs):
        on_event(Stage("train", "swiftnet, 100 steps"))
        on_event(Note("the hub is out of reach, so the training starts from scratch"))
        for step in range(1, 101):
            clock.now += 0.25
            on_event(Progress(step, 100, seconds_left=100 - step, loss=0.5, score=0.25, rate=4.0))
        return result

    stand_in("maskwright.workflows.train", train=fit)
    assert run(["train", "data", "--json"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train: swiftnet, 100 steps"
    assert lines[1].startswith("note: the hub is out of reach")
    assert lines[2] == "  train 10/100  1 min 30 s left  loss 0.500  score 0.250  4.0/s"
    assert len(lines) == 12


def test_evaluate(stand_in, result, scores, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list = []
    stand_in("maskwright.workflows.evaluate", evaluate=record(calls, result))
    assert run(["evaluate", "runs/one", "data", "--split", "val"]) == 0
    assert "Scores on 3 val images" in capsys.readouterr().out
    assert run(["evaluate", "runs/one", "data", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert Scores.from_json(document.pop("scores")) == scores
    assert document == {"report": "runs/one/report.html", "split": "test", "notes": []}
    assert [request.split for (_, _, request, _), _ in calls] == ["val", "test"]
    assert run(["evaluate", "runs/one", "data", "--output-stride", "8"]) == 0
    assert [request.output_stride for (_, _, request, _), _ in calls] == [None, None, 8]
    capsys.readouterr()
    assert run(["evaluate", "runs/one", "data", "--refit"]) == 2
    assert "--refit fits a postprocessor again: name one with --postprocess" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("images", "groups", "split", "words"),
    [
        (6, 0, "all", "Scores on all 6 images, by class"),
        (1, 0, "all", "Scores on 1 image, by class"),
        (1, 1, "test", "Scores on 1 test image in 1 group, by class"),
        (3, 2, "held-out", "Scores on 3 held-out images in 2 groups, by class"),
    ],
)
def test_scores_say_on_what(
    images: int, groups: int, split: str, words: str, scores: Scores, capsys: pytest.CaptureFixture[str]
) -> None:
    console().print(*score_tables(replace(scores, images=images, groups=groups), split, 120))
    assert words in capsys.readouterr().out


def test_scores_of_objects_speak_of_objects(scores: Scores, capsys: pytest.CaptureFixture[str]) -> None:
    count = Metric("objects", "Objects", "Annotated objects.", unit="count")
    mean = scores.mean | {"objects": Estimate(1234.0, None, None)}
    of_objects = replace(scores, objects=ObjectScores((), ()), metrics=(*scores.metrics, count), mean=mean)
    console().print(*score_tables(of_objects, "test", 120))
    out = capsys.readouterr().out
    assert "by class over all objects" in out
    assert "1234" in out
    assert "1234.0" not in out


def test_scores_say_of_which_scenes_alone_they_speak(scores: Scores, capsys: pytest.CaptureFixture[str]) -> None:
    console().print(*score_tables(scores, "test", 120))
    assert "In brackets: 95 % interval over images." in " ".join(capsys.readouterr().out.split())
    unsure = {key: replace(estimate, low=None, high=None) for key, estimate in scores.mean.items()}
    few = replace(scores, groups=2, mean=unsure, scope="These two scenes only.")
    console().print(*score_tables(few, "test", 120))
    out = " ".join(capsys.readouterr().out.split())
    assert "No intervals: they need at least four groups that differ." in out
    assert "These two scenes only." in out


def test_predict_goes_on_and_says_so(stand_in, capsys: pytest.CaptureFixture[str]) -> None:
    image = SimpleNamespace(
        source=Path("a.png"), page=None, files={"mask": Path("p/masks/a.png")}, summary={"Sky": 4}, risk=0.12345
    )
    failure = SimpleNamespace(path=Path("b.png"), reason="b.png cannot be read: it is cut")
    calls: list = []
    outcome = SimpleNamespace(
        outputs=(Path("p/masks/a.png"),),
        failures=[failure],
        images=(image,),
        notes=("d is a data set",),
        videos=(),
        rejected=None,
    )
    asked: list = []
    stand_in("maskwright.workflows.predict", predict=record(calls, outcome), opened=record(asked, ("model", ())))
    assert run(["predict", "runs/one", "a.png", "b.png", "--save", "mask, overlay", "--out", "p", "--fast"]) == 2
    out, err = capsys.readouterr()
    assert out == "1 image predicted, results in p; 1 left out\n"
    assert "left out: b.png cannot be read: it is cut" in err
    assert "note: d is a data set\n" in err
    args, _ = calls[0]
    assert args[:3] == ("model", ["a.png", "b.png"], "p")
    assert args[3] == PredictRequest(("mask", "overlay"), fast=True)
    options = {"fast": True, "output_stride": None, "postprocess": None, "engine": None}
    assert asked[0] == ((Path("runs/one"), "auto"), options)
    more = ["--output-stride", "8", "--postprocess", "crf", "--pixel-size", "0.25um"]
    assert run(["predict", "runs/one", "a.png", *more]) == 2
    assert calls[1][0][3] == PredictRequest(pixel_size="0.25um")
    assert asked[1][1] == {"fast": False, "output_stride": 8, "postprocess": "crf", "engine": None}
    capsys.readouterr()
    assert run(["predict", "runs/one", "a.png", "b.png", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["outputs"] == ["p/masks/a.png"]
    assert document["images"] == [
        {"source": "a.png", "page": None, "files": {"mask": "p/masks/a.png"}, "summary": {"Sky": 4}, "risk": 0.1235}
    ]
    assert document["failures"] == [{"path": "b.png", "reason": "b.png cannot be read: it is cut"}]
    assert document["notes"] == ["d is a data set"]


@pytest.mark.parametrize("verb", ["models", "losses"])
def test_catalogs_are_listed(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    import importlib

    module = importlib.import_module(f"maskwright.{verb}")
    tables = (verb.upper(), "OBJECT_MODELS", "PIXEL_MODELS")
    names = {name for table in tables for name in getattr(module, table, {})}
    assert run([verb]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in shown for name in names)
    assert run([verb, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["models"] if verb == "models" else document) == names


def test_one_model_is_shown_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    from maskwright import models

    assert run(["models", "swiftnet"]) == 0
    shown = capsys.readouterr().out
    for words in ("Orsic", "docs/models/swiftnet.md", "compact", "model.options.OPTION=VALUE"):
        assert words in shown
    for option in models.options_of("swiftnet"):
        assert f"\n{option} " in shown
    assert re.search(r"\ngrids +\[8, 4, 2, 1\]", shown)
    assert re.search(r"\nalign_corners +false", shown)
    assert "unet" not in shown
    assert run(["models", "swiftnet", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["models"].values()
    assert entry["options"] == json.loads(json.dumps(models.options_of("swiftnet")))
    assert entry["page"] == "docs/models/swiftnet.md"
    assert run(["models", "swifnet"]) == 2
    assert "unknown model 'swifnet': did you mean 'swiftnet'?" in capsys.readouterr().err


def shown_exports(width: int, metric: str = "IoU", *, objects: bool = False) -> list[str]:
    """The lines of a table of exports."""
    from rich.console import Console

    from maskwright.cli.export import _engines
    from maskwright.report.exports import ExportRow, ExportTable

    rows = [
        ExportRow("trained", "torch", "float32", 1009.0, None, 0.8, 10**8),
        ExportRow("openvino-int8-half", "openvino", "int8", 504.5, 1.0, 0.8, 10**8),
        ExportRow("openvino-int8-half", "openvino", "int8 and bfloat16", 252.25, 1.0, 0.8, 10**8, fastest=True),
    ]
    console = Console(width=width)
    with console.capture() as printed:
        console.print(_engines(ExportTable(rows, metric, True, (512, 512), "a machine", objects=objects), width))
    return printed.get().splitlines()


def test_exports_are_told_apart_in_a_narrow_terminal() -> None:
    lines = shown_exports(48)
    place = next(at for at, line in enumerate(lines) if line.split()[:1] == ["openvino-int8-half"])
    assert [line.split() for line in lines[place : place + 3]] == [
        ["openvino-int8-half", "int8", "504.5", "80.00"],
        ["openvino-int8-half", "int8", "and", "252.2", "80.00"],
        ["(fastest", "here)", "bfloat16"],
    ]
    assert "columns that did not fit: times as fast, same label, MB (widen" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize(("metric", "objects"), [("IoU", False), ("panoptic quality", True)])
def test_all_of_an_export_fits_into_80_columns(metric: str, objects: bool) -> None:
    lines = shown_exports(80, metric, objects=objects)
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert [line.split() for line in lines if "504.5" in line] == [
        ["openvino-int8-half", "int8", "504.5", "2.00", "100.00", "%", "80.00", "100.0"]
    ]
    said = " ".join(" ".join(lines).split())
    assert "did not fit" not in said
    assert "(fastest here) bfloat16" in said


def test_models_have_a_cost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from maskwright import models
    from maskwright.models import cost

    monkeypatch.setattr(models, "MODELS", {name: models.MODELS[name] for name in ("swiftnet", "renet")})
    monkeypatch.setattr(cost, "cost_of", lambda name: cost.Cost(2_952_115, 3_165_737_984))
    monkeypatch.setattr(cost, "milliseconds_of", lambda name: 72.34)
    monkeypatch.setattr(cost, "threads", lambda: 1)
    assert run(["models", "--measure"]) == 0
    out, err = capsys.readouterr()
    assert "2.95 M" in out
    assert "3.17 G" in out
    assert "ms: median of 5 predictions, 1 thread, float32" in out
    assert "measuring renet" in err
    assert run(["models", "--measure", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cost"] == {"side": 512, "classes": 21, "threads": 1}
    assert document["models"]["renet"]["milliseconds"] == 72.3
    assert document["models"]["renet"]["parameters"] == 2_952_115
    assert document["models"]["renet"]["multiply_adds"] == 3_165_737_984
    assert run(["models", "--json"]) == 0
    assert "milliseconds" not in json.loads(capsys.readouterr().out)["models"]["renet"]


def test_demo_tells_where_everything_is(stand_in, result, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list = []
    outcome = SimpleNamespace(data=Path("d/data"), training=result, predictions=Path("d/predictions"))
    stand_in("maskwright.workflows.demo", demo=record(calls, outcome), write_data=record(calls, None), free_folder=None)
    assert run(["demo", "--out", "d", "--budget", "90s"]) == 0
    out = capsys.readouterr().out
    assert "0.871 (0.852..0.888)" in out
    assert "runs/one/report.html  <- open this in a browser" in out
    assert calls[0][1]["budget_seconds"] == 90
    assert run(["demo", "--out", "d", "--steps", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["predictions"] == "d/predictions"
    assert calls[1][1]["budget_seconds"] is None
    assert run(["demo", "--out", "d", "--data-only"]) == 0
    assert calls[2][0] == (Path("d"), 0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--steps", "5", "--budget", "1m"], "--budget and --steps each set the length of the training: keep one"),
        (["--steps", "0"], "--steps is 0, and it must be a whole number above 0"),
        (["--budget", "soon"], "'soon' is not a duration"),
        (["--budget", "5s"], "--budget is 5 s, and it must be 10 s or more"),
        (["--data-only", "--steps", "5"], "--data-only does not train, and --steps sets how long to train"),
    ],
)
def test_the_demo_refuses_what_it_could_not_honour(
    line: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list = []
    monkeypatch.setattr("maskwright.workflows.demo.write_mosaics", record(calls, None))
    assert run(["demo", "--out", str(tmp_path / "d"), *line]) == 2
    assert words in capsys.readouterr().err
    assert not calls
    assert not (tmp_path / "d").exists()


def test_map_is_read() -> None:
    assert parse_map(["37=ignore", " 3 = 2 ", "-9999=ignore", "-1=0"]) == {37: "ignore", 3: 2, -9999: "ignore", -1: 0}


@pytest.mark.parametrize("item", ["37", "=3", "a=1", "1=b", "1=--1", "--1=1", "1.5=2"])
def test_map_refuses_the_rest(item: str) -> None:
    with pytest.raises(MaskwrightError, match="--map 37=ignore"):
        parse_map([item])


def test_map_refuses_a_value_twice() -> None:
    with pytest.raises(MaskwrightError, match="mapped twice"):
        parse_map(["1=2", "1=3"])


def test_notes_and_reasons_name_options(stand_in, plan, result, capsys: pytest.CaptureFixture[str]) -> None:
    plan.reasons["train.budget_seconds"] = "the default time; change it with `budget`"
    stand_in("maskwright.workflows.plan", make_plan=record([], SimpleNamespace(plan=plan, notes=())))
    assert run(["plan", "data"]) == 0
    assert "the default time; change it with --budget" in " ".join(capsys.readouterr().out.split())

    def fit(*args, on_event, **kwargs):
        on_event(Note("choose another `out`"))
        return result

    stand_in("maskwright.workflows.train", train=fit)
    assert run(["train", "data"]) == 0
    assert capsys.readouterr().err == "note: choose another --out\n"
    noted = replace(result, notes=("give them with `read.classes`",))
    stand_in("maskwright.workflows.evaluate", evaluate=record([], noted))
    assert run(["evaluate", "runs/one", "data"]) == 0
    assert capsys.readouterr().err == "note: give them with --classes\n"
