"""Superpixels: images in, label maps, overlays and tables of features out. Prints nothing, and imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from maskwright.classic.region_features import as_csv, region_features
from maskwright.classic.superpixels import superpixels as divided
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import replacing, write_text
from maskwright.core.keywords import request_of
from maskwright.data.results import MARK, overlay_step, write_jpeg
from maskwright.ops.draw import outlined
from maskwright.workflows.predict_parts.each_image import Job, Kind, chosen, for_each_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.events import OnShare
    from maskwright.workflows.predict_parts.results import PredictResult


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
    save: str | Sequence[str] = ("map",)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise MaskwrightError(f"count is {self.count}, but it must be 1 or more: choose another `count`", "count")
        divided(np.zeros((1, 1), np.uint8), self.method, compactness=self.compactness, count=1)
        chosen(self.save, KINDS)

    def divide(self, image: NDArray[Any]) -> NDArray[np.int32]:
        """Divide an image (H, W) or (H, W, C) into superpixels (H, W), 0..K-1.

        Raises:
            MaskwrightError: it is not an image, or has fewer pixels than superpixels.
        """
        return divided(image, self.method, count=self.count, compactness=self.compactness)


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
    request = request_of(SuperpixelRequest, request, fields)
    return for_each_image(sources, out, Job(request.divide, _summary, chosen(request.save, KINDS)), on_progress)


def _summary(labels: NDArray[np.int32]) -> dict[str, int | float]:
    return {"superpixels": int(labels.max()) + 1}


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


KINDS: dict[str, Kind[NDArray[np.int32]]] = {
    "map": Kind("maps", ".tif", write_map),
    "overlay": Kind("overlays", ".jpg", write_overlay),
    "features": Kind("features", ".csv", write_features),
}
"""Name of each kind of file -> how it is written."""
