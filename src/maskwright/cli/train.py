"""`maskwright train`: plan, fit, judge, save. The terminal's side of it: options, live progress, farewell."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskwright.cli.errors import DONE, NOTHING_WRITTEN
from maskwright.cli.options import AsJson, ClassNames, Device, Format, GroupBy, Ignore, Map, PlanSeed
from maskwright.cli.requests import (
    Backbone,
    Budget,
    Epochs,
    Freeze,
    FromRun,
    Lora,
    Model,
    PlanFile,
    Settings,
    Steps,
    Weights,
    plan_request,
)
from maskwright.cli.terminal import Terminal
from maskwright.core.durations import format_seconds
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import MODEL_FILE

if TYPE_CHECKING:
    from maskwright.cli.watch import Watch
    from maskwright.workflows.train import TrainResult

OptionalData = Annotated[
    Path | None,
    typer.Argument(metavar="DATA", help="Folder (or file) of images and masks; not needed with --resume."),
]
Resume = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Go on with this run from its last checkpoint, by its own plan.")
]
Out = Annotated[Path | None, typer.Option(metavar="RUN", help="Run folder to write.  [default: a new one below runs/]")]
Log = Annotated[
    list[str] | None, typer.Option(metavar="LOGGER", help="Also log to: wandb. CSV and TensorBoard are always written.")
]


def train(
    context: typer.Context,
    data: OptionalData = None,
    budget: Budget = None,
    steps: Steps = None,
    epochs: Epochs = None,
    model: Model = None,
    backbone: Backbone = None,
    weights: Weights = None,
    settings: Settings = None,
    plan_file: PlanFile = None,
    from_run: FromRun = None,
    freeze: Freeze = None,
    lora: Lora = None,
    resume: Resume = None,
    out: Out = None,
    device: Device = "auto",
    log: Log = None,
    format_name: Format = None,
    classes: ClassNames = None,
    ignore: Ignore = None,
    mapping: Map = None,
    group_by: GroupBy = None,
    seed: PlanSeed = None,
    as_json: AsJson = False,
) -> int:
    """Plan, train in the time given, and judge.

    The scores come from images that neither the training nor the choice of the model has seen.
    """
    _check_resume(context, data, resume)
    request = plan_request(locals(), time.monotonic())  # first: until a name is bound, locals() are the options
    terminal = Terminal(as_json=as_json)
    from maskwright.workflows.runs.preflight import check_resuming, check_training

    if resume is not None:
        check_resuming(resume, data)
    elif data is not None:
        check_training(data, plan_file, from_run, weights, out)
    from maskwright.workflows.train import train as fit

    with terminal.working(farewell) as watch:
        result = fit(data, request, out, resume=resume, loggers=tuple(log or ()), on_event=watch.on_event)
    terminal.answer(summary(result))
    show_result(terminal, result)
    return DONE


def show_result(terminal: Terminal, result: TrainResult) -> None:
    """Print the scores and where everything is."""
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
        "validation_iou": result.validation_iou,
        "scores": scores,
    }


def farewell(watch: Watch) -> str:
    """Say what is left after Ctrl-C, and how to go on."""
    saved = watch.saved
    if "train" not in watch.stages:  # the run folder is written when that one begins
        return NOTHING_WRITTEN
    if saved is None:
        return "interrupted before the first checkpoint: nothing was saved, and nothing can be resumed"
    return (
        f"interrupted: step {saved.step} is saved in {saved.run}. "
        f"Go on from there with: maskwright train --resume {saved.run}"
    )


def _check_resume(context: typer.Context, data: Path | None, resume: Path | None) -> None:
    """Refuse what a resumed run, which keeps its own plan, could not honour."""
    if resume is None:
        if data is None:
            raise MaskwrightError(
                "no data was named: give a folder, as in `maskwright train DATA`, or go on with a run by --resume RUN"
            )
        return
    free = {"data", "resume", "device", "log", "as_json"}
    given = [
        option
        for option in context.command.params
        if option.name not in free and context.get_parameter_source(str(option.name)).name == "COMMANDLINE"  # type: ignore[union-attr]
    ]
    if given:
        names = ", ".join(option.opts[0] for option in given)
        raise MaskwrightError(
            f"--resume goes on with the run's own plan, so that the result stays the same: leave out {names}, "
            "or start a new run without --resume"
        )
