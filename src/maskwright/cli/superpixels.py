"""`maskwright superpixels`: divide images into superpixels, without a model. Divides nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskwright.cli.options import AsJson, comma_list
from maskwright.cli.outcome import show_outcome
from maskwright.cli.predict import Pictures
from maskwright.cli.standard_input import with_standard_input
from maskwright.cli.terminal import Terminal

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")]
Method = Annotated[str, typer.Option(metavar="NAME", help="etps, slic, compact-watershed or felzenszwalb.")]
Count = Annotated[
    int,
    typer.Option(metavar="N", help="Number of superpixels: exact with etps and compact-watershed, else approximate."),
]
Compactness = Annotated[
    float, typer.Option(metavar="NUMBER", help="1 is the usual shape; more makes superpixels rounder.")
]
Merge = Annotated[
    int | None, typer.Option(metavar="N", help="Merge neighbouring superpixels until this many regions remain.")
]
Save = Annotated[
    str | None,
    typer.Option(
        metavar="KINDS",
        help="What to write, separated by commas: map, overlay, features, labels (what scribbles or masks become).  "
        "[default: map, or labels with --scribbles or --masks]",
    ),
]
Scribbles = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of scribbles: masks, named like their images, whose labels spread over superpixels.",
    ),
]
Masks = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of masks drawn by hand, named like their images, whose borders move to those of superpixels.",
    ),
]
Ignore = Annotated[
    int | None, typer.Option(metavar="VALUE", help="Value of scribbles where nothing is drawn.  [default: 255]")
]


def superpixels(
    sources: Pictures,
    out: Out = Path("superpixels"),
    method: Method = "etps",
    count: Count = 400,
    compactness: Compactness = 1.0,
    merge: Merge = None,
    save: Save = None,
    scribbles: Scribbles = None,
    ignore: Ignore = None,
    masks: Masks = None,
    as_json: AsJson = False,
) -> int:
    """Divide images into superpixels, without a model.

    From a data set, only the images are used. A file that cannot be read is reported and left out; the exit code is
    then 2.
    """
    from maskwright.workflows.superpixels import SuperpixelRequest
    from maskwright.workflows.superpixels import superpixels as divide

    kinds = None if save is None else comma_list(save)
    request = SuperpixelRequest(method, count, compactness, kinds, scribbles, ignore, merge, masks)
    given = with_standard_input(sources)
    terminal = Terminal(as_json=as_json)
    with terminal.working() as watch:
        result = divide(given, request, out=out, on_progress=watch.counting("divide"))
    return show_outcome(terminal, result, out, "divided")
