"""`maskwright evaluate`: honest scores of a trained model on held-out images. Scores nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import (
    AsJson,
    ClassNames,
    Data,
    Device,
    Format,
    Ignore,
    Map,
    OutputStride,
    Run,
    read_options,
)
from maskwright.cli.terminal import Terminal
from maskwright.core.errors import MaskwrightError

Split = Annotated[
    Literal["train", "val", "test", "all"],
    typer.Option(metavar="PART", help="Which part of the data judges: train, val, test, or all of it."),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for metrics-PART.json and report-PART.html.  [default: in the run]"),
]

Crf = Annotated[
    bool,
    typer.Option(
        "--crf",
        help="Compare with a dense CRF after the network. If the model holds no parameters of it, they are fitted on "
        "validation images, and the model file is rewritten to keep them.",
    ),
]
Refit = Annotated[
    bool, typer.Option("--refit", help="With --crf: fit its parameters anew, and rewrite the model file.")
]


def evaluate(
    run: Run,
    data: Data,
    split: Split = "test",
    out: Out = None,
    device: Device = "auto",
    output_stride: OutputStride = None,
    crf: Crf = False,
    refit: Refit = False,
    format_name: Format = None,
    classes: ClassNames = None,
    ignore: Ignore = None,
    mapping: Map = None,
    as_json: AsJson = False,
) -> int:
    """Score a model on held-out images.

    Per class and on average, with 95 % intervals; writes metrics-PART.json and report-PART.html.
    """
    from maskwright.cli.scores import gain_table, score_tables
    from maskwright.cli.tables import pairs
    from maskwright.data.formats import ReadOptions
    from maskwright.report.gain import losses
    from maskwright.workflows.request import EvaluateRequest

    if refit and not crf:
        raise MaskwrightError("--refit fits the dense CRF: give --crf too, or leave it out")
    from maskwright.workflows.runs.preflight import check_model

    check_model(run, data, out)
    from maskwright.workflows.evaluate import evaluate as judge

    terminal = Terminal(as_json=as_json)
    options = read_options(format_name, classes, ignore, mapping)
    read = None if options == ReadOptions() else options
    request = EvaluateRequest(split, read, out, device, output_stride, crf, refit)
    with terminal.working() as watch:
        result = judge(run, data, request, watch.counting("evaluate"))
    found: dict[str, object] = {
        "report": result.report,
        "split": split,
        "notes": list(result.notes),
        "scores": result.scores.to_json(),
    }
    if crf:
        found["crf"] = result.gain
    terminal.answer(found)
    if result.gain is not None:
        terminal.show(gain_table(result.gain, terminal.width))
        for loss in losses(result.gain):
            terminal.say(f"warning: {loss}")
    terminal.show(*score_tables(result.scores, split, terminal.width, crf=crf))
    for note in result.notes:
        terminal.say(f"note: {note}")
    terminal.show(pairs("Files", [("report", str(result.report))]))
    return DONE
