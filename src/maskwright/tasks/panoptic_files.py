"""The files that a prediction of things and stuff writes: COCO's panoptic format, and those of its parts.

An object has the same id in all files of its image: its position in the result, from 1. Segments of stuff follow.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from maskwright.core.files import write_text
from maskwright.data.results import MARK, overlay_step, write_jpeg, write_png
from maskwright.ops import draw_objects
from maskwright.tasks import instance_files, label_files, outline_files, panoptic_pictures
from maskwright.tasks.coco_file import CocoFile, image_ids
from maskwright.tasks.label_map import LabelMap
from maskwright.tasks.measurements import write_measurements
from maskwright.tasks.panoptic_map import PanopticMap, segments_of
from maskwright.tasks.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.core.pixel_size import PixelSize
    from maskwright.data.features import Feature
    from maskwright.data.readers.geotiff import Georeference
    from maskwright.tasks.writer import Entry

FOLDER = "panoptic"


def write_panoptic(path: Path, _image: NDArray[Any], result: PanopticMap, classes: Classes) -> None:
    """Write the ids of segments as an RGB PNG: R + 256 G + 65536 B; 0 is no segment."""
    segments = segments_of(result, classes)
    ids = np.zeros(segments.size, np.uint32)
    for number, entry in enumerate(segments.objects, start=1):
        ids[entry.rows, entry.columns][entry.mask] = number
    colors = np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=2).astype(np.uint8)
    write_png(path, Image.fromarray(colors))


class PanopticFile:
    """The segments of many images; see `tasks.writer.Collector`. Ids are those of `tasks.coco_file.CocoFile`.

    Args:
        classes: their names, and which of them are things.
    """

    def __init__(self, classes: Classes) -> None:
        self._classes, self._ids = classes, classes.categories

    def entry(self, name: str, result: PanopticMap, stem: str) -> Entry:
        """Return an image and its segments; the image gets its id when all are written."""
        segments = segments_of(result, self._classes)
        height, width = segments.size
        listed = [
            {
                "id": place,
                "category_id": self._ids[entry.index],
                "area": entry.area,
                "bbox": [entry.left, entry.top, entry.mask.shape[1], entry.mask.shape[0]],
                "iscrowd": 0,
                **({"score": round(entry.score, 4)} if entry.index in self._classes.objects else {}),
            }
            for place, entry in enumerate(segments.objects, start=1)
        ]
        return {
            "image": {"file_name": name, "width": width, "height": height},
            "annotation": {"file_name": f"{stem}.png", "segments_info": listed},
        }

    def write(self, path: Path, entries: Iterable[Entry]) -> None:
        """Write the file."""
        classes, listed = self._classes, list(entries)
        numbered = list(zip(image_ids([entry["image"]["file_name"] for entry in listed]), listed, strict=True))
        content = {
            "info": {"description": f"{MARK}: scores are probabilities"},
            "images": [{"id": number, **entry["image"]} for number, entry in numbered],
            "categories": [
                {
                    "id": number,
                    "name": classes.names[index],
                    "isthing": int(index in classes.objects),
                    "color": classes.colors[index],
                }
                for index, number in self._ids.items()
            ],
            "annotations": [{"image_id": number, **entry["annotation"]} for number, entry in numbered],
        }
        write_text(path, json.dumps(content, ensure_ascii=False))


def write_overlay(path: Path, image: NDArray[Any], result: PanopticMap, classes: Classes) -> None:
    """Write an image (H, W, C) under its things and stuff as JPEG, at most 8192 pixels a side."""
    step = overlay_step(result.labels.shape)
    thin = PanopticMap(result.labels[::step, ::step], draw_objects.thinned(result.objects, step))
    write_jpeg(path, panoptic_pictures.overlay(image[::step, ::step], thin, classes))


def write_mask(path: Path, image: NDArray[Any], result: PanopticMap, classes: Classes) -> None:
    """Write the classes alone, as the task `semantic` does; what belongs to nothing is 255."""
    label_files.write_mask(path, image, LabelMap(result.labels), classes)


def write_instances(
    path: Path, image: NDArray[Any], result: PanopticMap, classes: Classes, place: Georeference | None
) -> None:
    """Write the ids of the objects of things."""
    instance_files.write_instances(path, image, result.objects, classes, place)


def write_geojson(
    path: Path, image: NDArray[Any], result: PanopticMap, classes: Classes, place: Georeference | None
) -> None:
    """Write the outlines of the objects of things."""
    instance_files.write_geojson(path, image, result.objects, classes, place)


def _segments(result: PanopticMap, classes: Classes) -> Iterator[Feature]:
    """Return things and stuff."""
    return outline_files.objects(segments_of(result, classes))


def measure(
    path: Path, image: NDArray[Any], result: PanopticMap, classes: Classes, pixel_size: PixelSize | None
) -> None:
    """Write the measurements of the objects of things."""
    write_measurements(path, image, result.objects, classes, pixel_size)


def write_zarr(path: Path, image: NDArray[Any], result: PanopticMap, classes: Classes, scale: PixelSize | None) -> None:
    """Write the ids of segments as an OME-NGFF label image."""
    instance_files.write_zarr(path, image, segments_of(result, classes), classes, scale)


def _coco(classes: Classes) -> CocoFile:
    return CocoFile(classes, _objects)


def _objects(result: PanopticMap) -> Instances:
    return result.objects


WRITERS: dict[str, Writer] = {
    "panoptic": Writer(FOLDER, ".png", write=write_panoptic, along="panoptic-json"),
    "panoptic-json": Writer(f"{FOLDER}.json", collect=PanopticFile),
    "zarr": Writer(FOLDER, ".zarr", measure=write_zarr),
    "overlay": Writer("overlays", ".jpg", write=write_overlay),
    "mask": Writer("masks", ".png", write=write_mask),
    "instances": Writer("instances", ".tif", locate=write_instances),
    "coco": Writer("predictions.json", collect=_coco),
    "geojson": Writer("outlines", ".geojson", locate=write_geojson),
    "gpkg": Writer("outlines", ".gpkg", locate=outline_files.located("gpkg", _segments)),
    "measurements": Writer("measurements", ".csv", measure=measure),
}
"""What `predict --save` can write of things and stuff."""
