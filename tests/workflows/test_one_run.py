"""One short run: how often its training reads the data, and how files of older formats are refused."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.numpy import load_file, save_file
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.cli.main import run as command
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.models import bundle
from maskwright.training import checkpoint
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.runs.provenance import data_hash
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("quiet_machine")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("toy") / "data")


@pytest.fixture(scope="module")
def finished(data: Path) -> Path:
    train(data, toy.request(steps=2), data.parent / "run")
    return data.parent / "run"


def counted(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any]) -> list[Any]:
    """Count the calls of a function, wherever it was imported to; the list grows by one entry a call."""
    calls: list[Any] = []

    def counting(*given: Any, **named: Any) -> Any:
        calls.append(given)
        return function(*given, **named)

    places = [module for name, module in sys.modules.items() if name.startswith("maskwright.")]
    for module in places:
        if vars(module).get(function.__name__) is function:
            monkeypatch.setattr(module, function.__name__, counting)
    return calls


def test_a_fresh_training_reads_the_layout_once_and_hashes_the_data_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, hashed = counted(monkeypatch, read_dataset), counted(monkeypatch, data_hash)
    train(data, toy.request(steps=1), tmp_path / "run")
    assert (len(read), len(hashed)) == (1, 1)
    known = json.loads((tmp_path / "run/environment.json").read_text())["data_hash"]
    assert json.loads((tmp_path / "run/data.json").read_text())["hash"] == known == data_hash(read_dataset(data))


def test_a_resumed_training_reads_and_hashes_once_too(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = toy.interrupted(finished, tmp_path / "run")
    read, hashed = counted(monkeypatch, read_dataset), counted(monkeypatch, data_hash)
    train(None, PlanRequest(device="cpu"), resume=run)
    assert (len(read), len(hashed)) == (1, 1)


def aged(file: Path, key: str, text: str) -> None:
    """Write another text into a file's metadata; its tensors stay."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as stream:
        metadata = dict(stream.metadata())
    assert metadata[key] != text
    save_file(load_file(file), file, {**metadata, key: text})


@pytest.fixture
def old_model(finished: Path, tmp_path: Path) -> Path:
    """A run whose model file has the format before this one."""
    run = shutil.copytree(finished, tmp_path / "old")
    card = json.loads(bundle.read_card(run / "model.safetensors").model_dump_json())
    card.update(format=bundle.FORMAT - 1, maskwright="0.0.9", temperature=1.7)
    del card["decoding"], card["channels"], card["task"]
    aged(run / "model.safetensors", bundle.CARD_KEY, json.dumps(card))
    return run


def test_a_model_file_of_an_older_format_is_refused_by_every_verb(old_model: Path, data: Path, tmp_path: Path) -> None:
    words = (
        rf"model\.safetensors was written by maskwright 0\.0\.9 in format {bundle.FORMAT - 1}, and this version reads "
        rf"format {bundle.FORMAT}: train the model again, or use the version that wrote it"
    )
    for use in (
        lambda: mw.load(old_model),
        lambda: mw.predict(old_model, data / "images/test", out=tmp_path / "masks"),
        lambda: mw.evaluate(old_model, data, out=tmp_path / "scores"),
        lambda: mw.evaluate(old_model, data, out=tmp_path / "scores", postprocess="crf"),
        lambda: mw.plan(data, from_run=old_model, steps=2),
        lambda: mw.train(data, from_run=old_model, steps=2, out=tmp_path / "new"),
    ):
        with pytest.raises(MaskwrightError, match=words):
            use()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


def test_the_command_line_refuses_it_with_the_same_words(
    old_model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["evaluate", str(old_model), str(data)]) == 2
    assert f"in format {bundle.FORMAT - 1}, and this version reads" in " ".join(capsys.readouterr().err.split())


def test_a_run_with_a_checkpoint_of_an_older_format_is_not_resumed_and_stays_as_it_is(
    finished: Path, tmp_path: Path
) -> None:
    run = toy.interrupted(finished, tmp_path / "run")
    (point,) = (run / checkpoint.FOLDER).iterdir()
    older = str(int(checkpoint.VERSION) - 1)
    aged(point, checkpoint.MARK, older)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    words = (
        rf"{point.name} is a checkpoint of format {older}, and this version reads format {checkpoint.VERSION}: "
        r"continue with the version that began the training, or start a new training with another `out`"
    )
    with pytest.raises(MaskwrightError, match=words):
        train(None, PlanRequest(device="cpu"), resume=run)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "tensorboard" not in path.parts}
    assert after == {path: content for path, content in before.items() if "tensorboard" not in path.parts}


def test_a_plan_of_another_version_is_refused(finished: Path, tmp_path: Path) -> None:
    run = toy.interrupted(finished, tmp_path / "run")
    text = (run / "plan.yaml").read_text()
    (run / "plan.yaml").write_text(text.replace("version: 1\n", "version: 0\n"))
    with pytest.raises(MaskwrightError, match=r"plan\.yaml: version is 0, and it must be 1"):
        train(None, PlanRequest(device="cpu"), resume=run)
