"""Where an image lies on a map: from the tags of a GeoTIFF, or from a world file; and outlines turned into pixels.

Decodes no pixel.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.data.formats.outlines.shapes import box_around, box_over

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from maskwright.data.formats.outlines.shapes import Box, Drawing, Ring

_ERRORS = (OSError, ValueError, IndexError, KeyError, TypeError, RuntimeError, struct.error)
_TIFF_SUFFIXES = {".tif", ".tiff"}
_SCALE, _TIE, _MATRIX, _KEYS = 33550, 33922, 34264, 34735
_RASTER_TYPE, _POINTS = 1025, 2


class MapPlace(NamedTuple):
    """The upper left corner of an image on the map, and the width and height of a pixel; north is up."""

    x: float
    y: float
    width: float
    height: float

    def pixels(self, x: float, y: float) -> tuple[float, float]:
        """Turn a place on the map into pixels from the upper left corner: to the right, and down."""
        return (x - self.x) / self.width, (self.y - y) / self.height


def in_pixels(
    path: Path, image: Path, size: tuple[int, int], objects: Sequence[Drawing], system: str | None
) -> list[Drawing]:
    """Return the objects in pixels of their image.

    Coordinates that fit into the image are pixels, unless the file declares a system of a map and the image has a place
    there. QGIS shows an image that has none below zero: then y counts down from 0.

    Args:
        path: the annotation file, for messages.
        image: the file.
        size: its (height, width).
        objects: as the file has them.
        system: the coordinate system that the file declares, or None.

    Raises:
        MaskwrightError: they fit into the image in none of these ways.
    """
    around = box_over(shape.box for shape in objects)
    if around is None:
        return list(objects)
    if system is None and _fits(around, size) and not _degrees(around, named=False):
        return list(objects)
    place = place_of(image)
    degrees = _degrees(around, named=system is not None)
    ways: list[Callable[[float, float], tuple[float, float]]] = [] if degrees else [_as_they_are, _upwards]
    for way in ways if place is None else [place.pixels, *ways]:
        (left, top), (right, bottom) = way(around[0], around[1]), way(around[2], around[3])
        if _fits((left, min(top, bottom), right, max(top, bottom)), size):
            moved = [_moved(shape, way) for shape in objects]
            # What is drawn on a map may cross the edge of an image.
            return moved if way in ways else [shape._replace(box=None) if shape.drawn else shape for shape in moved]
    where = f"coordinates from {around[0]:.8g}, {around[1]:.8g} to {around[2]:.8g}, {around[3]:.8g}"
    declared = f" in {system}" if system else ""
    if place is not None:
        cure = "export it in the coordinate system of the image, or in pixels"
        raise MaskwrightError(f"{path} has {where}{declared}, which lie neither in {image.name} nor on its map: {cure}")
    cure = "export it in pixels, or use the image as GeoTIFF or with a world file"
    if system and degrees:
        cure += f" (if they are pixels, remove crs from {path.name})"
    raise MaskwrightError(
        f"{path} has {where}{declared}, which are not pixels of {image.name} ({size[1]}x{size[0]}), and the image does "
        f"not give its place on a map: {cure}"
    )


def _as_they_are(x: float, y: float) -> tuple[float, float]:
    return x, y


def _upwards(x: float, y: float) -> tuple[float, float]:
    return x, -y


def _degrees(box: Box, *, named: bool) -> bool:
    """Tell whether coordinates are degrees and no pixels: a system is declared, or all lie within one pixel."""
    on_earth = box[0] >= -180 and box[2] <= 180 and box[1] >= -90 and box[3] <= 90
    return on_earth and (named or (box[2] - box[0] < 1 and box[3] - box[1] < 1))


def _fits(box: Box, size: tuple[int, int]) -> bool:
    """Tell whether a box lies over an image, and reaches beyond it by no more than half its size."""
    height, width = size
    over = box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0
    return over and box[0] >= -width / 2 and box[1] >= -height / 2 and box[2] <= width * 1.5 and box[3] <= height * 1.5


def _moved(shape: Drawing, way: Callable[[float, float], tuple[float, float]]) -> Drawing:
    def ring(numbers: Ring) -> Ring:
        return tuple(value for x, y in zip(numbers[0::2], numbers[1::2], strict=True) for value in way(x, y))

    holes = tuple(tuple(map(ring, inner)) for inner in shape.holes)
    polygons = tuple(map(ring, shape.polygons))
    return shape._replace(polygons=polygons, holes=holes, box=shape.box and box_around(ring(shape.box)))


def place_of(image: Path) -> MapPlace | None:
    """Return the place of an image on the map, or None if the image does not tell it.

    Raises:
        MaskwrightError: the image is turned on the map, or the world file is damaged.
    """
    found = _from_tags(image) if image.suffix.lower() in _TIFF_SUFFIXES else None
    return found or _from_world_file(image)


def _from_tags(image: Path) -> MapPlace | None:
    import tifffile

    try:
        with tifffile.TiffFile(image) as tiff:
            tags = {code: tiff.pages[0].tags.valueof(code) for code in (_SCALE, _TIE, _MATRIX, _KEYS)}
            keys = tags[_KEYS] or ()
            point = (_RASTER_TYPE, _POINTS) in {(keys[k], keys[k + 3]) for k in range(4, len(keys) - 3, 4)}
            half = 0.5 if point else 0.0
            if tags[_MATRIX] is not None:
                a, b, _, x, d, e, _, y = (float(value) for value in tags[_MATRIX][:8])
                return _upright(image, (a, b, x), (d, e, y), half)
            if tags[_SCALE] is None or tags[_TIE] is None:
                return None
            (width, height), (column, row, _, x, y, _) = tags[_SCALE][:2], tags[_TIE][:6]
            return _upright(image, (width, 0.0, x - column * width), (0.0, -height, y + row * height), half)
    except _ERRORS:  # A damaged file is reported when its pixels are read.
        return None


def _from_world_file(image: Path) -> MapPlace | None:
    suffix = image.suffix
    names = (f"{suffix[:2]}{suffix[-1]}w", f"{suffix}w", ".wld")
    path = next((found for name in names if (found := image.with_suffix(name)).is_file()), None)
    if path is None:
        return None
    try:
        a, d, b, e, x, y = (float(word) for word in read_text(path).split())
    except ValueError:
        raise MaskwrightError(f"{path} does not hold the six numbers of a world file: write it again") from None
    return _upright(image, (a, b, x), (d, e, y), 0.5)


def _upright(
    image: Path, across: tuple[float, float, float], down: tuple[float, float, float], half: float
) -> MapPlace:
    """Make a place of x = a column + b row + c, y = d column + e row + f; `half` if (c, f) is the middle of a pixel."""
    (a, b, x), (d, e, y) = across, down
    if b or d or a <= 0 or e >= 0:
        raise MaskwrightError(f"{image} is turned or mirrored on the map: warp it so that north is up")
    return MapPlace(x - half * a, y - half * e, a, -e)
