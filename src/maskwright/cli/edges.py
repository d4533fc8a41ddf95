"""`maskwright edges`: find edges in images without a model. Finds nothing itself."""

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
Method = Annotated[
    str,
    typer.Option(metavar="NAME", help="color, canny, multiscale, phase, laplacian, sobel or scharr."),
]
Enhance = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Filter before it: unsharp, guided, bilateral or coherence."),
]
Save = Annotated[
    str,
    typer.Option(metavar="KINDS", help="What to write, separated by commas: thin, strength, overlay, geojson, svg."),
]
Sigma = Annotated[
    float | None,
    typer.Option(metavar="PIXELS", help="Scale of the edges: larger is smoother.  [default: the method's]"),
]
Low = Annotated[
    float | None, typer.Option(metavar="STRENGTH", help="Least strength of an edge, 0 to 1.  [default: half of --high]")
]
High = Annotated[
    float | None,
    typer.Option(metavar="STRENGTH", help="Strength that each edge has somewhere, 0 to 1.  [default: from each image]"),
]


def edges(
    sources: Pictures,
    out: Out = Path("edges"),
    method: Method = "color",
    enhance: Enhance = None,
    save: Save = "thin",
    sigma: Sigma = None,
    low: Low = None,
    high: High = None,
    as_json: AsJson = False,
) -> int:
    """Find edges in images, without training.

    A file that cannot be read is reported and left out; the exit code is then 2.
    """
    from maskwright.workflows.edges import EdgesRequest
    from maskwright.workflows.edges import edges as find

    request = EdgesRequest(method, enhance, comma_list(save), sigma, low, high)
    given = with_standard_input(sources)
    terminal = Terminal(as_json=as_json)
    with terminal.working() as watch:
        result = find(given, request, out=out, on_progress=watch.counting("edges"))
    return show_outcome(terminal, result, out, "done")
