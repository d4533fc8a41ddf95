"""The demo: included data, then the same steps as for any other data. Prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.events import Stage
from maskwright.core.text import plural
from maskwright.data.formats import read_dataset
from maskwright.data.mosaics import write_mosaics
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_request import PredictRequest
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.train import TrainResult, train

if TYPE_CHECKING:
    from maskwright.core.events import OnEvent

USUAL_SECONDS = 180.0


@dataclass(frozen=True)
class DemoResult:
    """Results of the demo.

    Attributes:
        data: folder of the mosaics.
        training: the run, its scores on the test images, its steps and seconds.
        predictions: folder of masks and overlays of the test images.
    """

    data: Path
    training: TrainResult
    predictions: Path


def write_data(folder: Path, seed: int = 0) -> None:
    """Write the mosaics of photographed textures into `folder`.

    Raises:
        MaskwrightError: the folder cannot be written.
    """
    write_mosaics(folder, seed)


def free_folder() -> Path:
    """Return `runs/demo`, or the first of `runs/demo-2`, `runs/demo-3`, ... that does not exist yet."""
    number = 1
    while (folder := Path("runs", "demo" if number == 1 else f"demo-{number}")).exists():
        number += 1
    return folder


def demo(
    out: Path | None = None,
    *,
    budget_seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    on_event: OnEvent | None = None,
) -> DemoResult:
    """Write the data, train on it, evaluate the model and predict.

    Args:
        out: folder for `data`, `run` and `predictions`; None for a new one below `runs/`.
        budget_seconds: for training and evaluation; three minutes if `steps` is not given either.
        steps: exact number of optimiser steps, instead of a budget.
        seed: of the data and of the training.
        device: `auto`, `cpu`, `cuda`, ...
        on_event: called with progress and notes.

    Raises:
        MaskwrightError: both lengths are given, or `out` cannot be written.
    """
    if budget_seconds is None and steps is None:
        budget_seconds = USUAL_SECONDS
    request = PlanRequest(budget=budget_seconds, steps=steps, seed=seed, device=device)
    out = out or free_folder()
    data, predictions = out / "data", out / "predictions"
    _tell(on_event, "data", f"mosaics of photographed textures, to {data}")
    write_mosaics(data, seed)
    training = train(data, request, out / "run", on_event=on_event)
    test = [str(record.image) for record in read_dataset(data).part("test")]
    _tell(on_event, "predict", f"{plural(len(test), 'test image')}, to {predictions}")
    predict(training.run, test, predictions, PredictRequest(("mask", "overlay"), device))
    return DemoResult(data, training, predictions)


def _tell(on_event: OnEvent | None, name: str, detail: str) -> None:
    if on_event is not None:
        on_event(Stage(name, detail))
