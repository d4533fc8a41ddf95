"""Visualisations of objects: tinted, outlined and numbered, each within its own box. Knows no file.

All of them are uint8 RGB (H, W, 3). Lines and numbers grow with the image, so that they are still seen when it is made
smaller.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.classes import default_palette
from maskwright.core.instances import Instance, Instances
from maskwright.ops.draw import to_rgb8
from maskwright.ops.instance_maps import cropped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes

    Color = tuple[int, int, int]

TINT = 0.45
FULL = 0.86
"""Opacity of what must be seen first; the rest shows the image, so that one sees what it was."""
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT = 0.36
_TEXT_SIDE = 420  # pixels of an image whose numbers have the scale `_TEXT`


def overlay(image: NDArray[Any], objects: Instances, colors: Sequence[Color]) -> NDArray[np.uint8]:
    """Tint and outline the objects of an image, and number those that have room for it from 1.

    Args:
        image: (H, W) or (H, W, C), any real dtype; see `draw.to_rgb8`.
        objects: where they overlap, the first lies on top.
        colors: one an object.
    """
    assert image.shape[:2] == objects.size, (image.shape, objects.size)
    picture = to_rgb8(image)
    drawn = list(zip(objects.objects, colors, strict=True))
    for entry, color in reversed(drawn):
        tint(picture, entry, color)
    for entry, color in reversed(drawn):
        outline(picture, entry, _lighter(color))
    for number, entry in enumerate(objects.objects, start=1):
        _write(picture, entry, str(number))
    return picture


def tint(picture: NDArray[np.uint8], entry: Instance, color: Color, alpha: float = TINT) -> None:
    """Mix the pixels of one object with a colour, in place."""
    part = picture[entry.rows, entry.columns]
    part[entry.mask] = (1 - alpha) * part[entry.mask] + alpha * np.array(color) + 0.5


def outline(picture: NDArray[np.uint8], entry: Instance, color: Color) -> None:
    """Draw a line along the inner edge of one object, in place."""
    width = max(1, round(min(picture.shape[:2]) / 500))
    padded = np.pad(entry.mask, width).view(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    inner = cv2.erode(padded, kernel)[width:-width, width:-width].astype(bool)
    picture[entry.rows, entry.columns][entry.mask & ~inner] = color


def colors_of(objects: Instances, classes: Classes) -> list[Color]:
    """Return a colour for each object: its own if there is one class of objects, otherwise that of its class."""
    if several(classes):
        return [classes.colors[entry.index] for entry in objects.objects]
    return list(default_palette(len(objects)))


def several(classes: Classes) -> bool:
    """Tell whether objects can have different classes."""
    return len(classes) - (classes.background is not None) > 1


def thinned(objects: Instances, step: int) -> Instances:
    """Keep every `step`-th row and column, as `image[::step, ::step]` does, but at least one pixel of each object."""
    if step == 1:
        return objects
    size = -(-objects.size[0] // step), -(-objects.size[1] // step)
    return Instances(size, tuple(_thinned(entry, step, size) for entry in objects.objects))


def _thinned(entry: Instance, step: int, size: tuple[int, int]) -> Instance:
    found = cropped(entry.mask[-entry.top % step :: step, -entry.left % step :: step])
    top, left = -(-entry.top // step), -(-entry.left // step)
    if found is None:
        top, left = min(top, size[0] - 1), min(left, size[1] - 1)
        found = 0, 0, np.ones((1, 1), bool)
    return Instance(entry.index, top + found[0], left + found[1], found[2], entry.score, entry.crowd)


def _write(picture: NDArray[np.uint8], entry: Instance, text: str) -> None:
    """Write a number where the object is thickest, if it fits in there."""
    scale = max(1.0, max(picture.shape[:2]) / _TEXT_SIDE)
    thickness = max(1, round(scale))
    (width, height), _ = cv2.getTextSize(text, _FONT, _TEXT * scale, thickness)
    if min(entry.mask.shape) < height:
        return
    distance = cv2.distanceTransform(np.pad(entry.mask, 1).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    _, room, _, (x, y) = cv2.minMaxLoc(distance)
    if math.hypot(width, height) / 2 > room:
        return
    place = entry.left + x - 1 - width // 2, entry.top + y - 1 + height // 2
    cv2.putText(picture, text, place, _FONT, _TEXT * scale, _BLACK, 3 * thickness, cv2.LINE_AA)
    cv2.putText(picture, text, place, _FONT, _TEXT * scale, _WHITE, thickness, cv2.LINE_AA)


def _lighter(color: Color) -> Color:
    """Return a colour half way to white, to contrast with its tint."""
    red, green, blue = (value // 2 + 127 for value in color)
    return red, green, blue
