"""`maskwright predict`: write masks for images; a file that fails does not stop the others. Predicts nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskwright.cli.options import AsJson, Device, Engine, OutputStride, Postprocess, Run, comma_list
from maskwright.cli.outcome import show_outcome
from maskwright.cli.terminal import Terminal

Sources = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE", help="Images, folders of images, or quoted globs.", show_default=False),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")]
Save = Annotated[
    str | None,
    typer.Option(
        metavar="KINDS",
        help="What to write, separated by commas: mask, overlay, probabilities, coco, coco-polygons; of objects: "
        "instances, overlay, coco, coco-polygons, geojson, measurements; of things and stuff: panoptic, panoptic-json, "
        "overlay, mask, instances, coco, geojson, measurements; of edges: thin, strength, geojson, svg, overlay.  "
        "[default: the first]",
    ),
]
PixelSize = Annotated[
    str | None,
    typer.Option(
        "--pixel-size",
        metavar="LENGTH",
        help="Width of a pixel for measurements, e.g. 0.25um, if the files do not state it.",
    ),
]

Fast = Annotated[
    bool,
    typer.Option("--fast", help="Use bfloat16: about twice as fast if the processor supports it; a few pixels differ."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a prediction that was interrupted, in the same folder.")
]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="CLUSTER", help="ray: spread the images over a Ray cluster.", show_default=False),
]


def predict(
    run: Run,
    sources: Sources,
    out: Out = Path("predictions"),
    save: Save = None,
    device: Device = "auto",
    fast: Fast = False,
    pixel_size: PixelSize = None,
    output_stride: OutputStride = None,
    postprocess: Postprocess = None,
    engine: Engine = None,
    resume: Resume = False,
    on: On = None,
    as_json: AsJson = False,
) -> int:
    """Write masks for images.

    From a data set, only the images are used. A file that cannot be read is reported and left out; the exit code is
    then 2.
    """
    from maskwright.workflows.runs.preflight import check_model

    check_model(run, out=out)
    from maskwright.workflows.predict import opened
    from maskwright.workflows.predict import predict as segment
    from maskwright.workflows.request import PredictRequest

    request = PredictRequest(None if save is None else comma_list(save), device, fast, pixel_size, resume, on)
    terminal = Terminal(as_json=as_json)
    model, note = opened(run, device, fast=fast, output_stride=output_stride, postprocess=postprocess, engine=engine)
    if note:
        terminal.say(f"note: {note}")
    with terminal.working() as watch:
        result = segment(model, sources, out, request, watch.counting("predict"))
    return show_outcome(terminal, result, out, "predicted", [note] if note else [])
