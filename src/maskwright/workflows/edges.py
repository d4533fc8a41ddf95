"""Edges: images in, edges out, without a model. Prints nothing; the result says what was written and what failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.classic.edges import FoundEdges, find_edges
from maskwright.classic.enhance import ENHANCEMENTS
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.data import edge_results
from maskwright.data.readers import read_image
from maskwright.ops.edges import polylines
from maskwright.workflows.predict_parts.results import Failure, Predicted, PredictResult, check_names, make_room, why
from maskwright.workflows.predict_parts.sources import find_images

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from maskwright.core.events import OnShare
    from maskwright.workflows.predict_parts.pictures import Picture


class _Kind(NamedTuple):
    """A kind of file: its folder, its suffix, and what writes it from an image as it was read and its edges."""

    folder: str
    suffix: str
    write: Callable[[Path, NDArray[Any], FoundEdges], None]


def _geojson(path: Path, _image: NDArray[Any], edges: FoundEdges) -> None:
    edge_results.write_geojson(path, polylines(edges.lines, edges.profile), edges.profile)


def _svg(path: Path, _image: NDArray[Any], edges: FoundEdges) -> None:
    edge_results.write_svg(path, polylines(edges.lines, edges.profile), edges.lines.shape)


KINDS = {
    "thin": _Kind("edges", ".png", lambda path, _, edges: edge_results.write_lines(path, edges.lines)),
    "strength": _Kind("strengths", ".png", lambda path, _, edges: edge_results.write_strength(path, edges.strength)),
    "overlay": _Kind(
        "overlays", ".jpg", lambda path, image, edges: edge_results.write_overlay(path, image, edges.lines)
    ),
    "geojson": _Kind("lines", ".geojson", _geojson),
    "svg": _Kind("lines", ".svg", _svg),
}
"""What can be saved of edges."""


@dataclass(frozen=True)
class EdgesRequest:
    """How to find edges, and what to write of them.

    Attributes:
        method: name in `classic.edges.EDGES`.
        enhance: filter before it, a name in `classic.enhance.ENHANCEMENTS`; None for none.
        save: kinds of files: `thin` (PNG of lines of one pixel), `strength` (PNG of 16 bits), `overlay` (JPEG to look
            at), `geojson` and `svg` (lines with sub-pixel points); None for the first.
        sigma: scale of the edges in pixels; None for the method's own.
        low: least strength of a line, 0..1; None for half of `high`.
        high: strength that each line has somewhere, 0..1; None for an automatic one, from each image.

    Raises:
        MaskwrightError: a value that breaks its rule.
    """

    method: str = "color"
    enhance: str | None = None
    save: Sequence[str] | str | None = None
    sigma: float | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise unknown_name("kind of file", kind, KINDS, "save")
        if self.enhance is not None and self.enhance not in ENHANCEMENTS:
            raise unknown_name("edge enhancement", self.enhance, ENHANCEMENTS, "enhance")
        self.find(np.zeros((1, 1), np.uint8))  # checks the other values

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of files to save."""
        if self.save is None:
            return ("thin",)
        return tuple(kind.strip() for kind in ([self.save] if isinstance(self.save, str) else self.save))

    def find(self, image: NDArray[Any]) -> FoundEdges:
        """Find the edges of an image (H, W) or (H, W, C).

        Raises:
            MaskwrightError: it is not an image.
        """
        clearer = image if self.enhance is None else ENHANCEMENTS[self.enhance](image)
        return find_edges(clearer, self.method, self.sigma, self.low, self.high)


def find_all(
    sources: Sequence[str | Path], out: str | Path, request: EdgesRequest, on_progress: OnShare | None = None
) -> PredictResult:
    """Find the edges of images and write them below `out`.

    Args:
        sources: image files, folders (searched recursively) and globs.
        out: folder for the results: `edges/`, `strengths/`, ... Results keep the paths of their images below the
            sources.
        request: how to find edges, and what to write.
        on_progress: called with (images done, images in all).

    Returns:
        What was written. An image that cannot be read is reported there; the others are done.

    Raises:
        MaskwrightError: no image, an existing file that maskwright did not write, or a folder that cannot be written.
    """
    pictures, missing, notes = find_images(sources)
    if not pictures:
        raise MaskwrightError("; ".join(reason for _, reason in missing) or "no image was given: name files or folders")
    failures = [Failure(path, reason) for path, reason in missing]
    targets = [_files(Path(out), picture, request) for picture in pictures]
    make_room(Path(out), [file for files in targets for file in files.values()])
    images = []
    report = on_progress or (lambda _done, _total: None)
    for done, (picture, files) in enumerate(zip(pictures, targets, strict=True)):
        report(done, len(pictures))
        try:
            check_names(Path(out), files.values())
            image = read_image(picture.image)
            edges = request.find(image)
        except (MaskwrightError, MemoryError) as error:
            failures.append(Failure(picture.image.path, why(picture, error)))
            continue
        for kind, file in files.items():
            KINDS[kind].write(file, image, edges)
        images.append(Predicted(picture.image.path, files, _summary(edges), picture.image.page))
    report(len(pictures), len(pictures))
    outputs = tuple(file for image in images for file in image.files.values())
    return PredictResult(outputs, failures, tuple(images), notes)


def _files(out: Path, picture: Picture, request: EdgesRequest) -> dict[str, Path]:
    return {kind: out / KINDS[kind].folder / f"{picture.name}{KINDS[kind].suffix}" for kind in request.kinds}


def _summary(edges: FoundEdges) -> dict[str, int | float]:
    low, high = (round(limit, 4) for limit in edges.thresholds)
    return {"pixels": int(edges.lines.sum()), "low": low, "high": high}
