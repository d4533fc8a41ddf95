from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Event, Saved, Stage
from maskwright.core.keywords import request_of
from maskwright.data.formats import ReadOptions
from maskwright.data.mosaics import write_mosaics
from maskwright.workflows import demo
from maskwright.workflows.request import EvaluateRequest, PlanRequest

small = partial(write_mosaics, train=4, val=2, test=2, size=64)


def test_keywords_become_a_request() -> None:
    given = {"budget": "1h30m", "settings": ["optim.lr=1e-3"], "model": "unet", "plan_file": "a.yaml", "seed": 3}
    request = request_of(PlanRequest, None, given)
    assert request == PlanRequest(
        budget="1h30m", settings=("optim.lr=1e-3",), model="unet", plan_file=Path("a.yaml"), seed=3
    )
    assert request.budget_seconds == 5400
    assert request.read == ReadOptions()
    assert request_of(EvaluateRequest, None, {"out": "there"}) == EvaluateRequest(out=Path("there"))


def test_an_unknown_keyword_is_refused_with_the_known_ones() -> None:
    with pytest.raises(mw.MaskwrightError, match="unknown keyword 'bugdet': did you mean 'budget'"):
        mw.plan("data", bugdet="3m")
    with pytest.raises(mw.MaskwrightError, match="unknown keyword 'bugdet': did you mean 'budget'"):
        mw.train("data", bugdet="3m")
    with pytest.raises(mw.MaskwrightError, match="unknown keyword 'spilt': did you mean 'split'"):
        mw.evaluate("run", "data", spilt="val")


def test_a_request_and_its_fields_are_not_both_taken() -> None:
    with pytest.raises(mw.MaskwrightError, match="both a request and model are given: put model into the request"):
        mw.plan("data", mw.PlanRequest(steps=3), model="unet")
    with pytest.raises(mw.MaskwrightError, match="both a request and steps are given"):
        mw.train("data", mw.PlanRequest(), steps=3)
    with pytest.raises(mw.MaskwrightError, match="both a request and split are given"):
        mw.evaluate("run", "data", mw.EvaluateRequest(), split="val")


@pytest.mark.parametrize("request_type", [PlanRequest, EvaluateRequest])
def test_every_field_of_a_request_is_explained(request_type: type) -> None:
    assert all(f"\n        {name}: " in str(request_type.__doc__) for name in request_type.__dataclass_fields__)


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ({"from_run": "base"}, "`from_run`"),
        ({"settings": ["optim.lr=1"]}, "`settings`"),
        ({"steps": 5, "read": ReadOptions(ignore=3)}, "`steps`, `read.ignore`"),
        ({"read": ReadOptions(ignore=0, nodata=0)}, "`read.ignore`, `read.nodata`"),
        ({"freeze": "backbone", "lora": 4, "task": "semantic"}, "`task`, `freeze`, `lora`"),
        ({"out": "elsewhere"}, "`out`"),
    ],
)
def test_a_resumed_run_drops_no_wish_in_silence(tmp_path: Path, wish: dict[str, Any], name: str) -> None:
    with pytest.raises(
        mw.MaskwrightError, match=f"own plan, .*: leave out {name}, or start a new run without `resume`"
    ):
        mw.train(resume=tmp_path, device="cpu", **wish)


def test_demo_goes_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "write_mosaics", small)
    monkeypatch.chdir(tmp_path)
    events: list[Event] = []
    result = demo.demo(budget_seconds=None, steps=2, on_event=events.append)
    assert result.data == Path("runs/demo/data")
    assert result.training.steps == 2
    assert result.training.scores is not None
    assert result.training.scores.images == 2
    assert (result.training.run / "report.html").stat().st_size > 10_000
    assert len(list((result.predictions / "masks").rglob("*.png"))) == 2
    stages = [event.name for event in events if isinstance(event, Stage)]
    assert (stages[0], stages[-1]) == ("data", "predict")
    assert any(isinstance(event, Saved) for event in events)
    assert demo.free_folder() == Path("runs/demo-2")


def test_the_verbs_from_python(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    small(data)
    assert mw.inspect(str(data)).images == 8
    assert mw.plan(data, mw.PlanRequest(steps=2, model="unet")).model.name == "unet"
    result = mw.train(
        data, steps=2, out=run, settings=["sampling.batch=2", "sampling.crop=[64,64]", "model.pretrained=false"]
    )
    assert result.run == run
    judged = mw.evaluate(run, data, split="val", out=tmp_path / "report")
    assert judged.scores.images == 2
    test = sorted((data / "images/test").iterdir())
    labels = mw.load(run).predict(test[0]).labels
    assert labels.shape == (64, 64)
    written = mw.predict(run, test[0], out=tmp_path / "one")
    assert len(written.outputs) == 1
    assert not written.failures


@pytest.mark.parametrize(
    ("key", "call"),
    [
        ("run", lambda: mw.load(None)),
        ("run", lambda: mw.evaluate(3, "data")),
        ("data", lambda: mw.evaluate("run", None)),
        ("run", lambda: mw.predict(None, "image.png")),
        ("data", lambda: mw.inspect(None)),
        ("data", lambda: mw.plan(["data"])),
    ],
)
def test_what_is_no_path_is_refused(key: str, call: Any) -> None:
    with pytest.raises(MaskwrightError, match=rf"^`{key}` is (None|of type int|of type list), .* give (the|a) folder"):
        call()
