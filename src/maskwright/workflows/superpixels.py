"""Superpixels: images in, label maps, overlays and tables of features out. Prints nothing, and imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tifffile

from maskwright.classic.region_features import as_csv, region_features
from maskwright.classic.superpixels import superpixels as divided
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.files import replacing, write_text
from maskwright.data.readers import read_image
from maskwright.data.results import MARK, overlay_step, write_jpeg
from maskwright.ops.draw import outlined
from maskwright.workflows.predict_parts.results import (
    Failure,
    Predicted,
    PredictResult,
    Unusable,
    check_names,
    make_room,
    unusable,
)
from maskwright.workflows.predict_parts.sources import find_images

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from maskwright.core.events import OnShare
    from maskwright.workflows.predict_parts.pictures import Picture


class Kind(NamedTuple):
    """One kind of file: its folder and suffix, and what writes it from a path, the image and its superpixels."""

    folder: str
    suffix: str
    write: Callable[[Path, NDArray[Any], NDArray[np.int32]], None]


@dataclass(frozen=True)
class SuperpixelRequest:
    """How to divide images, and what to write of them.

    Attributes:
        method: name in `classic.superpixels.SUPERPIXELS`.
        count: number of superpixels.
        compactness: 1 for the usual shape; more makes them rounder.
        save: kinds of files: `map` (TIFF of labels 0..K-1), `overlay` (JPEG to look at), `features` (CSV).

    Raises:
        MaskwrightError: a value that no image can have, an unknown kind, or no kind.
    """

    method: str = "etps"
    count: int = 400
    compactness: float = 1.0
    save: Sequence[str] = ("map",)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise MaskwrightError(f"count is {self.count}, but it must be 1 or more: choose another `count`", "count")
        divided(np.zeros((1, 1), np.uint8), self.method, compactness=self.compactness, count=1)
        if not self.save:
            raise MaskwrightError(f"`save` is empty, so nothing would be written: give {' or '.join(KINDS)}")
        for kind in self.save:
            if kind not in KINDS:
                raise unknown_name("kind of file", kind, KINDS, "save")


def superpixels(
    sources: str | Path | Sequence[str | Path],
    request: SuperpixelRequest | None = None,
    *,
    out: str | Path = "superpixels",
    on_progress: OnShare | None = None,
    **fields: Any,
) -> PredictResult:
    """Divide images into superpixels; a file that cannot be read is listed in `failures`, and the rest go on.

    Args:
        sources: image files, folders (searched recursively) and globs.
        request: how to divide and what to write; None for one made of `fields`.
        out: folder for what is written: `maps/`, `overlays/`, `features/`. Results keep the paths of their images below
            the sources.
        on_progress: called with (images done, images in all).
        **fields: of a `SuperpixelRequest`, instead of `request`: `count=200`, `save=["map", "overlay"]`.

    Raises:
        MaskwrightError: no image, a value that breaks its rule, an existing file that maskwright did not write, or a
            folder that cannot be written.
    """
    for name in fields:
        if name not in SuperpixelRequest.__dataclass_fields__:
            raise unknown_name("keyword", name, SuperpixelRequest.__dataclass_fields__)
    if request is not None and fields:
        raise MaskwrightError(f"both a request and {min(fields)} are given: put {min(fields)} into the request")
    request = request or SuperpixelRequest(**fields)
    pictures, missing, notes = find_images([sources] if isinstance(sources, str | Path) else sources)
    if not pictures:
        raise MaskwrightError("; ".join(reason for _, reason in missing) or "no image was given")
    make_room(Path(out), [file for each in pictures for file in _files(each, Path(out), request).values()])
    failures = [Failure(path, reason) for path, reason in missing]
    images = []
    report = on_progress or (lambda _done, _total: None)
    for done, picture in enumerate(pictures):
        report(done, len(pictures))
        try:
            images.append(_run(picture, Path(out), request))
        except Unusable as error:
            failures.append(Failure(picture.image.path, str(error)))
    report(len(pictures), len(pictures))
    outputs = tuple(file for image in images for file in image.files.values())
    return PredictResult(outputs, failures, tuple(images), notes)


def _files(picture: Picture, out: Path, request: SuperpixelRequest) -> dict[str, Path]:
    """Return where each kind of result of one image goes."""
    kinds = ((name, KINDS[name]) for name in request.save)
    return {name: out / kind.folder / f"{picture.name}{kind.suffix}" for name, kind in kinds}


def _run(picture: Picture, out: Path, request: SuperpixelRequest) -> Predicted:
    """Divide one image and write its results.

    Raises:
        Unusable: it cannot be read or divided, or has too long a name for its results.
        MaskwrightError: the results cannot be written.
    """
    files = _files(picture, out, request)
    check_names(picture, out, files)
    try:
        image = read_image(picture.image)
        labels = divided(image, request.method, count=request.count, compactness=request.compactness)
    except (MaskwrightError, MemoryError) as error:
        raise unusable(picture, error) from error
    for kind, file in files.items():
        KINDS[kind].write(file, image, labels)
    return Predicted(picture.image.path, files, {"superpixels": int(labels.max()) + 1}, picture.image.page)


def write_map(path: Path, _image: NDArray[Any], labels: NDArray[np.int32]) -> None:
    """Write labels (H, W) as TIFF: uint16, or uint32 for more than 65,536 superpixels."""
    numbers = labels.astype(np.uint16 if labels.max() <= np.iinfo(np.uint16).max else np.uint32)
    with replacing(path) as temporary:
        tifffile.imwrite(temporary, numbers, description=MARK, metadata=None, compression="zlib", predictor=True)


def write_overlay(path: Path, image: NDArray[Any], labels: NDArray[np.int32]) -> None:
    """Write an image with the outlines of its superpixels as JPEG, at most 8192 pixels a side."""
    step = overlay_step(labels.shape)
    write_jpeg(path, outlined(image[::step, ::step], labels[::step, ::step]))


def write_features(path: Path, image: NDArray[Any], labels: NDArray[np.int32]) -> None:
    """Write the features of each superpixel as CSV, one row each."""
    write_text(path, as_csv(region_features(labels, image)))


KINDS: dict[str, Kind] = {
    "map": Kind("maps", ".tif", write_map),
    "overlay": Kind("overlays", ".jpg", write_overlay),
    "features": Kind("features", ".csv", write_features),
}
"""Name of each kind of file -> how it is written."""
