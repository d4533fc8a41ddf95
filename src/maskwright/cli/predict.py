"""`maskwright predict`: write masks for images; a file that fails does not stop the others. Predicts nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskwright.cli.options import AsJson, Device, Engine, OutputStride, Postprocess, Run, comma_list
from maskwright.cli.outcome import show_outcome
from maskwright.cli.standard_input import with_standard_input
from maskwright.cli.terminal import Terminal
from maskwright.core.paths import is_remote

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Images, Zarr stores, folders of these, quoted globs, videos, camera:0, .txt lists of these, or - for an "
        "image on standard input.",
        show_default=False,
    ),
]
Pictures = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Images, Zarr stores, folders of these, quoted globs, .txt lists of these, or - for an image on standard "
        "input.",
        show_default=False,
    ),
]
Out = Annotated[str, typer.Option(metavar="DIR", help="Folder for the results, or s3://BUCKET/PREFIX.")]
Save = Annotated[
    str | None,
    typer.Option(
        metavar="KINDS",
        help="What to write, separated by commas: mask, zarr, overlay, probabilities, coco, coco-polygons, geojson, "
        "gpkg; of objects: instances, zarr, overlay, coco, coco-polygons, geojson, gpkg, measurements; of things and "
        "stuff: panoptic, panoptic-json, zarr, overlay, mask, instances, coco, geojson, gpkg, measurements; of edges: "
        "thin, strength, geojson, svg, overlay.  "
        "[default: the first]",
    ),
]
PixelSize = Annotated[
    str | None,
    typer.Option(
        "--pixel-size",
        metavar="LENGTH",
        help="Width of a pixel for measurements, e.g. 0.25um.  [default: what the file states]",
    ),
]

Level = Annotated[
    int | None,
    typer.Option(
        "--level",
        metavar="N",
        help="Level of a pyramid (OME-TIFF, OME-Zarr, whole-slide image) to predict; 0 is the largest.  [default: 0]",
        show_default=False,
    ),
]
Every = Annotated[int, typer.Option(metavar="N", help="Of a video, take every Nth frame.", min=1)]
Frames = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Of a video, take N frames at most; a camera goes on until Ctrl-C without it.", min=1
    ),
]
SmoothVideo = Annotated[
    bool,
    typer.Option("--smooth-video", help="Average the probabilities of frames along the motion: labels flicker less."),
]

Fast = Annotated[
    bool,
    typer.Option("--fast", help="Use bfloat16: about twice as fast if the processor supports it; a few pixels differ."),
]
Flip = Annotated[
    bool | None,
    typer.Option(
        "--flip/--no-flip",
        help="Average with the prediction for the flipped image, which takes at least twice the time, or average "
        "nothing.  [default: as the model says, and never above 16.8 megapixels]",
        show_default=False,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a prediction that was interrupted, in the same folder.")
]
Reject = Annotated[
    str | None,
    typer.Option(
        metavar="RISK",
        help="Mark images and frames in risk.csv whose risk is above this (0.3), or the riskiest share of them (20%).",
        show_default=False,
    ),
]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="CLUSTER", help="ray: spread the images over a Ray cluster.", show_default=False),
]


def predict(
    run: Run,
    sources: Sources,
    out: Out = "predictions",
    save: Save = None,
    device: Device = "auto",
    fast: Fast = False,
    pixel_size: PixelSize = None,
    every: Every = 1,
    frames: Frames = None,
    smooth_video: SmoothVideo = False,
    output_stride: OutputStride = None,
    postprocess: Postprocess = None,
    engine: Engine = None,
    level: Level = None,
    resume: Resume = False,
    on: On = None,
    reject: Reject = None,
    flip: Flip = None,
    as_json: AsJson = False,
) -> int:
    """Write masks for images.

    A list has one path per line, relative to its folder. From a data set, only the images are used. A file that cannot
    be read is reported and left out; the exit code is then 2.
    """
    from maskwright.workflows.runs.preflight import check_model

    check_model(run, out=None if is_remote(out) else Path(out))
    from maskwright.workflows.predict import opened
    from maskwright.workflows.predict import predict as segment
    from maskwright.workflows.predict_parts.journal import interrupted
    from maskwright.workflows.predict_request import PredictRequest

    given = with_standard_input(sources)
    kinds = None if save is None else comma_list(save)
    request = PredictRequest(
        kinds, device, fast, pixel_size, resume, on, every, frames, smooth_video, level, reject, flip
    )
    terminal = Terminal(as_json=as_json)
    model, notes = opened(run, device, fast=fast, output_stride=output_stride, postprocess=postprocess, engine=engine)
    for note in notes:
        terminal.say(f"note: {note}")
    with terminal.working(lambda _: interrupted(out)) as watch:
        result = segment(
            model, given, out, request, watch.counting("predict"), lambda said: terminal.say(f"note: {said}")
        )
    return show_outcome(terminal, result, out, "predicted", notes)
