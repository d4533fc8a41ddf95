"""`maskwright train`: plan, fit, evaluate, save. Options, live progress and the final message."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskwright.cli.errors import DONE, NOTHING_WRITTEN
from maskwright.cli.options import AsJson
from maskwright.cli.requests import takes_request
from maskwright.cli.terminal import Terminal
from maskwright.core.durations import format_seconds
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import MODEL_FILE
from maskwright.workflows.request import PlanRequest

if TYPE_CHECKING:
    from maskwright.cli.watch import Watch
    from maskwright.workflows.train import TrainResult

OptionalData = Annotated[
    Path | None,
    typer.Argument(metavar="DATA", help="Folder (or file) of images and masks; not needed with --resume."),
]
Resume = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Continue this run from its last checkpoint, with its plan.")
]
Out = Annotated[Path | None, typer.Option(metavar="RUN", help="Run folder to write.  [default: a new one below runs/]")]
Log = Annotated[
    list[str] | None, typer.Option(metavar="LOGGER", help="Also log to: wandb. CSV and TensorBoard are always written.")
]


@takes_request
def train(
    request: PlanRequest,
    data: OptionalData = None,
    resume: Resume = None,
    out: Out = None,
    log: Log = None,
    as_json: AsJson = False,
) -> int:
    """Plan, train within a time budget, and evaluate.

    The scores come from images that were used neither for training nor for choosing the model.
    """
    terminal = Terminal(as_json=as_json)
    from maskwright.workflows.runs.preflight import check_resuming, check_training

    if resume is not None:
        check_resuming(resume, data, request, out)
    elif data is not None:
        check_training(data, request, out)
    else:
        raise MaskwrightError(
            "no data was given: name a folder, as in `maskwright train DATA`, or continue a run with --resume RUN"
        )
    from maskwright.workflows.train import train as fit

    with terminal.working(farewell) as watch:
        result = fit(data, request, out, resume=resume, log=tuple(log or ()), on_event=watch.on_event)
    terminal.answer(summary(result))
    show_result(terminal, result)
    return DONE


def show_result(terminal: Terminal, result: TrainResult) -> None:
    """Print the scores and where the results are."""
    from maskwright.cli.scores import score_tables
    from maskwright.cli.tables import pairs

    if result.scores is not None:
        terminal.show(*score_tables(result.scores, "held-out", terminal.width))
    rows = [
        ("trained", f"{result.steps} steps; {format_seconds(result.seconds)} for the whole command"),
        ("model", str(result.run / MODEL_FILE)),
        ("report", str(result.run / "report.html")),
        ("use it", f"maskwright predict {result.run} IMAGES"),
    ]
    terminal.show(pairs("Run", rows))


def summary(result: TrainResult) -> dict[str, Any]:
    """Return the JSON document of a training."""
    scores = None if result.scores is None else result.scores.to_json()
    return {
        "run": result.run,
        "steps": result.steps,
        "seconds": result.seconds,
        "validation_score": result.validation_score,
        "scores": scores,
    }


def farewell(watch: Watch) -> str:
    """Return the message after Ctrl-C: what was saved, and how to continue."""
    saved = watch.saved
    if "train" not in watch.stages:  # the run folder is written when this stage begins
        return NOTHING_WRITTEN
    if saved is None:
        return "interrupted before the first checkpoint: no step was saved, so the training has to start again"
    return (
        f"interrupted: step {saved.step} is saved in {saved.run}. Continue with: maskwright train --resume {saved.run}"
    )
