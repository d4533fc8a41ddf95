"""Where a training's numbers go: a CSV file, TensorBoard events, Weights & Biases when asked. Knows no loop."""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

Row = dict[str, float | int | None]
COLUMNS = ("step", "seconds", "loss", "lr", "val_iou")


class Logger(Protocol):
    """Something that keeps numbers and pictures."""

    def numbers(self, row: Row) -> None:
        """Keep one row of the history."""

    def picture(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """Keep one RGB picture (H, W, 3)."""

    def close(self) -> None:
        """Write out what is still in hand."""


class TensorBoard:
    """Event files that `tensorboard --logdir RUN` shows."""

    def __init__(self, run: Path) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(run / "tensorboard"), flush_secs=30)

    def numbers(self, row: Row) -> None:
        """Write every number of the row as a scalar."""
        for name, value in row.items():
            if name != "step" and value is not None:
                self._writer.add_scalar(name, value, row["step"])

    def picture(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """Write the picture."""
        self._writer.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()


class WandB:
    """Weights & Biases, in whatever mode the user's environment says (`WANDB_MODE=offline` needs no network)."""

    def __init__(self, run: Path, config: dict[str, Any]) -> None:
        import wandb

        self._wandb = wandb
        self._run = wandb.init(project="maskwright", name=run.name, dir=str(run), config=config, resume="allow")

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
    """Make sure, before any work is done, that the loggers can be had.

    Raises:
        MaskwrightError: no logger has that name, or its package is missing.
    """
    for name in names:
        if name not in LOGGERS:
            raise unknown_name("logger", name, LOGGERS)
    if "wandb" in names and find_spec("wandb") is None:
        raise MaskwrightError('--log wandb needs the package wandb: pip install "maskwright[wandb]"')


def create(names: tuple[str, ...], run: Path, config: dict[str, Any]) -> list[Logger]:
    """Build TensorBoard's logger, and those asked for by name.

    Raises:
        MaskwrightError: no logger has that name, or its package is missing.
    """
    check(names)
    return [LOGGERS[name](run, config) for name in dict.fromkeys(("tensorboard", *names))]


def write_history(path: Path, rows: list[Row]) -> None:
    """Write `history.csv` atomically: one row every so many steps, `val_iou` only where it was measured."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if row.get(name) is None else row[name] for name in COLUMNS} for row in rows)
    write_text(path, text.getvalue())
