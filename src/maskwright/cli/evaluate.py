"""`maskwright evaluate`: honest scores of a trained model on held-out images. Scores nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson, ClassNames, Crf, Data, Device, Format, Ignore, Map, Run, read_options
from maskwright.cli.terminal import Terminal

Split = Annotated[
    Literal["train", "val", "test", "all"],
    typer.Option(metavar="PART", help="Which part of the data judges: train, val, test, or all of it."),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for metrics-PART.json and report-PART.html.  [default: in the run]"),
]


def evaluate(
    run: Run,
    data: Data,
    split: Split = "test",
    out: Out = None,
    device: Device = "auto",
    crf: Crf = False,
    format_name: Format = None,
    classes: ClassNames = None,
    ignore: Ignore = None,
    mapping: Map = None,
    as_json: AsJson = False,
) -> int:
    """Score a model on held-out images.

    Per class and on average, with 95 % intervals; writes metrics-PART.json and report-PART.html.
    """
    from maskwright.cli.scores import score_tables
    from maskwright.cli.tables import pairs
    from maskwright.data.formats import ReadOptions

    if crf:
        from maskwright.workflows.evaluate_crf import evaluate_crf as judge
    else:
        from maskwright.workflows.evaluate import evaluate as judge

    terminal = Terminal(as_json=as_json)
    options = read_options(format_name, classes, ignore, mapping)
    with terminal.working() as watch:
        result = judge(
            run,
            data,
            split=split,
            read=None if options == ReadOptions() else options,
            out=out,
            device=device,
            on_progress=watch.counting("evaluate"),
        )
    found: dict[str, object] = {
        "report": result.report,
        "split": split,
        "notes": list(result.notes),
        "scores": result.scores.to_json(),
    }
    if crf:
        found["crf"] = result.gain
    terminal.answer(found)
    terminal.show(*score_tables(result.scores, split, terminal.width))
    for note in result.notes:
        terminal.say(f"note: {note}")
    terminal.show(pairs("Files", [("report", str(result.report))]))
    return DONE
