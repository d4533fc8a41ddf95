"""`maskwright compress`: train a narrower model on a trained one, and compare them. Trains nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson, Device
from maskwright.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maskwright.workflows.compress import Bounds, CompressResult

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.", show_default=False)]
Target = Annotated[
    str, typer.Option(metavar="SHARE", help="Multiply-adds of the student, as a share of the model's, e.g. 0.5x.")
]
Budget = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time for the student's training, e.g. 10m.  [default: 10m]")
]
Steps = Annotated[int | None, typer.Option(metavar="N", help="Exact number of optimiser steps, instead.")]
Images = Annotated[Path | None, typer.Option("--data", metavar="DATA", help="The training data, if they were moved.")]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Run folder of the student.  [default: RUN-0.5x, beside the run]")
]
Alone = Annotated[
    bool, typer.Option("--alone", help="Train the same student on the labels only, to see what the teacher is worth.")
]


def compress(
    run: Run,
    target: Target = "0.5x",
    budget: Budget = None,
    steps: Steps = None,
    data: Images = None,
    out: Out = None,
    alone: Alone = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> int:
    """Train a narrower model on the maps of a trained one.

    The student has the same architecture with fewer channels, and learns from the labels and from the model's maps.
    Both are scored on the same held-out images.
    """
    from maskwright.cli.train import farewell
    from maskwright.workflows.compress_request import CompressRequest
    from maskwright.workflows.runs.preflight import check_model
    from maskwright.workflows.runs.run_folder import check_out

    request = CompressRequest(target, budget, steps, data, out, alone, device)
    check_model(run, data)
    check_out(request.folder(run))
    from maskwright.workflows.compress import compress as shrink

    terminal = Terminal(as_json=as_json)
    with terminal.working(farewell) as watch:
        result = shrink(run, request, watch.on_event)
    terminal.answer({"run": result.run, **result.to_json()})
    for note in result.notes:
        terminal.say(f"note: {note}")
    terminal.show(_compared(result, terminal.width), f"maskwright predict {result.run} IMAGES")
    return DONE


def _compared(result: CompressResult, width: int) -> RenderableType:
    """Draw the figures of both models."""
    from maskwright.cli.tables import Column, table

    sides, percent = (result.teacher, result.student), result.metric.unit == "share"
    return table(
        f"Compression, {result.images} images of the {result.split} part",
        [
            Column("model", ["teacher", "student"], kind="name"),
            Column(result.metric.label, [_score(side.score, percent) for side in sides], kind="name"),
            Column("difference", ["", _score(result.change, percent)], kind="name"),
            Column("ms", [f"{side.milliseconds:.1f}" for side in sides]),
            Column("MB", [f"{side.bytes / 1e6:.1f}" for side in sides]),
            Column("parameters", [f"{side.parameters / 1e6:.3g} M" for side in sides], rank=2),
            Column("multiply-adds", [f"{side.multiply_adds / 1e9:.3g} G" for side in sides], rank=1),
        ],
        width,
    )


def _score(bounds: Bounds, percent: bool) -> str:
    """Write a score, or the difference of two, with its interval."""
    value, low, high = (None if each is None else each * (100 if percent else 1) for each in bounds)
    if value is None:
        return ""
    return f"{value:.4g}" if low is None or high is None else f"{value:.4g} ({low:.4g} to {high:.4g})"
