"""`maskwright evaluate`: score a trained model on held-out images. Computes nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import (
    AsJson,
    BetweenRegions,
    ClassNames,
    Crowd,
    Data,
    Device,
    Engine,
    Format,
    Ignore,
    Map,
    NoData,
    OutputStride,
    Run,
    read_options,
)
from maskwright.cli.terminal import Terminal

if TYPE_CHECKING:
    from maskwright.workflows.evaluate_parts.evaluation import EvaluateResult

Split = Annotated[
    Literal["train", "val", "test", "all"],
    typer.Option(metavar="SPLIT", help="Split to evaluate on: train, val, test, or all."),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for metrics-SPLIT.json and report-SPLIT.html.  [default: in the run]"),
]

Postprocess = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Compare with a postprocessor after the network: crf, superpixels, regions or edges. If the model has no "
        "settings for it, they are fitted on validation images and saved in the model file.",
    ),
]
Refit = Annotated[
    bool, typer.Option("--refit", help="With --postprocess: fit its settings again and save them in the model file.")
]


def evaluate(
    run: Run,
    data: Data,
    split: Split = "test",
    out: Out = None,
    device: Device = "auto",
    output_stride: OutputStride = None,
    postprocess: Postprocess = None,
    refit: Refit = False,
    engine: Engine = None,
    format_name: Format = None,
    classes: ClassNames = None,
    ignore: Ignore = None,
    mapping: Map = None,
    nodata: NoData = None,
    crowd: Crowd = None,
    between: BetweenRegions = None,
    as_json: AsJson = False,
) -> int:
    """Score a model on held-out images.

    Scores each class and the mean, with 95 % intervals. Writes metrics-SPLIT.json and report-SPLIT.html.
    """
    from maskwright.cli.scores import score_tables
    from maskwright.cli.tables import pairs
    from maskwright.data.formats import ReadOptions
    from maskwright.workflows.request import EvaluateRequest
    from maskwright.workflows.runs.preflight import check_model

    check_model(run, data, out)
    from maskwright.workflows.evaluate import evaluate as judge

    terminal = Terminal(as_json=as_json)
    options = read_options(format_name, classes, ignore, mapping, nodata, crowd, between)
    read = None if options == ReadOptions() else options
    request = EvaluateRequest(split, read, out, device, output_stride, postprocess, refit, engine)
    with terminal.working() as watch:
        result = judge(run, data, request, watch.counting("evaluate"))
    found: dict[str, object] = {
        "report": result.report,
        "split": split,
        "notes": list(result.notes),
        "scores": result.scores.to_json(),
    }
    if postprocess is not None:
        found[postprocess] = result.gain
    terminal.answer(found)
    label = None if postprocess is None else _show_gain(terminal, result, postprocess)
    terminal.show(*score_tables(result.scores, split, terminal.width, label))
    for note in result.notes:
        terminal.say(f"note: {note}")
    terminal.show(pairs("Files", [("report", str(result.report))]))
    return DONE


def _show_gain(terminal: Terminal, result: EvaluateResult, postprocess: str) -> str | None:
    """Print what a postprocessor changes, and return its name in a sentence."""
    from maskwright.cli.scores import gain_table
    from maskwright.postprocess import find_postprocessor
    from maskwright.report.gain import losses

    if result.gain is None:
        return None
    label = find_postprocessor(postprocess).label
    terminal.show(gain_table(result.gain, result.scores.metrics, label, terminal.width))
    for loss in losses(result.gain, result.scores.metrics, label):
        terminal.say(f"warning: {loss}")
    return label
