"""Annotated shapes to pixels, exactly as pycocotools paints them, but only inside each shape's bounding box.

pycocotools walks along every outline in steps of a fifth of a pixel, wherever it is. An outline that reaches farther
beyond the image than the longer side of this is first cut off there, which moves its edges by a tenth of a pixel at
most: one corner that a slip of the hand put a billion pixels away would otherwise take all time and memory.

Knows no file format: coordinates are pixels of the image, or fractions of its sides if the annotation is normalized.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pycocotools import mask as coco

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instance
from maskwright.core.records import ImageRef
from maskwright.data.readers import DecodeError, image_orientation
from maskwright.ops import rle as rle_codes
from maskwright.ops.instance_maps import cropped
from maskwright.ops.polygons import within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.records import Shape, Shapes

# An upper bound on how far pycocotools paints beyond a polygon's corners.
_MARGIN = 2


class _Patch(NamedTuple):
    """A painted shape: its pixels, bool (h, w), and the place of its upper left corner in the image."""

    top: int
    left: int
    pixels: NDArray[np.bool_]


def paint(shapes: Shapes, size: tuple[int, int], image: ImageRef) -> NDArray[np.uint8]:
    """Paint all shapes, in their order, on background 0.

    Args:
        shapes: the annotation of one image.
        size: (height, width) of the image.
        image: where it is, for messages.

    Returns:
        (H, W) of class indices and `IGNORE`.

    Raises:
        DecodeError: the shapes were drawn on an image of another size, or a run-length code is damaged.
    """
    require_size(shapes, size, image)
    labels = np.zeros(size, np.uint8)
    for shape in shapes.shapes:
        patch = _patch(shape, shapes, size, image)
        height, width = patch.pixels.shape
        labels[patch.top : patch.top + height, patch.left : patch.left + width][patch.pixels] = shape.index
    return labels


def paint_objects(shapes: Shapes, size: tuple[int, int], image: ImageRef) -> Iterator[Instance]:
    """Yield each shape that is not empty, and is not ignored or is a crowd of a class.

    Raises:
        DecodeError: as `paint`.
    """
    require_size(shapes, size, image)
    for shape in shapes.shapes:
        index = shape.index if shape.crowd is None else shape.crowd
        if index == IGNORE:
            continue
        patch = _patch(shape, shapes, size, image)
        found = cropped(patch.pixels)
        if found is not None:
            top, left, mask = found
            yield Instance(index, patch.top + top, patch.left + left, mask, crowd=shape.crowd is not None)


def require_size(shapes: Shapes, size: tuple[int, int], image: ImageRef) -> None:
    """Refuse shapes that were drawn on an image of another size: they would be painted in the wrong place.

    Raises:
        DecodeError: the sizes differ.
    """
    if shapes.size is None or shapes.size == size:
        return
    is_turned = shapes.size == size[::-1] and image_orientation(image) != 1
    turned = " after its EXIF orientation is applied" if is_turned else ""
    drawn = f"{shapes.path.name} was drawn at {shapes.size[1]}x{shapes.size[0]}"
    cure = "use the image that was annotated, or export the annotations again"
    if shapes.size == size[::-1] and not is_turned:
        cure = f"{cure}; if the file gives the height as the width, exchange the two"
    raise DecodeError(
        "size-mismatch",
        image,
        f"is {size[1]}x{size[0]} pixels{turned}, but {drawn}",
        cure,
    )


def _patch(shape: Shape, shapes: Shapes, size: tuple[int, int], image: ImageRef) -> _Patch:
    if shape.rle is not None:
        return _Patch(0, 0, _from_rle(shape.rle, shapes.path, size, image))
    scale = np.array([size[1], size[0]] if shapes.normalized else [1, 1], np.float64)
    rings = [_points(ring, scale, size) for ring in shape.polygons]
    points = np.concatenate(rings) if rings else np.zeros((0, 2))
    if not len(points):
        return _Patch(0, 0, np.zeros((0, 0), bool))
    left, right = _span(points[:, 0], size[1])
    top, bottom = _span(points[:, 1], size[0])
    if right <= left or bottom <= top:
        return _Patch(0, 0, np.zeros((0, 0), bool))
    window = (top, left, bottom - top, right - left)
    if not any(shape.holes):
        return _Patch(top, left, _painted(rings, window))
    pixels = np.zeros(window[2:], bool)
    for ring, holes in zip(rings, shape.holes, strict=True):
        part = _painted([ring], window)
        if holes:
            part &= ~_painted([_points(hole, scale, size) for hole in holes], window)
        pixels |= part
    return _Patch(top, left, pixels)


def _points(ring: tuple[float, ...], scale: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    return near(np.asarray(ring, np.float64).reshape(-1, 2) * scale, size)


def near(ring: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return a ring (n, 2) of x, y, cut off far beyond an image (height, width) if it reaches there."""
    far = max(size)
    box = (-far, -far, size[1] + far, size[0] + far)
    return ring if np.all(ring >= box[:2]) and np.all(ring <= box[2:]) else within(ring, box)


def _painted(rings: list[NDArray[np.float64]], window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Paint rings (n, 2) into a window (top, left, height, width) of the image; all of them are inside."""
    top, left, height, width = window
    codes = coco.frPyObjects([(ring - (left, top)).ravel().tolist() for ring in rings if len(ring)], height, width)
    return rle_codes.decode(coco.merge(codes))


def _span(coordinates: NDArray[np.float64], length: int) -> tuple[int, int]:
    """Return the range (first, last + 1) of pixels that a shape may touch along one axis of the image."""
    low, high = float(coordinates.min()), float(coordinates.max())
    return max(0, math.floor(low) - _MARGIN), min(length, math.ceil(high) + _MARGIN)


def _from_rle(rle: dict[str, Any], path: Path, size: tuple[int, int], image: ImageRef) -> NDArray[np.bool_]:
    height, width = (int(length) for length in rle["size"])
    if (height, width) != size:
        raise DecodeError(
            "size-mismatch",
            image,
            f"has a run-length code of {width}x{height} pixels in {path.name}, but is {size[1]}x{size[0]}",
            "write the size of codes as [height, width], and their runs column by column"
            if (width, height) == size
            else "export the annotations of this image again, or use the image that was annotated",
        )
    try:
        return rle_codes.decode(rle)
    except MaskwrightError as error:
        message = f"holds a damaged outline for {image.name} ({error})"
        raise DecodeError("unreadable", ImageRef(path), message, "export the annotations again") from None
