"""A result of any task as what the service sends: pictures of values, and a JSON document. Knows no request.

Each function serves the results of all tasks: label maps, objects, things and stuff, edges.
"""

from __future__ import annotations

from functools import singledispatch
from io import BytesIO
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instances
from maskwright.data import edge_results
from maskwright.ops.images import count_labels
from maskwright.ops.instance_maps import to_map
from maskwright.tasks.coco_file import CocoFile
from maskwright.tasks.edge_map import EdgeMap
from maskwright.tasks.instance_files import geojson_text, rings_of
from maskwright.tasks.label_files import save_mask
from maskwright.tasks.label_map import LabelMap
from maskwright.tasks.panoptic_map import PanopticMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instance

_MOST_IDS = 65535
_RUNS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
_FILTER, _NONE, _UP = 19, 8, 32
"""OpenCV's IMWRITE_PNG_FILTER and two of its values, which versions before 4.11 do not have; they ignore them."""


def png(values: NDArray[Any], *, smooth: bool = False) -> bytes:
    """Encode grey (H, W) in uint8 or uint16, or RGB (H, W, 3) in uint8, as fast as is possible at a moderate size.

    Args:
        values: labels or ids, which are equal in large areas.
        smooth: they are no labels, but change little from pixel to pixel, as probabilities do.
    """
    pixels = values if values.ndim == 2 else values[..., ::-1]
    how = [*_RUNS, _FILTER, _UP if smooth else _NONE]
    return cv2.imencode(".png", np.ascontiguousarray(pixels), how)[1].tobytes()


@singledispatch
def mask_png(result: Any, classes: Classes) -> bytes:
    """Return the result as one PNG: class indices with a palette, ids of objects in 16 bits, or 255 on an edge.

    Raises:
        MaskwrightError: more objects than 16 bits can tell apart.
    """
    raise _no_way(result, classes)


@mask_png.register(LabelMap)
@mask_png.register(PanopticMap)
def _(result: LabelMap | PanopticMap, classes: Classes) -> bytes:
    file = BytesIO()
    save_mask(file, result.labels, classes)
    return file.getvalue()


@mask_png.register(Instances)
def _(result: Instances, _classes: Classes) -> bytes:
    if len(result) > _MOST_IDS:
        raise MaskwrightError(
            f"the image has {len(result)} objects, and a PNG of 16 bits tells {_MOST_IDS} apart: ask for JSON"
        )
    return png(to_map(result, np.uint16))


@mask_png.register(EdgeMap)
def _(result: EdgeMap, _classes: Classes) -> bytes:
    return png(result.lines.astype(np.uint8) * np.uint8(255))


@singledispatch
def confidence(result: Any, classes: Classes) -> NDArray[np.uint8]:
    """Return how sure the network is, (H, W), 255 for a probability of 1.

    Of a label map it is the probability of the class, of objects their score (0 outside), of edges their strength.
    """
    raise _no_way(result, classes)


@confidence.register(LabelMap)
def _(result: LabelMap, _classes: Classes) -> NDArray[np.uint8]:
    assert result.confidence is not None
    return _OF_HALF[result.confidence.view(np.uint16)]


@confidence.register(Instances)
def _(result: Instances, _classes: Classes) -> NDArray[np.uint8]:
    scores = _bytes(np.array([0.0, *(entry.score for entry in result.objects)], np.float32))
    return scores[to_map(result)]


@confidence.register(PanopticMap)
def _(result: PanopticMap, classes: Classes) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = confidence(result.objects, classes)
    return found


@confidence.register(EdgeMap)
def _(result: EdgeMap, _classes: Classes) -> NDArray[np.uint8]:
    return _bytes(result.strength)


@singledispatch
def geojson(result: Any, classes: Classes) -> str:
    """Return outlines of objects, or of the regions of classes, or lines of edges, in pixels of the image."""
    raise _no_way(result, classes)


@geojson.register(LabelMap)
def _(result: LabelMap, classes: Classes) -> str:
    return geojson_text(result.regions(classes), classes)


@geojson.register(Instances)
def _(result: Instances, classes: Classes) -> str:
    return geojson_text(result, classes)


@geojson.register(PanopticMap)
def _(result: PanopticMap, classes: Classes) -> str:
    return geojson_text(result.objects, classes)


@geojson.register(EdgeMap)
def _(result: EdgeMap, _classes: Classes) -> str:
    return edge_results.geojson_text(result.traced(), result.strength)


def coco(result: Any, classes: Classes) -> dict[str, Any]:
    """Return objects, or the regions of classes, as COCO's annotations; the image is called `image`.

    Raises:
        MaskwrightError: the task has neither.
    """
    found = result.objects if isinstance(result, PanopticMap) else result
    found = found.regions(classes) if isinstance(found, LabelMap) else found
    if not isinstance(found, Instances):
        raise MaskwrightError("edges are no objects, and COCO has only these: ask for GeoJSON")
    file = CocoFile(classes, lambda objects: objects)
    return file.content([file.entry("image", found, "image")])


@singledispatch
def layers(result: Any, classes: Classes) -> dict[str, NDArray[np.uint8]]:
    """Return the pictures of a bundle: `labels` (H, W), class indices; `ids` (H, W, 3), R + 256 G + 65536 B."""
    raise _no_way(result, classes)


@layers.register(LabelMap)
def _(result: LabelMap, _classes: Classes) -> dict[str, NDArray[np.uint8]]:
    return {"labels": result.labels}


@layers.register(Instances)
def _(result: Instances, classes: Classes) -> dict[str, NDArray[np.uint8]]:
    ids = to_map(result)
    index = np.array([classes.background or 0, *(entry.index for entry in result.objects)], np.uint8)
    return {"labels": index[ids], "ids": _colors(ids)}


@layers.register(PanopticMap)
def _(result: PanopticMap, _classes: Classes) -> dict[str, NDArray[np.uint8]]:
    return {"labels": result.labels, "ids": _colors(to_map(result.objects))}


@layers.register(EdgeMap)
def _(result: EdgeMap, _classes: Classes) -> dict[str, NDArray[np.uint8]]:
    return {"labels": result.lines.astype(np.uint8)}


def class_shares(labels: NDArray[np.uint8], classes: Classes) -> list[dict[str, Any]]:
    """Return pixels and share of the image for each class, those without a pixel included."""
    counts, pixels = count_labels(labels), labels.size
    return [
        {"index": index, "name": name, "pixels": int(counts[index]), "share": round(int(counts[index]) / pixels, 6)}
        for index, name in enumerate(classes.names)
    ]


def objects_of(result: Any, classes: Classes) -> list[dict[str, Any]] | None:
    """Return the objects of a result, with outlines; None if it has no objects."""
    if isinstance(result, PanopticMap):
        result = result.objects
    if not isinstance(result, Instances):
        return None
    return [_object(number, entry, classes) for number, entry in enumerate(result.objects, start=1)]


def _object(number: int, entry: Instance, classes: Classes) -> dict[str, Any]:
    return {
        "id": number,
        "class": classes.names[entry.index],
        "index": entry.index,
        "score": round(entry.score, 4),
        "bbox": [entry.left, entry.top, entry.mask.shape[1], entry.mask.shape[0]],
        "area": entry.area,
        "polygons": rings_of(entry),
    }


def _bytes(shares: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return shares from 0 to 1 as 0 to 255; NaN, where there are no data, as 0."""
    return np.rint(np.clip(np.nan_to_num(shares.astype(np.float32)), 0, 1) * 255).astype(np.uint8)


_OF_HALF = _bytes(np.arange(1 << 16, dtype=np.uint16).view(np.float16))
"""What `_bytes` makes of each float16, by its bits: a look-up takes a tenth of the time."""


def _colors(ids: NDArray[Any]) -> NDArray[np.uint8]:
    return np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=2).astype(np.uint8)


def _no_way(result: Any, _classes: Classes) -> TypeError:
    return TypeError(f"the service has no way to send a {type(result).__name__}")
