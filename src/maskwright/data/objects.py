"""Objects of one image: their number, size, thickness, and shape in their bounding box. Knows no file.

Objects are those of the annotation if the format has objects, otherwise the 8-connected regions of each class. The
smallest regions, which together are less than 1% of the class in the image, are annotation noise and do not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.seeds import generator
from maskwright.data.flip_symmetry import FlipMeter, box_grid, flip_difference
from maskwright.data.statistics import ValueSample
from maskwright.ops.images import count_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from maskwright.core.instances import Instance
    from maskwright.data.flip_symmetry import FlipDifference

    Grid = NDArray[np.float32]

LARGE_PIXELS = 4096 * 4096
_SHAPES_A_CLASS = 24
_SMALLEST_SIDE = 8
_SPECKS = 0.01


@dataclass(frozen=True)
class ClassObjects:
    """The objects of one class in one image.

    Attributes:
        sizes: (n,) square root of the area, in pixels.
        thickness: (n,) 4 x the mean distance to the edge, in pixels.
        shapes: flip differences of their occupancy in their bounding boxes, or None if no object is large enough.
    """

    sizes: NDArray[np.float64]
    thickness: NDArray[np.float64]
    shapes: FlipDifference | None


def piece(label: NDArray[np.uint8], key: str) -> NDArray[np.uint8]:
    """Cut at most `LARGE_PIXELS` out of a label map (H, W), square if possible, at a random place that `key` seeds."""
    height, width = label.shape
    if label.size <= LARGE_PIXELS:
        return label
    down = min(height, max(LARGE_PIXELS // width, math.isqrt(LARGE_PIXELS)))
    across = min(width, LARGE_PIXELS // down)
    rng = generator(0, "objects", key)
    top, left = (int(rng.integers(0, most + 1)) for most in (height - down, width - across))
    return label[top : top + down, left : left + across]


def regions(label: NDArray[np.uint8], known: Collection[int] = ()) -> dict[int, ClassObjects]:
    """Return the connected regions of a label map (H, W) by class index, without the classes in `known`."""
    present = np.flatnonzero(count_labels(label)).tolist()
    wanted = [index for index in present if index != IGNORE and index not in known]
    return {index: _class_regions(_cropped((label == index).view(np.uint8))) for index in wanted}


def annotated(objects: Iterable[Instance]) -> dict[int, ClassObjects]:
    """Return the given objects by class index.

    The image border counts as an edge of an object that it cuts.
    """
    areas: dict[int, list[int]] = {}
    distances: dict[int, list[float]] = {}
    crops: dict[int, list[Grid]] = {}
    for entry in objects:
        index, mask = entry.index, entry.mask
        binary = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        areas.setdefault(index, []).append(int(np.count_nonzero(mask)))
        distances.setdefault(index, []).append(float(_distance(binary).sum()))
        found = crops.setdefault(index, [])
        if len(found) < _SHAPES_A_CLASS and min(mask.shape) >= _SMALLEST_SIDE:
            found.append(box_grid(binary[1:-1, 1:-1]))
    return {
        index: _summary(np.array(areas[index]), np.array(distances[index]), crops[index]) for index in sorted(areas)
    }


def _cropped(binary: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop (H, W) to the set pixels and one pixel around them, inside the image: the rest only costs time."""
    x, y, width, height = cv2.boundingRect(binary)
    return np.ascontiguousarray(binary[max(y - 1, 0) : y + height + 1, max(x - 1, 0) : x + width + 1])


def _class_regions(binary: NDArray[np.uint8]) -> ClassObjects:
    count, places, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8, ltype=cv2.CV_32S)
    areas = stats[1:, cv2.CC_STAT_AREA]
    inside = np.flatnonzero(binary)
    distances = np.bincount(places.ravel()[inside], _distance(binary).ravel()[inside], minlength=count)[1:]
    crops: list[Grid] = []
    for place in np.argsort(-areas, kind="stable")[:_SHAPES_A_CLASS] + 1:
        x, y, width, height = (int(value) for value in stats[place, :4])
        if _whole((x, y, width, height), binary.shape):
            crops.append(box_grid((places[y : y + height, x : x + width] == place).view(np.uint8)))
    large = ~_specks(areas)
    return _summary(areas[large], distances[large], crops)


def _specks(areas: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which regions (n,) are noise: the smallest ones that together are less than 1% of the class."""
    order = np.argsort(areas, kind="stable")
    specks = np.empty(len(areas), np.bool_)
    specks[order] = np.cumsum(areas[order]) < _SPECKS * areas.sum()
    return specks


def _summary(areas: NDArray[Any], distances: NDArray[Any], crops: list[Grid]) -> ClassObjects:
    shapes = flip_difference(np.stack(crops)) if crops else None
    return ClassObjects(np.sqrt(areas), 4 * distances / areas, shapes)


def _distance(binary: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the distance (H, W) of each pixel to the edge of its region: half a pixel less than to the next pixel.

    The image border is not an edge, since objects continue beyond it, unless there is no other edge.
    """
    if cv2.countNonZero(binary) == binary.size:
        return _distance(np.pad(binary, 1))[1:-1, 1:-1]
    return np.maximum(cv2.distanceTransform(binary, cv2.DIST_L2, cv2.DIST_MASK_5) - np.float32(0.5), 0)


def _whole(box: tuple[int, int, int, int], shape: tuple[int, ...]) -> bool:
    """Tell whether a box (x, y, width, height) is large enough to have a shape and the image border does not cut it."""
    x, y, width, height = box
    inside = x > 0 and y > 0 and x + width < shape[1] and y + height < shape[0]
    return inside and min(width, height) >= _SMALLEST_SIDE


class ObjectMeter:
    """Sizes, thickness and shapes of the objects of one class."""

    def __init__(self) -> None:
        self.sizes, self.thickness, self.shapes = ValueSample(), ValueSample(), FlipMeter()

    def add(self, part: ClassObjects) -> None:
        """Add one image."""
        self.sizes.add(part.sizes)
        self.thickness.add(part.thickness)
        if part.shapes is not None:
            self.shapes.add(part.shapes)
