"""From the objects drawn on one image to shapes that can be painted; counts what cannot be. Paints nothing itself.

What cannot be painted must not become background: it is ignored in its box, and where nobody knows its place, its image
is not used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.records import Fault, ImageRef, Reading, Shape, Shapes
from maskwright.core.text import plural, such_as
from maskwright.data.formats.outlines.reach import leaves
from maskwright.data.formats.outlines.shapes import box_over, crosses_itself, painting_order, pixels_ring, ring_area
from maskwright.data.painting import paint_objects, require_size
from maskwright.data.readers import DecodeError, image_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from maskwright.data.formats.outlines.shapes import Box, Drawing, DrawnImage, Ring

_SIZE_CHECKS = 200
# So many outlines are searched for crossings, but none with more corners: the time grows with their square.
_MOST_SEARCHED, _MOST_NUMBERS = 2000, 2000
_REDRAW = "draw each again, or remove it"
PROBLEMS = {
    "flat": ("without an outline that encloses an area, ignored in the box", _REDRAW),
    "garbled": (
        "with an outline that is no list of pairs of numbers, ignored in the box",
        "correct the numbers (x0, y0, x1, y1, ...), or draw each again",
    ),
    "nowhere": ("without an outline, whose box has no area, not painted", _REDRAW),
    "box": ("drawn as a box without an outline, ignored in the box", "draw an outline for each, or remove the box"),
    "line": ("drawn as a line or points, without an area, ignored in the box", "draw an area for each, or remove it"),
    "unknown": (
        "drawn as a shape of an unknown kind, ignored in the box",
        "draw each as a polygon, or remove it",
    ),
    "unnamed": ("without a class, or with several, ignored in the outline", "give each one class"),
    "part": ("with a part that encloses no area and is not painted", _REDRAW),
    "crossed": (
        "with an outline that crosses itself, painted without what it goes around twice",
        "draw each again without crossings",
    ),
    "twice": ("drawn twice in exactly the same way, counted once", "keep one of each"),
    "beyond": (
        "reaching far beyond the image, cut off at its edge",
        "if the image had another size when it was annotated, export the annotations again",
    ),
    "tiny": ("without the middle of a pixel inside, not painted", "enlarge each, or remove it"),
    "outside": ("outside the image, not painted", "move each into the image, or remove it"),
}
"""Why an object cannot be painted: what is done with such objects, and the cure."""


class Tally:
    """Counts objects that cannot be painted, or not as they were meant, by kind, with the first of each."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, Path, str]] = {}
        self._searched = 0

    def add(self, kind: str, source: Path, shape: Drawing) -> None:
        """Count one object of a file."""
        count, path, first = self._found.get(kind, (0, source, _called(shape)))
        self._found[kind] = (count + 1, path, first)

    def look(self, source: Path, shape: Drawing) -> None:
        """Count an object whose outline crosses itself, if not too many were searched for that already."""
        rings = [ring for ring in shape.polygons if len(ring) <= _MOST_NUMBERS]
        if self._searched < _MOST_SEARCHED and any(map(crosses_itself, rings)):
            self.add("crossed", source, shape)
        self._searched += len(rings)

    def faults(self) -> list[Fault]:
        """Return a fault for each kind, on the first file that holds it."""
        faults = []
        for kind, (count, path, first) in self._found.items():
            what, cure = PROBLEMS[kind]
            message = f"{plural(count, 'object')} {what}, {such_as(count, f'{first} in {path.name}')}"
            faults.append(Fault("bad-outline", "warning", path, message, cure))
        return faults


def _called(shape: Drawing) -> str:
    return shape.name or ("one without a class" if shape.label is None else f"one of class {shape.label!r}")


def lost(entry: DrawnImage) -> Fault | None:
    """Report an object without a place, which makes the image unusable: any pixel may belong to it."""
    unplaced = (shape for shape in entry.objects if not shape.drawn and shape.box is None and shape.kind != "nowhere")
    shape = next(unplaced, None)
    if shape is None:
        return None
    message = f"{entry.source.name} holds an object on {entry.image.name} ({_called(shape)}) without outline and box"
    cure = "draw it again, or remove it"
    return Fault("bad-outline", "error", entry.source, f"{message}, which may be anywhere", cure)


def shapes_of(entry: DrawnImage, known: Mapping[Any, int], tally: Tally) -> tuple[Shape, ...]:
    """Return the shapes of one image in the order of painting.

    Args:
        entry: the image.
        known: label -> class index or `IGNORE`, for every label that occurs.
        tally: counts what cannot be painted.
    """
    found = []
    size = (1, 1) if entry.normalized else entry.size or _size_of(entry.image)
    boxed = entry.normalized and any(not shape.drawn and shape.box is not None for shape in entry.objects)
    # Without a size the image is unreadable, and nothing is painted.
    units = (boxed and _size_of(entry.image)) or (1, 1)
    for shape in _once(_grouped(entry.objects), entry.source, tally):
        if not shape.drawn:
            tally.add(shape.kind, entry.source, shape)
            if shape.box is not None:
                found.append((0.0, True, Shape(IGNORE, (_touched(shape.box, units),))))
        elif shape.polygons and size is not None and _outside(shape.polygons, size):
            tally.add("outside", entry.source, shape)
        elif shape.polygons and size is not None and not entry.normalized and _empty(shape, entry, size):
            tally.add("tiny", entry.source, shape)
        else:
            if shape.label is None:
                tally.add("unnamed", entry.source, shape)
            tally.look(entry.source, shape)
            if shape.incomplete:
                tally.add("part", entry.source, shape)
            if shape.box is not None and size is not None and leaves(shape.box, size):
                tally.add("beyond", entry.source, shape)
            index = IGNORE if shape.label is None else known[shape.label]
            crowd = index if shape.crowd and index != IGNORE else None
            painted = IGNORE if shape.crowd else index
            found.append((shape.area, shape.crowd, Shape(painted, shape.polygons, shape.rle, shape.holes, crowd)))
    return painting_order(found)


def _grouped(objects: Iterable[Drawing]) -> list[Drawing]:
    """Join the polygons of a group to one object, unless another class, which they might cover, lies between them."""
    found: list[Drawing] = []
    places: dict[str, int] = {}
    for shape in objects:
        if found and found[-1].label != shape.label:
            places.clear()
        if shape.group is None or not shape.polygons:
            found.append(shape)
        elif (group := repr(shape.group)) in places:  # JSON may hold anything there, also what has no hash
            place = places[group]
            found[place] = _united(found[place], shape)
        else:
            places[group] = len(found)
            found.append(shape)
    return found


def _once(objects: Sequence[Drawing], source: Path, tally: Tally) -> list[Drawing]:
    """Leave out the earlier ones of equal objects: where a copy lies, the last one was painted over what is between."""
    found: dict[object, Drawing] = {}
    for place, shape in enumerate(objects):
        drawn = (shape.label, shape.polygons, shape.holes, repr(shape.rle), shape.crowd)
        key: object = drawn if shape.drawn else place
        if found.pop(key, None) is not None:
            tally.add("twice", source, shape)
        found[key] = shape
    return list(found.values())


def _united(one: Drawing, other: Drawing) -> Drawing:
    holes: tuple[tuple[Ring, ...], ...] = ()
    if one.holes or other.holes:
        holes = (*(one.holes or ((),) * len(one.polygons)), *(other.holes or ((),) * len(other.polygons)))
    return one._replace(polygons=one.polygons + other.polygons, holes=holes, box=box_over((one.box, other.box)))


def _touched(box: Box, units: tuple[int, int]) -> Ring:
    """Return the outline of the pixels that a box touches, in its own units of so many pixels down and across."""
    height, width = units
    ring = pixels_ring((box[0] * width, box[1] * height, box[2] * width, box[3] * height))
    return tuple(value / (width, height)[place % 2] for place, value in enumerate(ring))


def _outside(polygons: Sequence[Ring], size: tuple[int, int]) -> bool:
    return any(
        max(max(ring[axis::2]) for ring in polygons) <= 0 or min(min(ring[axis::2]) for ring in polygons) >= length
        for axis, length in enumerate((size[1], size[0]))
    )


def _empty(shape: Drawing, entry: DrawnImage, size: tuple[int, int]) -> bool:
    """Tell whether an outline around less than a pixel paints none."""
    if sum(map(ring_area, shape.polygons)) >= 1:
        return False
    alone = Shapes(entry.source, (Shape(0, shape.polygons, holes=shape.holes),))
    return not any(paint_objects(alone, size, ImageRef(entry.image)))


def _size_of(image: Path) -> tuple[int, int] | None:
    try:
        return image_size(image)
    except DecodeError:  # reported when the pixels are asked for
        return None


def in_fractions(entry: DrawnImage) -> Fault | None:
    """Report outlines in fractions of the sides where pixels are expected: they would all lie in one pixel."""
    rings = [ring for shape in entry.objects for ring in shape.polygons]
    small = all(min(ring) >= 0 and max(ring) <= 1 for ring in rings)
    if entry.normalized or not rings or not small or max(entry.size or (2, 2)) < 2:
        return None
    message = f"{entry.source.name} outlines the objects of {entry.image.name} with numbers from 0 to 1"
    cure = "write them in pixels (in Label Studio's JSON in percent), or export the annotations again"
    return Fault("bad-outline", "error", entry.source, f"{message}, so all lie within one pixel", cure)


def without_wrong_sizes(drawn: list[DrawnImage]) -> tuple[list[DrawnImage], list[Fault]]:
    """Leave out images whose outlines were drawn at another size: looks at a sample, and at all if one of it differs.

    What the sample misses is found when the shapes are painted.
    """
    places = np.unique(np.linspace(0, len(drawn) - 1, min(len(drawn), _SIZE_CHECKS)).round().astype(int))
    if all(_size_fault(drawn[place]) is None for place in places):
        return drawn, []
    found = [(entry, _size_fault(entry)) for entry in drawn]
    return [entry for entry, fault in found if fault is None], [fault for _, fault in found if fault is not None]


def _size_fault(entry: DrawnImage) -> Fault | None:
    if entry.size is None:
        return None
    image = ImageRef(entry.image)
    try:
        size, stored = image_size(image), image_size(replace(image, reading=Reading(upright=False)))
    except DecodeError:  # reported when the pixels are asked for
        return None
    if stored == entry.size:  # `formats.reading` decides which of the two counts.
        return None
    try:
        require_size(Shapes(entry.source, (), size=entry.size), size, image)
    except DecodeError as error:
        return error.fault()
    return None
