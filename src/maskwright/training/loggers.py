"""Loggers of a training: a CSV file, TensorBoard events and, on request, Weights & Biases. Knows no loop."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import platform
import secrets
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.files import write_error, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

Row = dict[str, float | int | None]
FLUSH_SECONDS = 30.0
COLUMNS = ("step", "seconds", "loss", "lr")


class Logger(Protocol):
    """Logs numbers and pictures."""

    def numbers(self, row: Row) -> None:
        """Log one row of the history."""

    def picture(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """Log one RGB picture (H, W, 3)."""

    def resumed(self, step: int) -> None:
        """Prepare for a training that resumes after `step`: rows of later steps are logged again."""

    def close(self) -> None:
        """Write everything that is still buffered."""


class TensorBoard:
    """Event files for `tensorboard --logdir RUN`, written in the thread that logs.

    tensorboardX's own writer uses a background thread. A full disk kills that thread, and the next call waits for it
    forever.

    Raises:
        MaskwrightError: (any method) the disk is full, or the folder cannot be written.
    """

    def __init__(self, run: Path) -> None:
        from tensorboardX import summary
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        self._summary, self._event, self._session = summary, Event, SessionLog
        self._folder = run / "tensorboard"
        self._flushed = time.monotonic()
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            # Two writers may start in the same second, and the usual name has no finer time.
            name = f"events.out.tfevents.{int(time.time())}.{platform.node()}.{os.getpid()}.{time.time_ns()}"
            self._file = RecordWriter(str(self._folder / name))
        self._write(0, file_version="brain.Event:2")

    def resumed(self, step: int) -> None:
        """Tell readers to discard what an earlier process wrote for later steps."""
        start = self._session(status=self._session.START)
        self._write(step + 1, session_log=start)

    def numbers(self, row: Row) -> None:
        """Write every number of the row as a scalar."""
        for name, value in row.items():
            if name != "step" and value is not None:
                self._write(row["step"], summary=self._summary.scalar(name, value))

    def picture(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """Write the picture."""
        self._write(step, summary=self._summary.image(name, image, dataformats="HWC"))

    def close(self) -> None:
        """Write out what is buffered and close the file."""
        with self._writing():
            self._file.close()

    def _write(self, step: float | None, **content: Any) -> None:
        with self._writing():
            event = self._event(wall_time=time.time(), step=int(step or 0), **content)
            self._file.write(event.SerializeToString())
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._file.flush()
                self._flushed = time.monotonic()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise write_error(self._folder, error) from error


class WandB:
    """Weights & Biases, in the mode that the user's environment sets (`WANDB_MODE=offline` needs no network)."""

    def __init__(self, run: Path, config: dict[str, Any]) -> None:
        import wandb

        self._wandb = wandb
        name = run / "wandb-id.txt"
        if not name.exists():
            write_text(name, secrets.token_hex(4))
        with _explained():
            self._run = wandb.init(
                project="maskwright",
                id=name.read_text(encoding="utf-8"),
                name=run.name,
                dir=str(run),
                config=config,
                resume="allow",
            )

    def resumed(self, step: int) -> None:
        """Do nothing: Weights & Biases itself ignores steps that are logged again."""

    def numbers(self, row: Row) -> None:
        """Log every number of the row."""
        values = {name: value for name, value in row.items() if name != "step" and value is not None}
        self._run.log(values, step=row["step"])

    def picture(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """Log the picture."""
        self._run.log({name: self._wandb.Image(image)}, step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


LOGGERS: dict[str, Callable[[Path, dict[str, Any]], Logger]] = {
    "tensorboard": lambda run, _config: TensorBoard(run),
    "wandb": WandB,
}


def check(names: tuple[str, ...]) -> None:
    """Check, before any work is done, that the loggers are available.

    Raises:
        MaskwrightError: no logger has that name, its package is missing, or nobody is logged in.
    """
    for name in names:
        if name not in LOGGERS:
            raise unknown_name("logger", name, LOGGERS, "log")
    if "wandb" in names and find_spec("wandb") is None:
        raise MaskwrightError('the logger wandb needs the package wandb: pip install "maskwright[wandb]"')
    if "wandb" in names and os.environ.get("RANK", "0") == "0":  # of several processes only the first one logs
        _check_login()


def _check_login() -> None:
    import wandb

    if wandb.setup().settings.mode not in {"offline", "dryrun", "disabled"}:
        with _explained():
            wandb.login(verify=False)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn an error of Weights & Biases into one of ours."""
    from wandb.errors import Error

    try:
        yield
    except Error as error:
        raise MaskwrightError(
            f"the logger wandb: Weights & Biases cannot be used ({' '.join(str(error).split()).rstrip('.')}): log in "
            "with `wandb login`, or set WANDB_MODE=offline and send the numbers later with `wandb sync`"
        ) from error


def create(names: tuple[str, ...], run: Path, config: dict[str, Any]) -> list[Logger]:
    """Create the TensorBoard logger and the loggers requested by name.

    Raises:
        MaskwrightError: no logger has that name, or its package is missing.
    """
    check(names)
    return [LOGGERS[name](run, config) for name in dict.fromkeys(("tensorboard", *names))]


def write_history(path: Path, rows: list[Row]) -> None:
    """Write `history.csv` atomically, with one row every so many steps.

    The validation score is empty where it was not measured. Columns that only some trainings have come last.
    """
    text = io.StringIO()
    columns = list(dict.fromkeys((*COLUMNS, *(name for row in rows for name in row))))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if row.get(name) is None else row[name] for name in columns} for row in rows)
    write_text(path, text.getvalue())
