from __future__ import annotations

import csv
import errno
import io
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from maskwright.core.errors import MaskwrightError
from maskwright.training import loggers

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.training.loggers import Row

ROWS: list[Row] = [
    {"step": 5, "seconds": 1.25, "loss": 0.1 + 0.2, "lr": 2e-3, "val_iou": None},
    {"step": 10, "seconds": 2.5, "loss": 0.25, "lr": 1e-3, "val_iou": 0.5},
]


def test_history_is_a_table_with_gaps_where_nothing_was_measured(tmp_path: Path) -> None:
    loggers.write_history(tmp_path / "history.csv", ROWS)
    text = (tmp_path / "history.csv").read_text()
    assert text.splitlines()[0] == "step,seconds,loss,lr,val_iou"
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["val_iou"] for row in rows] == ["", "0.5"]
    assert float(rows[0]["loss"]) == 0.1 + 0.2
    assert [row["step"] for row in rows] == ["5", "10"]


def test_history_of_nothing_is_a_heading_without_what_is_not_known_yet(tmp_path: Path) -> None:
    loggers.write_history(tmp_path / "history.csv", [])
    assert (tmp_path / "history.csv").read_text() == "step,seconds,loss,lr\n"


def events(folder: Path) -> list[Any]:
    """Read an event file with its own definition: length, check sum, event, check sum, again and again."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in folder.iterdir():
        content, at = path.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            found.append(Event.FromString(content[at + 12 : at + 12 + length]))
            at += 16 + length
    return found


def test_tensorboard_is_there_unasked_and_its_events_can_be_read_back(tmp_path: Path) -> None:
    (writer,) = loggers.create((), tmp_path, {})
    for row in ROWS:
        writer.numbers(row)
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 0] = 200
    writer.picture("validation/0", picture, 10)
    writer.close()
    found = events(tmp_path / "tensorboard")
    values = {(event.step, value.tag): value for event in found for value in event.summary.value}
    numbers = {key: value.simple_value for key, value in values.items() if value.HasField("simple_value")}
    assert numbers == pytest.approx(
        {
            (5, "seconds"): 1.25,
            (5, "loss"): 0.3,
            (5, "lr"): 2e-3,
            (10, "seconds"): 2.5,
            (10, "loss"): 0.25,
            (10, "lr"): 1e-3,
            (10, "val_iou"): 0.5,
        }
    )
    image = values[10, "validation/0"].image
    assert (image.height, image.width) == (4, 6)
    assert image.encoded_image_string.startswith(b"\x89PNG")


def test_a_resumed_training_tells_tensorboard_to_forget_what_comes_again(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import SessionLog

    for _ in range(2):  # within one second, and yet two files
        (writer,) = loggers.create((), tmp_path, {})
        writer.resumed(10)
        writer.close()
    starts = [event for event in events(tmp_path / "tensorboard") if event.HasField("session_log")]
    assert [(event.step, event.session_log.status) for event in starts] == [(11, SessionLog.START)] * 2


def test_a_full_disk_is_an_error_and_not_a_halt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboardX import record_writer

    opened = Broken()
    monkeypatch.setattr(record_writer, "open_file", lambda _path: opened)
    (writer,) = loggers.create((), tmp_path, {})
    opened.full = True
    for write in (
        lambda: writer.numbers(ROWS[0]),
        lambda: writer.picture("a", np.zeros((4, 6, 3), np.uint8), 1),
        writer.close,
    ):
        with pytest.raises(MaskwrightError, match=r"tensorboard could not be written: the disk is full"):
            write()


class Broken(io.BytesIO):
    """A file on a disk that becomes full."""

    full = False

    def write(self, content: Any, /) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)

    def close(self) -> None:
        super().close()
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(MaskwrightError, match="tensorboard could not be written"):
        loggers.create((), tmp_path, {})


def test_an_unknown_logger_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(
        MaskwrightError, match=r"^unknown logger 'wandbb': did you mean 'wandb'\? Available: tensorboard, wandb$"
    ):
        loggers.create(("wandbb",), tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda _name: None)
    with pytest.raises(MaskwrightError, match=r'pip install "maskwright\[wandb\]"'):
        loggers.create(("wandb",), tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    loggers.check(("tensorboard",))


@pytest.mark.skipif(find_spec("wandb") is None, reason="the extra wandb is not installed")
def test_wandb_without_a_login_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = kept | {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
    code = "from maskwright.training import loggers; loggers.check(('wandb',))"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "MaskwrightError: the logger wandb: Weights & Biases cannot be used (" in done.stderr
    assert "log in with `wandb login`, or set WANDB_MODE=offline" in done.stderr
    subprocess.run(words, env=environment | {"WANDB_MODE": "offline"}, stdin=subprocess.DEVNULL, check=True)


@pytest.mark.skipif(find_spec("wandb") is None, reason="the extra wandb is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wandb_works_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("MODE", "offline"),
        ("SILENT", "true"),
        ("CACHE_DIR", str(tmp_path)),
        ("CONFIG_DIR", str(tmp_path)),
    ):
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = tmp_path / "run"
    run.mkdir()
    writers = loggers.create(("wandb", "wandb"), run, {"optim": {"lr": 1.0}})
    assert [type(writer).__name__ for writer in writers] == ["TensorBoard", "WandB"]
    for writer in writers:
        writer.picture("validation/0", np.zeros((4, 6, 3), np.uint8), 5)
        writer.numbers(ROWS[0])
        writer.close()
    first = (run / "wandb-id.txt").read_text()
    for writer in loggers.create(("wandb",), run, {}):
        writer.resumed(5)
        writer.close()
    assert first
    assert (run / "wandb-id.txt").read_text() == first
    record, _ = sorted(run.rglob("*.wandb"))
    assert first in record.name
    assert record.stat().st_size > 500
    (picture,) = (run / "wandb").rglob("0_*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
