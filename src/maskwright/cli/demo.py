"""`maskwright demo`: the whole way from data to predictions, on included data. The work is done in workflows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.flags import REQUEST_OPTIONS
from maskwright.cli.options import AsJson, Device, Seed
from maskwright.cli.terminal import Terminal
from maskwright.cli.train import farewell, summary
from maskwright.core.durations import format_seconds, parse_seconds
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import MODEL_FILE

if TYPE_CHECKING:
    from maskwright.workflows.demo import DemoResult

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder for the data, the run and the predictions.  [default: a new one below runs/]"
    ),
]
Budget = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time for the training, e.g. 90s or 10m.  [default: 3m]")
]
Steps = Annotated[int | None, typer.Option(metavar="N", help=REQUEST_OPTIONS["steps"].help)]
DataOnly = Annotated[bool, typer.Option("--data-only", help="Only write the data into the folder, without training.")]


def demo(
    out: Out = None,
    budget: Budget = None,
    steps: Steps = None,
    data_only: DataOnly = False,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> int:
    """Train, evaluate and predict on included data.

    Writes mosaics of photographed textures, trains a model, evaluates it and predicts.
    """
    seconds = None if budget is None else parse_seconds(budget, "budget")
    if data_only and (budget is not None or steps is not None):
        raise MaskwrightError(
            f"--data-only does not train, and {'--steps' if budget is None else '--budget'} sets how long to train: "
            "keep one of them"
        )
    from maskwright.workflows.demo import demo as travel
    from maskwright.workflows.demo import free_folder, write_data

    terminal = Terminal(as_json=as_json)
    if data_only:
        with terminal.working():
            folder = out or free_folder()
            write_data(folder, seed)
        terminal.answer({"data": folder})
        terminal.show(f"data written to {folder}: try `maskwright inspect {folder}`")
        return DONE
    # Before training starts, data may already have been written.
    with terminal.working(lambda watch: farewell(watch) if "train" in watch.stages else "interrupted") as watch:
        result = travel(out, budget_seconds=seconds, steps=steps, seed=seed, device=device, on_event=watch.on_event)
    terminal.answer({"data": result.data, "predictions": result.predictions, **summary(result.training)})
    _show(terminal, result)
    return DONE


def _show(terminal: Terminal, result: DemoResult) -> None:
    """Print the scores and where the results are."""
    from maskwright.cli.scores import score_tables
    from maskwright.cli.tables import pairs

    run = result.training.run
    if result.training.scores is not None:
        terminal.show(*score_tables(result.training.scores, "held-out", terminal.width))
    rows = [
        (
            "trained",
            f"{result.training.steps} steps; {format_seconds(result.training.seconds)} with planning and evaluation",
        ),
        ("data", str(result.data)),
        ("model", str(run / MODEL_FILE)),
        ("predictions", str(result.predictions)),
        ("report", f"{run / 'report.html'}  <- open this in a browser"),
    ]
    terminal.show(pairs("Demo", rows))
