"""A model file that changes while requests come: the new model is used, a bad one is not, and no request is lost."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import threading
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tests.serve.conftest import picture, png, save_model, serving, until

from maskwright.core.errors import MaskwrightError
from maskwright.inference import Predictor
from maskwright.serve.models import Served, Watcher, load_all
from maskwright.serve.settings import ServeRequest

if TYPE_CHECKING:
    from pathlib import Path

CPU = ServeRequest(device="cpu")


@pytest.fixture
def folder(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "leaves")


def test_a_new_file_at_rest_becomes_the_model(folder: Path) -> None:
    served = Served("leaves", folder, CPU)
    before = served.current
    assert served.refresh() is None
    save_model(folder, seed=8)
    assert served.refresh() is None, "it may still be changing"
    assert served.refresh() is True
    assert served.current.sha256 != before.sha256
    image = picture()
    wanted = Predictor.load(folder, "cpu").predict(image).labels
    assert np.array_equal(served.current.predictor.predict(image).labels, wanted)
    assert not np.array_equal(before.predictor.predict(image).labels, wanted), "the old model still is what it was"
    assert served.refresh() is None


@pytest.mark.parametrize("content", [b"", b"no model", None], ids=["empty", "text", "cut"])
def test_a_bad_file_leaves_the_old_model(
    folder: Path, content: bytes | None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another library may have disabled the loggers that were there when it set up its own.
    monkeypatch.setattr(logging.getLogger("maskwright.serve"), "disabled", False)
    caplog.set_level(logging.WARNING, logger="maskwright.serve")
    served = Served("leaves", folder, CPU)
    before, file = served.current, folder / "model.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2] if content is None else content)
    assert [served.refresh() for _ in range(4)] == [None, False, None, None], "it is tried once"
    assert served.current is before
    assert "the old model stays in use" in caplog.text
    file.write_bytes(good)
    assert [served.refresh() for _ in range(3)] == [None, True, None]
    assert served.current.sha256 == before.sha256


def test_an_export_is_taken_once_its_hashes_are_there(folder: Path) -> None:
    def write_hashes() -> None:
        sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        (folder / "parity.json").write_text(json.dumps({"files_sha256": {"model.safetensors": sha256}}))

    write_hashes()
    served = Served("leaves", folder, CPU)
    before = served.current
    save_model(folder, seed=8)  # as a slow copy of another export, whose comparison comes last
    assert [served.refresh() for _ in range(3)] == [None, False, None]
    assert served.current is before
    write_hashes()
    assert [served.refresh() for _ in range(3)] == [None, True, None]
    assert served.current.sha256 != before.sha256


def test_a_file_that_is_gone_leaves_the_old_model(folder: Path) -> None:
    served = Served("leaves", folder, CPU)
    before = served.current
    (folder / "model.safetensors").unlink()
    assert [served.refresh() for _ in range(3)] == [None, None, None]
    assert served.current is before


def test_a_network_that_fails_on_a_tile_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served("leaves", folder, CPU)
    before = served.current
    save_model(folder, seed=8)

    def fails(*_arguments: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("maskwright.inference.engine.TorchEngine.forward", fails)
    assert [served.refresh() for _ in range(2)] == [None, False]
    assert served.current is before


def test_names_come_from_folders_or_are_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    file = str(folder / "model.safetensors")
    assert list(load_all([".", f"other={folder}", f"file={file}"], CPU)) == ["leaves", "other", "file"]
    assert list(load_all([file], CPU)) == ["leaves"]
    with pytest.raises(MaskwrightError, match=r"two models are called leaves .* leaves2="):
        load_all([str(folder), file], CPU)
    with pytest.raises(MaskwrightError, match="does not exist"):
        load_all([str(folder / "nothing")], CPU)


def test_the_watcher_tells(folder: Path) -> None:
    told = []
    served = Served("leaves", folder, CPU)
    watcher = Watcher([served], lambda *what: told.append(what), seconds=0.01)
    save_model(folder, seed=8)
    until(lambda: told)
    watcher.close()
    assert told == [("leaves", True)]


def test_no_request_is_lost_while_models_change(folder: Path) -> None:
    """Every answer is that of one model or the other, whole."""
    pytest.importorskip("fastapi")
    image = picture((150, 150))
    old = Predictor.load(folder, "cpu").predict(image).labels
    other = save_model(folder.parent / "other", seed=8)
    new = Predictor.load(other, "cpu").predict(image).labels
    with serving([str(folder)]) as running:
        answers, stop = [], threading.Event()

        def ask() -> None:
            while not stop.is_set():
                answers.append(running.predict(png(image)))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 3)
        shutil.copy(other / "model.safetensors", folder)
        wanted = hashlib.sha256((other / "model.safetensors").read_bytes()).hexdigest()
        until(lambda: json.loads(running.ask("GET", "/v1/model").body)["models"][0]["sha256"] == wanted)
        seen = len(answers)
        until(lambda: len(answers) > seen + 6)
        stop.set()
        for thread in threads:
            thread.join()
        assert {answer.status for answer in answers} == {200}
        labels = [np.asarray(Image.open(BytesIO(answer.body))) for answer in answers]
        assert all(np.array_equal(each, old) or np.array_equal(each, new) for each in labels)
        assert np.array_equal(labels[0], old)
        assert np.array_equal(labels[-1], new)
