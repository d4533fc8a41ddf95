"""Shared by the formats of drawn shapes: valid outlines, and the order of painting. Opens no file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from maskwright.core.records import Shape, Split

Ring = tuple[float, ...]
Box = tuple[float, float, float, float]

_FEWEST_NUMBERS = 6
_FLATNESS = 0.05  # pixels that the chords of a circle may lie inside it
# Coordinates beyond the first are no places of pixels, and would make areas inexact; no picture holds a larger circle.
_FARTHEST, _LARGEST_RADIUS = 1e12, 1e6


class Drawing(NamedTuple):
    """One object as an annotation file holds it, in pixels, or in fractions if the whole file is.

    Attributes:
        label: the name of its class, or its number where the file does not name that; None if it has no class.
        polygons: the rings that enclose an area; none if nothing can be painted.
        holes: as in `core.records.Shape`.
        rle: run-length code instead of polygons.
        box: (left, top, right, bottom) around the object, or around the points that were set to draw it; None if it is
            not known, or may lie beyond the image.
        area: orders the painting, large ones first; 0 to paint in the order of the file.
        crowd: a region of many objects, which is ignored.
        group: what the parts of one object have in common, or None.
        kind: why nothing can be painted: a key of `drawn_shapes.PROBLEMS`.
        name: for messages, if the label does not tell: `id 5`.
        incomplete: some of its parts enclose no area, and are not among the polygons.
    """

    label: str | int | None
    polygons: tuple[Ring, ...] = ()
    holes: tuple[tuple[Ring, ...], ...] = ()
    rle: dict[str, object] | None = None
    box: Box | None = None
    area: float = 0.0
    crowd: bool = False
    group: object = None
    kind: str = "flat"
    name: str = ""
    incomplete: bool = False

    @property
    def drawn(self) -> bool:
        """Whether there is something to paint."""
        return bool(self.polygons) or self.rle is not None


class DrawnImage(NamedTuple):
    """One annotated image.

    Attributes:
        image: the file.
        source: the annotation file.
        objects: in the order of the file.
        size: (height, width) on which they were drawn, if it is known.
        split: where the layout puts the image.
        normalized: coordinates are fractions of the sides.
    """

    image: Path
    source: Path
    objects: Sequence[Drawing]
    size: tuple[int, int] | None = None
    split: Split | None = None
    normalized: bool = False


def outlined(
    label: str | int | None, parts: Sequence[Sequence[Any]], group: object = None, box: Box | None = None
) -> Drawing:
    """Make an object of polygons, each given as its outer ring and the rings of its holes: [outer, hole, ...].

    A ring is flat [x0, y0, x1, y1, ...]. A polygon that encloses nothing is left out; the box is around all, if none is
    given.
    """
    kept = [(first, part[1:]) for part in parts if part and (first := ring(part[0])) and encloses(first)]
    holes = tuple(tuple(hole for values in inner if (hole := ring(values))) for _, inner in kept)
    outer = (part[0] for part in parts if part and isinstance(part[0], list | tuple))
    box = box or box_around(value for values in outer for value in values)
    polygons = tuple(outer for outer, _ in kept)
    incomplete = 0 < len(polygons) < len(parts)
    return Drawing(label, polygons, holes if any(holes) else (), box=box, group=group, incomplete=incomplete)


def ring(values: Any) -> Ring | None:
    """Return a closed ring [x0, y0, x1, y1, ...]; None with fewer than three corners, or with one that is no place."""
    if not isinstance(values, list | tuple) or len(values) < _FEWEST_NUMBERS or len(values) % 2:
        return None
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return None
    return numbers if all(map(_is_place, numbers)) else None


def are_points(values: Sequence[Any]) -> bool:
    """Tell whether a flat list holds pairs of numbers that are places."""
    try:
        return len(values) % 2 == 0 and all(_is_place(float(value)) for value in values)
    except (TypeError, ValueError):
        return False


def _is_place(number: float) -> bool:
    """Tell whether a coordinate is finite, and near enough to compute areas with it."""
    return abs(number) <= _FARTHEST


def ring_area(numbers: Ring) -> float:
    """Return the area that a ring encloses, by the shoelace formula."""
    xs, ys = numbers[0::2], numbers[1::2]
    doubled = sum(xs[k - 1] * ys[k] - xs[k] * ys[k - 1] for k in range(len(xs)))
    return abs(doubled) / 2


def encloses(numbers: Ring) -> bool:
    """Tell whether a ring encloses an area: the areas on both sides of a crossing may cancel each other out."""
    return ring_area(numbers) > 0 or crosses_itself(numbers)


def crosses_itself(numbers: Ring) -> bool:
    """Tell whether two sides of a ring cross; sides that only touch do not, nor a bridge that goes there and back."""
    points = np.reshape(numbers, (-1, 2))
    sides = np.roll(points, -1, axis=0) - points
    away = points[None] - points[:, None]
    turns = sides[:, None, 0] * away[..., 1] - sides[:, None, 1] * away[..., 0]
    parted = turns * np.roll(turns, -1, axis=1) < 0  # the line through the first side has the second on both its sides
    ends = np.hstack([points, np.roll(points, -1, axis=0)])
    once = ~(ends[:, None] == ends[None][..., [2, 3, 0, 1]]).all(axis=2).any(axis=1)
    return bool((parted & parted.T)[np.ix_(once, once)].any())


def box_around(values: Iterable[Any]) -> Box | None:
    """Return the box around points given as a flat list; None if they are not pairs of numbers that are places."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        return None
    if not numbers or len(numbers) % 2 or not all(map(_is_place, numbers)):
        return None
    return box_of(tuple(numbers))


def box_of(numbers: Ring) -> Box:
    """Return the box around a ring."""
    xs, ys = numbers[0::2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def box_over(boxes: Iterable[Box | None]) -> Box | None:
    """Return the box around all boxes that there are; None if there is none."""
    found = [box for box in boxes if box is not None]
    if not found:
        return None
    lefts, tops, rights, bottoms = zip(*found, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def box_ring(box: Box) -> Ring:
    """Return the outline of a box."""
    left, top, right, bottom = box
    return left, top, right, top, right, bottom, left, bottom


def pixels_ring(box: Box) -> Ring:
    """Return the outline of all pixels that a box touches; at least one pixel."""
    left, top = math.floor(box[0]), math.floor(box[1])
    return box_ring((left, top, max(math.ceil(box[2]), left + 1), max(math.ceil(box[3]), top + 1)))


def ellipse(centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0) -> Ring:
    """Return a polygon for an ellipse that is turned clockwise on the screen; for a circle both radii are equal.

    Raises:
        ValueError: a radius is not finite, or larger than any picture.
    """
    for radius in radii:
        if not abs(radius) <= _LARGEST_RADIUS:
            raise ValueError(f"a radius of {radius:g} pixels, but no picture is so large")
    largest = max(*radii, 1.0)
    count = max(16, math.ceil(math.pi / math.acos(1 - _FLATNESS / largest)))
    angles = [2 * math.pi * place / count for place in range(count)]
    points = [value for angle in angles for value in (radii[0] * math.cos(angle), radii[1] * math.sin(angle))]
    return turned([value + centre[k % 2] for k, value in enumerate(points)], centre, degrees)


def turned(points: Sequence[float], pivot: tuple[float, float], degrees: float) -> Ring:
    """Turn a flat list of points about a pivot, clockwise on the screen."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    moved = []
    for x, y in zip(points[0::2], points[1::2], strict=True):
        right, down = x - pivot[0], y - pivot[1]
        moved += [pivot[0] + cosine * right - sine * down, pivot[1] + sine * right + cosine * down]
    return tuple(moved)


def painting_order(shapes: Iterable[tuple[float, bool, Shape]]) -> tuple[Shape, ...]:
    """Sort (area, whether it is a crowd, shape) for painting: crowds first, then from large to small.

    So a small object covers the large one that it lies on, and an object inside a crowd is kept.
    """
    ordered = sorted(shapes, key=lambda entry: (not entry[1], -entry[0]))
    return tuple(shape for *_, shape in ordered)
