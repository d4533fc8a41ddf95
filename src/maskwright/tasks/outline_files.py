"""The files of outlines on a map: regions of classes, and objects, as GeoJSON and GeoPackage. Knows no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.features import Feature, write_geojson
from maskwright.data.geopackage import write_geopackage
from maskwright.ops.outlines import simple_polygons
from maskwright.ops.polygons import Polygon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.data.readers.geotiff import Georeference
    from maskwright.ops.rows import RowSource
    from maskwright.tasks.scan import Scan
    from maskwright.tasks.writer import Locate

    Write = Callable[[Path, Iterable[Feature], Classes, Georeference | None], None]

PIECE = 8192
"""Rows and columns of a label map whose regions are outlined at once: they are held in memory."""
FORMATS: dict[str, Write] = {"geojson": write_geojson, "gpkg": write_geopackage}


def regions(labels: RowSource, classes: Classes) -> Iterator[Feature]:
    """Yield the connected regions of each class but the background of a label map, by pieces of it.

    What has no data, or no class, is in none.
    """
    height, width = labels.size
    for top in range(0, height, PIECE):
        band = labels.rows(top, min(top + PIECE, height))[..., 0]
        for left in range(0, width, PIECE):
            part = band[:, left : left + PIECE]
            for index in np.unique(part).tolist():
                if index < len(classes) and index != classes.background:
                    yield from _regions_of(part == index, index, (left, top))


def _regions_of(mask: NDArray[np.bool_], index: int, corner: tuple[int, int]) -> Iterator[Feature]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    for polygon in simple_polygons(part):
        yield Feature(index, [_moved(polygon, (corner[0] + int(columns[0]), corner[1] + int(rows[0])))])


def _moved(polygon: Polygon, by: tuple[int, int]) -> Polygon:
    shift = np.array(by, np.int32)
    return Polygon(polygon.outer + shift, tuple(hole + shift for hole in polygon.holes))


def objects(result: Instances) -> Iterator[Feature]:
    """Yield the objects in their order."""
    for entry in result.objects:
        yield Feature(
            entry.index,
            [_moved(polygon, (entry.left, entry.top)) for polygon in simple_polygons(entry.mask)],
            entry.score,
        )


def located(kind: str, features: Callable[[Any, Classes], Iterable[Feature]]) -> Locate:
    """Return what writes the features of a result that is held in memory, where its image lies."""
    write = FORMATS[kind]

    def locate(path: Path, _image: NDArray[Any], result: Any, classes: Classes, place: Georeference | None) -> None:
        write(path, features(result, classes), classes, place)

    return locate


def of_scan(kind: str) -> Callable[[Path, Scan, Classes], None]:
    """Return what writes the regions of a label map that is read by rows."""
    write = FORMATS[kind]

    def scan(path: Path, scan: Scan, classes: Classes) -> None:
        write(path, regions(scan.labels, classes), classes, scan.place)

    return scan
