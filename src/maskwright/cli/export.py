"""`maskwright export`: write a trained model for another runtime, if it agrees. Exports nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson
from maskwright.cli.terminal import Terminal

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
    with terminal.working():
        result = write(run, request)
    parity = result.parity
    answer = {"out": result.folder, "file": result.file, "parity": parity.to_json(), "kept": result.kept}
    terminal.answer({**answer, "notes": list(result.notes)})
    for note in result.notes:
        terminal.say(f"note: {note}")
    if result.kept:
        terminal.say(f"note: these stay in floating point, because int8 hurt there: {', '.join(result.kept)}")
    trained, exported, agreed = parity.trained, parity.exported, parity.agreement
    times = f"{trained.milliseconds:.3g} trained, {exported.milliseconds:.3g} exported"
    rows = [
        ("pixels with the same label", f"{100 * agreed.labels:.3f} %, {agreed.images} images at two sizes"),
        ("largest difference of maps", f"{agreed.largest:.2g}"),
        (parity.metric, f"{100 * trained.score:.2f} trained, {100 * exported.score:.2f} exported"),
        ("milliseconds for {} x {}".format(*parity.tile), f"{times}: {parity.speedup:.2f} times as fast"),
        ("size", f"{trained.bytes / 1e6:.1f} MB trained, {exported.bytes / 1e6:.1f} MB exported"),
        ("export", str(result.file)),
    ]
    terminal.show(pairs("Export", rows), f"maskwright predict {result.folder} IMAGES")
    return DONE
