"""The files that a prediction of label maps writes: masks, overlays, probabilities, COCO annotations. Knows no network.

Every file carries the mark of `data.results`, so that a later prediction over the same folders neither takes results
for images nor overwrites anything that is not a result.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from maskwright.core.files import replacing
from maskwright.data.results import MARK, overlay_step, write_jpeg
from maskwright.ops import draw
from maskwright.ops.rows import ArrayRows
from maskwright.tasks import label_scan, outline_files
from maskwright.tasks.coco_file import CocoFile
from maskwright.tasks.label_map import LabelMap
from maskwright.tasks.scan import Scan
from maskwright.tasks.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.pixel_size import PixelSize
    from maskwright.data.features import Feature
    from maskwright.tasks.block import Block

_EARLIEST = time.mktime((1980, 1, 1, 0, 0, 0, 0, 0, -1))
"""What zip archives can tell at the earliest, in local time as they have it: the date of all that have none."""


def write_mask(path: Path, _image: NDArray[Any], result: LabelMap, classes: Classes) -> None:
    """Write a label map (H, W) as `save_mask` does."""
    with replacing(path) as temporary:
        save_mask(temporary, result.labels, classes)


def save_mask(file: Path | BinaryIO, labels: NDArray[np.uint8], classes: Classes) -> None:
    """Save labels (H, W) as a palette PNG: the values are class indices, the colours those of the classes."""
    picture = Image.fromarray(labels)
    picture.putpalette(classes.palette().tobytes())
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Software", MARK)
    notes.add_itxt("Classes", json.dumps(classes.names))
    picture.save(file, format="PNG", pnginfo=notes)


def write_overlay(path: Path, image: NDArray[Any], result: LabelMap, classes: Classes) -> None:
    """Write an image (H, W, C) under its label map (H, W) as JPEG, at most 8192 pixels a side."""
    step = overlay_step(result.labels.shape)
    write_jpeg(path, draw.overlay(image[::step, ::step], result.labels[::step, ::step], classes))


@contextlib.contextmanager
def probability_file(path: Path, size: tuple[int, int], classes: Classes) -> Iterator[Callable[[Block], None]]:
    """Yield a function that takes the blocks of an image; on success `path` is an .npz file of (K, H, W) float16.

    `numpy.load(path)` gives `probabilities` (K, H, W) and `classes` (K names). It is no bare .npy because those are
    read as images, and results must not be taken for images.
    """
    with replacing(path) as temporary:
        raw = temporary.with_suffix(".raw")
        try:
            array = _array_on_disk(raw, (len(classes), *size))

            def put(block: Block) -> None:
                array[:, block.rows, block.columns] = block.maps[: len(classes)].cpu().numpy()

            yield put
            array.flush()
            os.utime(raw, (_EARLIEST, _EARLIEST))  # so that the bytes do not tell when they were written
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.write(raw, "probabilities.npy")
                with archive.open(zipfile.ZipInfo("classes.npy"), "w") as member:
                    np.lib.format.write_array(member, np.array(classes.names), allow_pickle=False)
                archive.comment = MARK.encode()
        finally:
            raw.unlink(missing_ok=True)


def _array_on_disk(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.float16]]:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    if hasattr(os, "posix_fallocate"):
        # Claims the space now: a disk that fills up under a mapped file kills the process instead of raising.
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    return array


def write_zarr(path: Path, image: NDArray[Any], result: LabelMap, classes: Classes, scale: PixelSize | None) -> None:
    """Write a label map (H, W) as an OME-NGFF label image."""
    label_scan.write_zarr(path, Scan(ArrayRows(image), ArrayRows(result.labels), scale=scale), classes)


def _coco(classes: Classes, *, as_polygons: bool = False) -> CocoFile:
    return CocoFile(classes, partial(LabelMap.regions, classes=classes), as_polygons=as_polygons)


def _regions(result: LabelMap, classes: Classes) -> Iterator[Feature]:
    return outline_files.regions(ArrayRows(result.labels), classes)


def _outlines(kind: str, suffix: str) -> Writer:
    locate, scan = outline_files.located(kind, _regions), outline_files.of_scan(kind)
    return Writer("outlines", suffix, locate=locate, scan=scan, scan_suffix=suffix)


WRITERS: dict[str, Writer] = {
    "mask": Writer("masks", ".png", write=write_mask, scan=label_scan.write_mask, scan_suffix=".tif"),
    "zarr": Writer("masks", ".zarr", measure=write_zarr, scan=label_scan.write_zarr, scan_suffix=".zarr"),
    "overlay": Writer("overlays", ".jpg", write=write_overlay, scan=label_scan.write_overlay, scan_suffix=".jpg"),
    "probabilities": Writer("probabilities", ".npz", stream=probability_file),
    "coco": Writer("predictions.json", collect=_coco, confidence=True),
    "coco-polygons": Writer("predictions.json", collect=partial(_coco, as_polygons=True), confidence=True),
    "geojson": _outlines("geojson", ".geojson"),
    "gpkg": _outlines("gpkg", ".gpkg"),
}
"""What `predict --save` can write of label maps."""
