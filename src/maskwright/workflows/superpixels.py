"""Superpixels: images in, maps, overlays, tables and moved drawings out. Prints nothing, and imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.classic.drawn_regions import filled, snapped
from maskwright.classic.region_features import as_csv, region_features
from maskwright.classic.regions import merged
from maskwright.classic.superpixels import EXACT
from maskwright.classic.superpixels import superpixels as divided
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_text
from maskwright.core.keywords import request_of
from maskwright.core.text import agree, plural
from maskwright.data import region_results
from maskwright.workflows.predict_parts.drawings import Drawing, read_drawing, with_drawings
from maskwright.workflows.predict_parts.each_image import Job, Kind, chosen, for_each_image, found_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import PurePosixPath

    from numpy.typing import NDArray

    from maskwright.core.events import OnShare
    from maskwright.workflows.predict_parts.each_image import Source
    from maskwright.workflows.predict_parts.pictures import Picture
    from maskwright.workflows.predict_parts.results import PredictResult

COUNT = 400
NOTHING = 255
"""Value of a scribble where nothing is drawn, if the user names no other."""


@dataclass(frozen=True)
class SuperpixelRequest:
    """How to divide images, and what to write of them.

    Attributes:
        method: name in `classic.superpixels.SUPERPIXELS`.
        count: number of superpixels; `felzenszwalb` finds its own.
        compactness: 1 for the usual shape; more makes them rounder.
        save: kinds of files: `map` (TIFF of labels 0..K-1), `overlay` (JPEG to look at), `features` (CSV), `labels`
            (PNG of what scribbles or masks become). None for `labels` if there are any, else `map`.
        scribbles: folder of scribbles, each with the path of its image but for the suffix. Their labels spread over the
            superpixels in which they are drawn; images without one are left out.
        ignore: value of a scribble where nothing is drawn; None for 255.
        merge: number of regions that the superpixels merge to, by `classic.regions.merged`; None to merge none.
        masks: folder of masks, named like scribbles. Their borders move to those of superpixels, each of which takes
            the label that most of its pixels have; images without a mask are left out.

    Raises:
        MaskwrightError: a value that no image can have, an unknown kind, no kind, both scribbles and masks, either of
            them without `labels`, `labels` without either, or `ignore` without scribbles.
    """

    method: str = "etps"
    count: int = COUNT
    compactness: float = 1.0
    save: str | Sequence[str] | None = None
    scribbles: str | Path | None = None
    ignore: int | None = None
    merge: int | None = None
    masks: str | Path | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise MaskwrightError(f"count is {self.count}, but it must be 1 or more: choose another `count`", "count")
        divided(np.zeros((1, 1), np.uint8), self.method, compactness=self.compactness, count=1)
        if self.method == "felzenszwalb" and self.count != COUNT:
            raise MaskwrightError(
                f"count is {self.count}, but felzenszwalb finds the number itself: leave `count` out, set `merge`, or "
                "choose another `method`",
                "count",
            )
        if self.merge is not None and self.method in EXACT and not 1 <= self.merge <= self.count:
            raise MaskwrightError(
                f"merge is {self.merge}, but {plural(self.count, 'superpixel')} can merge to 1 to {self.count} "
                "regions: choose another `merge`, or a larger `count`",
                "merge",
            )
        if self.merge is not None and self.merge < 1:
            raise MaskwrightError(f"merge is {self.merge}, but it must be 1 or more: choose another `merge`", "merge")
        if self.ignore is not None and not 0 <= self.ignore <= 255:
            raise MaskwrightError(
                f"ignore is {self.ignore}, but the values of scribbles are 0 to 255: choose one of these", "ignore"
            )
        if self.ignore is not None and self.scribbles is None:
            raise MaskwrightError(
                f"ignore is {self.ignore}, but it is a value of scribbles, and there are none: give `scribbles`, or "
                "leave `ignore` out",
                "ignore",
            )
        if self.scribbles is not None and self.masks is not None:
            raise MaskwrightError(
                "both `scribbles` and `masks` are given, but an image has one file of labels: give one of the two",
                "masks",
            )
        if ("labels" in self.kinds()) != self.drawn:
            have = "they would have no effect" if self.drawn else "there are none"
            cure = "add labels" if self.drawn else "give `scribbles` or `masks`, or leave labels out"
            raise MaskwrightError(f"labels in `save` are what scribbles or masks become, and {have}: {cure}", "save")

    @property
    def drawn(self) -> bool:
        """Whether there are scribbles or masks."""
        return self.scribbles is not None or self.masks is not None

    def kinds(self) -> dict[str, Kind[Divided]]:
        """Return the kinds of files to write."""
        usual = "labels" if self.drawn else "map"
        return chosen(usual if self.save is None else self.save, KINDS)

    def divide(self, image: NDArray[Any]) -> NDArray[np.int32]:
        """Divide an image (H, W) or (H, W, C) into superpixels, or regions merged from them (H, W), 0..K-1.

        Raises:
            MaskwrightError: it is not an image, or has fewer pixels than superpixels.
        """
        found = divided(image, self.method, count=self.count, compactness=self.compactness)
        return found if self.merge is None else merged(found, image, count=self.merge)


class Divided(NamedTuple):
    """An image in superpixels.

    Attributes:
        regions: int32 (H, W), labels 0..K-1.
        labels: what the drawing on it becomes; None if there is none.
        counts: of a scribble the superpixels with one label (`labelled`) and with several (`conflicts`), of a mask the
            pixels whose label is another now (`changed`).
    """

    regions: NDArray[np.int32]
    labels: Drawing | None
    counts: Mapping[str, int]


def superpixels(
    sources: Source | Sequence[Source],
    request: SuperpixelRequest | None = None,
    *,
    out: str | Path = "superpixels",
    on_progress: OnShare | None = None,
    **fields: Any,
) -> PredictResult:
    """Divide images into superpixels; a file that cannot be read is listed in `failures`, and the rest go on.

    Args:
        sources: image files, folders (searched recursively), globs and lists; or arrays (H, W) or (H, W, C), whose
            results follow those of files, and are called `array-1`, ... by their places among the sources.
        request: how to divide and what to write; None for one made of `fields`.
        out: folder for what is written: `maps/`, `overlays/`, `features/`, `labels/`. Results keep the paths of
            their images below the sources.
        on_progress: called with (images done, images in all).
        **fields: of a `SuperpixelRequest`, instead of `request`: `count=200`, `save=["map", "overlay"]`.

    Raises:
        MaskwrightError: no image, a value that breaks its rule, an existing file that maskwright did not write, or a
            folder that cannot be written.
    """
    request = request_of(SuperpixelRequest, request, fields)
    found = found_images(sources)
    kind, folder = ("scribble", request.scribbles) if request.masks is None else ("mask", request.masks)
    drawn: dict[PurePosixPath, Path] = {}
    if folder is not None:
        found, drawn = with_drawings(found, Path(folder), kind)

    def run(picture: Picture, image: NDArray[Any]) -> Divided:
        regions = request.divide(image)
        if not drawn:
            return Divided(regions, None, {})
        if request.masks is None:
            nothing = NOTHING if request.ignore is None else request.ignore
            return _spread(regions, read_drawing(drawn[picture.name], image, nothing), nothing)
        return _snapped(regions, read_drawing(drawn[picture.name], image))

    result = for_each_image(found, out, Job(run, _summary, request.kinds()), on_progress)
    summaries = [image.summary for image in result.images]
    return replace(result, notes=(*result.notes, *_remarks(summaries, request.merge or 0)))


def _remarks(summaries: Sequence[Mapping[str, Any]], wanted: int) -> Iterator[str]:
    """Say what the user of scribbles, or of merging to `wanted` regions, may not expect."""
    fewer = sum(summary["superpixels"] < wanted for summary in summaries)
    if fewer:
        have = agree(fewer, "has", "have")
        yield f"{plural(fewer, 'image')} {have} fewer superpixels than {wanted}, and nothing was merged there"
    several = sum(int(summary.get("conflicts", 0)) for summary in summaries)
    if several:
        have = agree(several, "has", "have")
        yield f"{plural(several, 'superpixel')} {have} several labels, and only their drawn pixels are labelled"
    empty = sum(summary.get("labelled") == summary.get("conflicts") == 0 for summary in summaries)
    if empty:
        yield f"{plural(empty, 'scribble')} {agree(empty, 'has', 'have')} nothing drawn, and no pixel is labelled there"


def _spread(regions: NDArray[np.int32], scribble: Drawing, nothing: int) -> Divided:
    """Spread a scribble over regions."""
    found = filled(regions, scribble.labels, nothing)
    counts = {"labelled": found.regions, "conflicts": found.conflicts}
    return Divided(regions, scribble._replace(labels=found.labels), counts)


def _snapped(regions: NDArray[np.int32], mask: Drawing) -> Divided:
    """Move the borders of a mask to those of regions."""
    labels = snapped(regions, mask.labels)
    return Divided(regions, mask._replace(labels=labels), {"changed": int((labels != mask.labels).sum())})


def _summary(found: Divided) -> dict[str, int | float]:
    return {"superpixels": int(found.regions.max()) + 1, **found.counts}


def _features(path: Path, image: NDArray[Any], found: Divided) -> None:
    write_text(path, as_csv(region_features(found.regions, image)))


def _labels(path: Path, _image: NDArray[Any], found: Divided) -> None:
    assert found.labels is not None
    region_results.write_labels(path, found.labels.labels, found.labels.palette)


KINDS: dict[str, Kind[Divided]] = {
    "map": Kind("maps", ".tif", lambda path, _, found: region_results.write_map(path, found.regions)),
    "overlay": Kind(
        "overlays", ".jpg", lambda path, image, found: region_results.write_overlay(path, image, found.regions)
    ),
    "features": Kind("features", ".csv", _features),
    "labels": Kind("labels", ".png", _labels),
}
"""Name of each kind of file -> how it is written."""
