"""`maskwright tune`: search for a better plan within a time, and train by it. Decides nothing itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson
from maskwright.cli.requests import takes_request
from maskwright.cli.terminal import Terminal
from maskwright.core.errors import MaskwrightError
from maskwright.workflows.request import PlanRequest

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maskwright.cli.watch import Watch
    from maskwright.workflows.tune_parts.result import TuneResult

USUAL = "1h"
OptionalData = Annotated[
    Path | None,
    typer.Argument(metavar="DATA", help="Folder (or file) of images and masks; not needed with --resume."),
]
Trials = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Most plans to try, the planned one included.  [default: as many as the time allows]"
    ),
]
Resume = Annotated[Path | None, typer.Option(metavar="RUN", help="Continue the interrupted search in this run folder.")]
Out = Annotated[Path | None, typer.Option(metavar="RUN", help="Run folder to write.  [default: a new one below runs/]")]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="CLUSTER", help="ray: train the trials on a Ray cluster.", show_default=False),
]


@takes_request
def tune(
    request: PlanRequest,
    data: OptionalData = None,
    trials: Trials = None,
    resume: Resume = None,
    out: Out = None,
    on: On = None,
    as_json: AsJson = False,
) -> int:
    """Search for a better plan, and train by it.

    Tries changes of the plan for part of the time, an hour if none is given. The best one is accepted only if it is
    better on validation images that did not choose it. What you set is not changed. The result is a run like any other.
    """
    from maskwright.workflows.request import check_resume
    from maskwright.workflows.runs.preflight import check_training

    if resume is not None:
        check_resume(request, out)
    elif data is None:
        raise MaskwrightError("a search needs DATA, a folder of images and masks, or --resume RUN")
    else:
        check_training(data, request, out)
        if not _has_length(request):
            request = replace(request, budget=USUAL)
    from maskwright.workflows.tune import tune as search

    terminal = Terminal(as_json=as_json)
    with terminal.working(_farewell) as watch:
        result = search(data, request, out, trials=trials, resume=resume, on=on, on_event=watch.on_event)
    scores = None if result.scores is None else result.scores.to_json()
    terminal.answer({"run": result.run, **result.to_json(), "scores": scores})
    terminal.show(*_tables(result, terminal.width), result.sentence())
    terminal.show(f"maskwright evaluate {result.run} DATA", f"maskwright predict {result.run} IMAGES")
    return DONE


def _has_length(request: PlanRequest) -> bool:
    keys = {setting.partition("=")[0].strip() for setting in request.settings}
    given = (request.budget, request.steps, request.epochs, request.plan_file)
    return any(value is not None for value in given) or bool(keys & {"train.steps", "train.budget_seconds"})


def _farewell(_watch: Watch) -> str:
    return "interrupted: `maskwright tune --resume RUN` goes on, with the folder of this run"


def _tables(result: TuneResult, width: int) -> list[RenderableType]:
    """Draw the trials, and the gains of the best one."""
    from maskwright.cli.tables import Column, table
    from maskwright.report.compared import estimate, labelled
    from maskwright.report.tables import write

    metric = result.metric
    columns = [
        Column("trial", [str(row.number) for row in result.trials]),
        Column(
            "changes", [row.words + (f" (failed: {row.why})" if row.why else "") for row in result.trials], kind="prose"
        ),
    ]
    for place, seconds in enumerate(result.rungs):
        cells = [row.scores[place] if place < len(row.scores) else None for row in result.trials]
        columns.append(Column(f"{seconds:.0f} s", ["-" if score is None else write(metric, score) for score in cells]))
    parts: list[RenderableType] = []
    if result.trials:
        parts.append(table(f"Trials: {labelled(metric)} on the images that rank, after each time", columns, width))
    if result.gains is not None:
        found = {
            "ranking images (too large: they chose it)": result.gains.ranking,
            "confirming images (they decide)": result.gains.confirming,
            "test images": result.gains.test,
        }
        known = {name: value for name, value in found.items() if value is not None}
        gains = [
            Column("on", list(known), kind="name"),
            Column("gain", [estimate(metric, value, signed=True) for value in known.values()]),
        ]
        parts.append(table(f"Gain of trial {result.gains.trial} over the plan", gains, width))
    return parts
