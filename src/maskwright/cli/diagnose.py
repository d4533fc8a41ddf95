"""`maskwright diagnose`: why a model is right or wrong, and what to do next. Computes nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson, Data, Device, Run, Seed
from maskwright.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maskwright.workflows.diagnose import DiagnoseResult

Budget = Annotated[str, typer.Option(metavar="TIME", help="Time for the whole command, e.g. 5m.")]
Question = Annotated[
    list[str] | None,
    typer.Option(
        "--question",
        metavar="NAME",
        help="Answer only this: a section, an answer, or the number of a question (docs/diagnose.md). Repeatable.",
    ),
]
Split = Annotated[
    Literal["val", "test", "all"], typer.Option(metavar="SPLIT", help="Part of the data to look at: val, test or all.")
]
Against = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Images, without masks, to compare with those of the training: do they look alike?",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder for diagnosis.html and .json.  [default: in the run]")
]
At = Annotated[
    str | None, typer.Option(metavar="X,Y", help="Explain the region at this pixel.  [default: a region of interest]")
]
Image = Annotated[str | None, typer.Option(metavar="ID", help="Image to explain.  [default: the worst one]")]


def diagnose(
    run: Run,
    data: Data,
    budget: Budget = "10m",
    question: Question = None,
    split: Split = "test",
    against: Against = None,
    out: Out = None,
    device: Device = "auto",
    seed: Seed = 0,
    at: At = None,
    image: Image = None,
    as_json: AsJson = False,
) -> int:
    """Say where a model is wrong, why, and what to do next.

    Every answer is measured on held-out images. Writes diagnosis.html and diagnosis.json.
    """
    from maskwright.cli.commands import command
    from maskwright.workflows.diagnose_request import DiagnoseRequest
    from maskwright.workflows.runs.preflight import check_model

    request = DiagnoseRequest(budget, tuple(question or ()), split, None, out, device, seed, against, at, image)
    check_model(run, data, out)
    from maskwright.workflows.diagnose import diagnose as study

    terminal = Terminal(as_json=as_json)
    with terminal.working() as watch:
        result = study(run, data, request, watch.counting, command)
    terminal.answer({"report": result.report, **result.to_json()})
    terminal.show(*_answers(result, terminal.width))
    _show_next(terminal, result)
    for note in result.notes:
        terminal.say(f"note: {note}")
    return DONE


def _answers(result: DiagnoseResult, width: int) -> list[RenderableType]:
    """Draw the answers of each section."""
    from maskwright.cli.tables import Column, table

    words = {"warning": "weak", "note": "note", "good": "good", "open": "open"}
    return [
        table(
            name,
            [
                Column("", [words[answer.level] for answer in part], kind="name"),
                Column("question", [answer.question for answer in part], rank=1, kind="prose"),
                Column("answer", [answer.verdict for answer in part], kind="prose"),
            ],
            width,
        )
        for name, part in result.answers.items()
        if part
    ]


def _show_next(terminal: Terminal, result: DiagnoseResult) -> None:
    """Print what to do next, and where the page is."""
    from maskwright.cli.commands import command

    if result.next_steps:
        terminal.show("\nWhat to do next")
    for place, (_, cure) in enumerate(result.next_steps, start=1):
        terminal.show(f"{place}. {cure.why}")
        terminal.paste(f"   {command(cure)}")
    terminal.show("")
    terminal.paste(f"report: {result.report}")
