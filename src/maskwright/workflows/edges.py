"""Edges: images in, edges out, without a model. Prints nothing; the result says what was written and what failed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.classic.edges import FoundEdges, find_edges
from maskwright.classic.edges.limits import FAINT, SHARE
from maskwright.classic.enhance import ENHANCEMENTS
from maskwright.core.errors import unknown_name
from maskwright.core.keywords import request_of
from maskwright.core.text import listing, plural
from maskwright.data import edge_results
from maskwright.ops.edges import traced
from maskwright.workflows.predict_parts.each_image import Job, Kind, chosen, for_each_image, found_images

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.events import OnShare
    from maskwright.workflows.predict_parts.each_image import Source
    from maskwright.workflows.predict_parts.results import PredictResult


def _geojson(path: Path, _image: NDArray[Any], edges: FoundEdges) -> None:
    edge_results.write_geojson(path, traced(edges.lines, edges.profile), edges.strength)


def _svg(path: Path, _image: NDArray[Any], edges: FoundEdges) -> None:
    edge_results.write_svg(path, traced(edges.lines, edges.profile), edges.lines.shape)


KINDS: dict[str, Kind[FoundEdges]] = {
    "thin": Kind("edges", ".png", lambda path, _, edges: edge_results.write_lines(path, edges.lines)),
    "strength": Kind("strengths", ".png", lambda path, _, edges: edge_results.write_strength(path, edges.strength)),
    "overlay": Kind(
        "overlays", ".jpg", lambda path, image, edges: edge_results.write_overlay(path, image, edges.lines)
    ),
    "geojson": Kind("lines", ".geojson", _geojson),
    "svg": Kind("lines", ".svg", _svg),
}
"""What can be saved of edges."""


@dataclass(frozen=True)
class EdgesRequest:
    """How to find edges, and what to write of them.

    Attributes:
        method: name in `classic.edges.EDGES`.
        enhance: filter before it, a name in `classic.enhance.ENHANCEMENTS`; None for none.
        save: kinds of files: `thin` (PNG of lines of one pixel), `strength` (PNG of 16 bits), `overlay` (JPEG to look
            at), `geojson` and `svg` (lines with sub-pixel points).
        sigma: scale of the edges in pixels; None for the method's own.
        low: least strength of a line, 0..1; None for half of `high`.
        high: strength that each line has somewhere, 0..1; None for an automatic one, from each image.

    Raises:
        MaskwrightError: a value that breaks its rule.
    """

    method: str = "color"
    enhance: str | None = None
    save: str | Sequence[str] = ("thin",)
    sigma: float | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        chosen(self.save, KINDS)
        if self.enhance is not None and self.enhance not in ENHANCEMENTS:
            raise unknown_name("edge enhancement", self.enhance, ENHANCEMENTS, "enhance")
        self.find(np.zeros((1, 1), np.uint8))  # checks the other values

    def find(self, image: NDArray[Any]) -> FoundEdges:
        """Find the edges of an image (H, W) or (H, W, C).

        Raises:
            MaskwrightError: it is not an image.
        """
        clearer = image if self.enhance is None else ENHANCEMENTS[self.enhance](image)
        return find_edges(clearer, self.method, self.sigma, self.low, self.high)


def edges(
    sources: Source | Sequence[Source],
    request: EdgesRequest | None = None,
    *,
    out: str | Path = "edges",
    on_progress: OnShare | None = None,
    **fields: Any,
) -> PredictResult:
    """Find edges in images without a model; a file that cannot be read is listed in `failures`, and the rest go on.

    `maskwright.classic.edges.find_edges` returns the edges of an array instead of writing them.

    Args:
        sources: image files, folders (searched recursively), globs and lists; or arrays (H, W) or (H, W, C), whose
            results follow those of files, and are called `array-1`, ... by their places among the sources.
        request: how to find edges, and what to write; None for one made of `fields`.
        out: folder for what is written: `edges/`, `strengths/`, ... Results keep the paths of their images below the
            sources.
        on_progress: called with (images done, images in all).
        **fields: of an `EdgesRequest`, instead of `request`: `method="canny"`, `save=["thin", "svg"]`.

    Raises:
        MaskwrightError: no image, a value that breaks its rule, an existing file that maskwright did not write, or a
            folder that cannot be written.
    """
    request = request_of(EdgesRequest, request, fields)
    job = Job(lambda _, image: request.find(image), _summary, chosen(request.save, KINDS))
    result = for_each_image(found_images(sources), out, job, on_progress)
    notes = [
        f"no edge was found in {plural(len(names), 'image')} ({listing(names)}): {why}"
        for why, names in _empty(result, request).items()
    ]
    return replace(result, notes=(*result.notes, *notes))


def _empty(result: PredictResult, request: EdgesRequest) -> dict[str, list[str]]:
    """List the images without an edge by the reason."""
    names: dict[str, list[str]] = {}
    given = request.high is not None or request.low is not None
    for image in result.images:
        if image.summary["pixels"]:
            continue
        if image.summary["strongest"] < FAINT / SHARE:
            why = "constant, without a known value, or too small or smooth for this `sigma` and `method`"
        elif given:
            why = "no line of two pixels reaches the thresholds; lower `high` and `low`, or leave them out"
        else:
            why = "single pixels are no lines; the image may be too small, or `sigma` too large"
        names.setdefault(why, []).append(image.source.name)
    return names


def _summary(found: FoundEdges) -> dict[str, int | float]:
    low, high = (round(limit, 4) for limit in found.thresholds)
    strongest = round(float(found.strength.max()), 4)
    return {"pixels": int(found.lines.sum()), "strongest": strongest, "low": low, "high": high}
