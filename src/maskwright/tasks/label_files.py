"""The files that a prediction of label maps writes: masks, overlays, probabilities, COCO annotations. Knows no network.

Every file carries the mark of `tasks.files`, so that a later prediction over the same folders neither takes results for
images nor overwrites anything that is not a result.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from maskwright.core.files import replacing, write_text
from maskwright.ops import draw, polygons, rle
from maskwright.ops.images import count_labels
from maskwright.tasks.base import Writer
from maskwright.tasks.files import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.tasks.base import Block
    from maskwright.tasks.label_map import LabelMap

OVERLAY_SIDE = 8192  # longer pictures are made smaller: an overlay is there to be looked at


def write_mask(path: Path, _image: NDArray[Any], result: LabelMap, classes: Classes) -> None:
    """Write a label map (H, W) as a palette PNG: the values are class indices, the colours those of the classes."""
    picture = Image.fromarray(result.labels)
    picture.putpalette(classes.palette().tobytes())
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Software", MARK)
    notes.add_itxt("Classes", json.dumps(classes.names))
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=notes)


def write_overlay(path: Path, image: NDArray[Any], result: LabelMap, classes: Classes) -> None:
    """Write an image (H, W, C) under its label map (H, W) as JPEG, at most `OVERLAY_SIDE` pixels a side."""
    step = -(-max(result.labels.shape) // OVERLAY_SIDE)
    picture = draw.overlay(image[::step, ::step], result.labels[::step, ::step], classes)
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="JPEG", quality=92, subsampling=0, comment=MARK)


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
                array[:, block.rows, block.columns] = block.maps.cpu().numpy()

            yield put
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.write(raw, "probabilities.npy")
                with archive.open("classes.npy", "w") as member:
                    np.lib.format.write_array(member, np.array(classes.names), allow_pickle=False)
                archive.comment = MARK.encode()
        finally:
            raw.unlink(missing_ok=True)


def _array_on_disk(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16]:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    if hasattr(os, "posix_fallocate"):
        # Claims the space now: a disk that fills up under a mapped file kills the process instead of raising.
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    return array


class CocoWriter:
    """COCO annotations of many images: every connected region of a class is one object, scored by its probability.

    Category ids are class indices. A class that means background is left out. Regions are run-length codes; with
    `as_polygons` those without holes are polygons instead (COCO polygons cannot hold holes).
    """

    def __init__(self, classes: Classes, *, as_polygons: bool = False) -> None:
        self._as_polygons = as_polygons
        nothing = classes.background
        self._names = {index: name for index, name in enumerate(classes.names) if index != nothing}
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, name: str, result: LabelMap) -> None:
        """Add one image: its name in the file, and its labels with their confidence."""
        labels, confidence = result.labels, result.confidence
        assert confidence is not None
        image_id = len(self._images) + 1
        height, width = labels.shape
        self._images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        present = count_labels(labels)
        for index in self._names:
            if present[index]:
                self._add_regions(image_id, index, labels == index, confidence)

    def write(self, path: Path) -> None:
        """Write everything added so far."""
        content = {
            "info": {"description": f"{MARK}: category ids are class indices, scores are mean probabilities"},
            "images": self._images,
            "categories": [{"id": index, "name": name} for index, name in self._names.items()],
            "annotations": self._annotations,
        }
        write_text(path, json.dumps(content, ensure_ascii=False))

    def _add_regions(
        self, image_id: int, category: int, inside: NDArray[np.bool_], confidence: NDArray[np.floating[Any]]
    ) -> None:
        count, regions, stats, _ = cv2.connectedComponentsWithStats(inside.view(np.uint8), connectivity=8)
        for index in range(1, count):
            left, top, width, height, area = (int(value) for value in stats[index])
            part = (slice(top, top + height), slice(left, left + width))
            mask = regions[part] == index
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image_id,
                    "category_id": category,
                    "segmentation": self._segmentation(mask, inside.shape, (top, left)),
                    "bbox": [left, top, width, height],
                    "area": area,
                    "iscrowd": 0,
                    "score": round(float(confidence[part][mask].mean(dtype=np.float64)), 4),
                }
            )

    def _segmentation(self, mask: NDArray[np.bool_], size: tuple[int, ...], origin: tuple[int, int]) -> Any:
        if self._as_polygons:
            outlines = polygons.from_mask(mask)
            if not any(polygon.holes for polygon in outlines):
                return [(polygon.outer + origin[::-1]).ravel().tolist() for polygon in outlines]
        return rle.encode(mask, (size[0], size[1]), origin)


WRITERS: dict[str, Writer] = {
    "mask": Writer("masks", ".png", write=write_mask),
    "overlay": Writer("overlays", ".jpg", write=write_overlay),
    "probabilities": Writer("probabilities", ".npz", stream=probability_file),
    "coco": Writer("predictions.json", collect=CocoWriter, confidence=True),
    "coco-polygons": Writer("predictions.json", collect=partial(CocoWriter, as_polygons=True), confidence=True),
}
"""What `predict --save` can write of label maps."""
