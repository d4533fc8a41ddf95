"""COCO annotations of predicted objects. Knows no task and no network."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from maskwright.core.files import write_text
from maskwright.data.results import MARK
from maskwright.ops import polygons, rle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instance, Instances
    from maskwright.tasks.writer import Entry


_NUMBER = re.compile(r"(?:^|\D)(\d{1,15})(?:\.ome)?\.[^./]*$", re.IGNORECASE)


def image_ids(names: Sequence[str]) -> list[int]:
    """Return the ids of images, as COCO makes names of them: 397133 for `000000397133.jpg`, or `.ome.tif`.

    They are counted from 1 unless each name ends in a number of its own, of at most 15 digits.
    """
    found = [_NUMBER.search(name) for name in names]
    numbers = [int(match[1]) for match in found if match is not None]
    return numbers if len(set(numbers)) == len(names) else list(range(1, len(names) + 1))


class CocoFile:
    """The objects of many images; see `tasks.writer.Collector`.

    Category ids are `Classes.categories`, and those of images `image_ids`. A class that means background is left out.
    Objects are run-length codes; with `as_polygons` those without holes are polygons instead (COCO polygons cannot hold
    holes).

    Args:
        classes: their names.
        objects_of: result of the task -> its objects.
        as_polygons: see above.
    """

    def __init__(self, classes: Classes, objects_of: Callable[[Any], Instances], *, as_polygons: bool = False) -> None:
        self._objects_of, self._as_polygons = objects_of, as_polygons
        self._ids = classes.categories
        self._categories = [{"id": number, "name": classes.names[index]} for index, number in self._ids.items()]

    def entry(self, name: str, result: Any, _stem: str) -> Entry:
        """Return an image and its annotations, which get their ids when all are written."""
        objects = self._objects_of(result)
        height, width = objects.size
        annotations = [
            {
                "object_id": number,
                "category_id": self._ids[entry.index],
                "segmentation": self._segmentation(entry, objects.size),
                "bbox": [entry.left, entry.top, entry.mask.shape[1], entry.mask.shape[0]],
                "area": entry.area,
                "iscrowd": int(entry.crowd),
                "score": round(entry.score, 6),
            }
            for number, entry in enumerate(objects.objects, start=1)
        ]
        return {"image": {"file_name": name, "width": width, "height": height}, "annotations": annotations}

    def write(self, path: Path, entries: Iterable[Entry]) -> None:
        """Write the file, with ids of annotations counted from 1."""
        write_text(path, json.dumps(self.content(entries), ensure_ascii=False))

    def content(self, entries: Iterable[Entry]) -> dict[str, Any]:
        """Return what `write` writes."""
        images: list[Entry] = []
        annotations: list[Entry] = []
        places: list[int] = []
        for place, entry in enumerate(entries):
            images.append(entry["image"])
            annotations += entry["annotations"]
            places += [place] * len(entry["annotations"])
        ids = image_ids([image["file_name"] for image in images])
        return {
            "info": {"description": f"{MARK}: scores are probabilities"},
            "images": [{"id": number, **image} for number, image in zip(ids, images, strict=True)],
            "categories": self._categories,
            "annotations": [
                {"id": number, "image_id": ids[place], **each}
                for number, (place, each) in enumerate(zip(places, annotations, strict=True), start=1)
            ],
        }

    def _segmentation(self, entry: Instance, size: tuple[int, int]) -> Any:
        if self._as_polygons:
            outlines, corner = polygons.from_mask(entry.mask), (entry.left, entry.top)
            if not any(polygon.holes for polygon in outlines):
                return [(polygon.outer + corner).ravel().tolist() for polygon in outlines]
        return rle.encode(entry.mask, size, (entry.top, entry.left))
