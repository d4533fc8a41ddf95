"""`maskwright export`: write a trained model for another runtime, if it agrees. Exports nothing itself."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson
from maskwright.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maskwright.report.exports import ExportTable

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.", show_default=False)]
To = Annotated[
    str,
    typer.Option(
        "--to", metavar="NAME", help="Runtime: onnx, openvino, or torch (a model.safetensors, useful with --half)."
    ),
]
Int8 = Annotated[
    bool, typer.Option("--int8", help="Quantise to int8, with real images of the validation part of the training.")
]
Half = Annotated[
    bool, typer.Option("--half", help="Store weights as float16: half the size; arithmetic stays float32.")
]
Against = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DATA", help="Data set with held-out images to compare on.  [default: that of the training]"
    ),
]
Loss = Annotated[float, typer.Option("--allow-loss", metavar="POINTS", help="Points of the score that may be lost.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder to write.  [default: in the run]")]


def export(
    run: Run,
    to: To = "onnx",
    int8: Int8 = False,
    half: Half = False,
    data: Against = None,
    allow_loss: Loss = 0.5,
    out: Out = None,
    as_json: AsJson = False,
) -> int:
    """Write a model for another runtime.

    The export is compared with the trained model on held-out images. One that loses more than --allow-loss points is
    refused. `predict` and `evaluate` accept the result like a run.
    """
    from maskwright.cli.tables import pairs
    from maskwright.workflows.export_request import ExportRequest
    from maskwright.workflows.runs.preflight import check_model

    request = ExportRequest(to, int8, half, data, allow_loss, out)
    check_model(run, data, out)
    from maskwright.workflows.export import export as write

    terminal = Terminal(as_json=as_json)
    with terminal.working() as watch:
        result = write(run, request, watch.on_event)
    parity = result.parity
    answer = {"out": result.folder, "file": result.file, "parity": parity.to_json(), "kept": result.kept}
    answer["engines"] = [] if result.table is None else [asdict(row) for row in result.table.rows]
    terminal.answer({**answer, "notes": list(result.notes)})
    for note in result.notes:
        terminal.say(f"note: {note}")
    if result.kept:
        terminal.say(f"note: these stay in floating point, because int8 hurt there: {', '.join(result.kept)}")
    trained, exported, agreed = parity.trained, parity.exported, parity.agreement
    times = f"{trained.milliseconds:.3g} trained, {exported.milliseconds:.3g} exported"
    lost = (
        ""
        if parity.interval is None
        else ": {:.2f} points lost (95 %: {:.2f} to {:.2f})".format(parity.loss, *parity.interval)
    )
    rows = [
        (
            "objects found by both" if agreed.objects else "pixels with the same label",
            f"{100 * agreed.labels:.3f} %, {agreed.images} images at two sizes",
        ),
        (f"largest difference of {'scores' if agreed.objects else 'maps'}", f"{agreed.largest:.2g}"),
        (parity.metric, f"{100 * trained.score:.2f} trained, {100 * exported.score:.2f} exported{lost}"),
        ("milliseconds for {} x {}".format(*parity.tile), f"{times}: {parity.speedup:.2f} times as fast"),
        ("size", f"{trained.bytes / 1e6:.1f} MB trained, {exported.bytes / 1e6:.1f} MB exported"),
    ]
    shown = [pairs("Export", rows)]
    if result.table is not None:
        shown.append(_engines(result.table, terminal.width))
    terminal.show(*shown)
    terminal.paste(f"\nexport   {result.file}")
    terminal.paste(f"use it   maskwright predict {result.folder} IMAGES")
    return DONE


def _engines(found: ExportTable, width: int) -> RenderableType:
    """Draw all exports of the run, timed in turns on this machine; 80 columns hold all of it."""
    from maskwright.cli.tables import Column, table

    rows, first = found.rows, found.rows[0]
    factor, digits = (100, "%.2f") if found.percent else (1, "%.4g")
    return table(
        "Engines, {} x {}, {}".format(*found.tile, found.machine),
        [
            Column("model", [row.name + "\n(fastest here)" * row.fastest for row in rows], kind="name"),
            Column("arithmetic", [row.arithmetic.replace(" and ", " and\n") for row in rows], kind="name"),
            Column("ms", [f"{row.milliseconds:.1f}" for row in rows]),
            Column("times\nas fast", [f"{first.milliseconds / row.milliseconds:.2f}" for row in rows], rank=1),
            Column(
                _stacked(found.agreeing),
                ["" if row.labels is None else f"{100 * row.labels:.2f} %" for row in rows],
                rank=1,
            ),
            Column(_stacked(found.metric), [digits % (factor * row.score) for row in rows]),
            Column("MB", [f"{row.bytes / 1e6:.1f}" for row in rows], rank=2),
        ],
        width,
    )


def _stacked(header: str) -> str:
    """Return a header with its words below each other, as far as that makes it narrower."""
    return textwrap.fill(header, max(map(len, header.split())), break_long_words=False)
