"""COCO annotations of predicted objects. Knows no task and no network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from maskwright.core.files import write_text
from maskwright.data.results import MARK
from maskwright.ops import polygons, rle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instance, Instances
    from maskwright.tasks.writer import Entry


class CocoFile:
    """The objects of many images; see `tasks.writer.Collector`.

    Category ids are class indices. A class that means background is left out. Objects are run-length codes; with
    `as_polygons` those without holes are polygons instead (COCO polygons cannot hold holes).

    Args:
        classes: their names.
        objects_of: result of the task -> its objects.
        as_polygons: see above.
    """

    def __init__(self, classes: Classes, objects_of: Callable[[Any], Instances], *, as_polygons: bool = False) -> None:
        self._objects_of, self._as_polygons = objects_of, as_polygons
        nothing = classes.background
        self._categories = [{"id": k, "name": name} for k, name in enumerate(classes.names) if k != nothing]

    def entry(self, name: str, result: Any, _stem: str) -> Entry:
        """Return an image and its annotations, which get their ids when all are written."""
        objects = self._objects_of(result)
        height, width = objects.size
        annotations = [
            {
                "object_id": number,
                "category_id": entry.index,
                "segmentation": self._segmentation(entry, objects.size),
                "bbox": [entry.left, entry.top, entry.mask.shape[1], entry.mask.shape[0]],
                "area": entry.area,
                "iscrowd": int(entry.crowd),
                "score": round(entry.score, 4),
            }
            for number, entry in enumerate(objects.objects, start=1)
        ]
        return {"image": {"file_name": name, "width": width, "height": height}, "annotations": annotations}

    def write(self, path: Path, entries: Iterable[Entry]) -> None:
        """Write the file, with ids of images and annotations counted from 1."""
        write_text(path, json.dumps(self.content(entries), ensure_ascii=False))

    def content(self, entries: Iterable[Entry]) -> dict[str, Any]:
        """Return what `write` writes."""
        images: list[Entry] = []
        annotations: list[Entry] = []
        for entry in entries:
            images.append({"id": len(images) + 1, **entry["image"]})
            for each in entry["annotations"]:
                annotations.append({"id": len(annotations) + 1, "image_id": len(images), **each})
        return {
            "info": {"description": f"{MARK}: category ids are class indices, scores are probabilities"},
            "images": images,
            "categories": self._categories,
            "annotations": annotations,
        }

    def _segmentation(self, entry: Instance, size: tuple[int, int]) -> Any:
        if self._as_polygons:
            outlines, corner = polygons.from_mask(entry.mask), (entry.left, entry.top)
            if not any(polygon.holes for polygon in outlines):
                return [(polygon.outer + corner).ravel().tolist() for polygon in outlines]
        return rle.encode(entry.mask, size, (entry.top, entry.left))
