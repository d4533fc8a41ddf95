"""Outlines as features of a map: polygons with a class, in pixels or where they lie on Earth. Knows no network.

Written one after the other, as GeoJSON or as GeoPackage (`data.geopackage`), so that no number of them is too large.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.files import replacing
from maskwright.data.results import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.data.readers.geotiff import Georeference
    from maskwright.ops.polygons import Polygon


@dataclass(frozen=True, eq=False)
class Feature:
    """An object, or a region of a class.

    Attributes:
        index: of the class.
        polygons: in pixels of the image, x and y from its upper left corner.
        score: confidence from 0 to 1; None if there is none.
    """

    index: int
    polygons: list[Polygon]
    score: float | None = None

    @property
    def area(self) -> float:
        """Area in pixels of the image."""
        return sum(polygon.area for polygon in self.polygons)

    @property
    def risk(self) -> float | None:
        """How likely it is wrong: 1 - its score."""
        return None if self.score is None else 1 - self.score


def located(feature: Feature, place: Georeference | None) -> list[list[NDArray[np.float64]]]:
    """Return the closed rings (n, 2) of each polygon: in the reference system of the map, or in pixels without one."""
    transform = None if place is None else place.transform
    a, b, c, d, e, f = transform or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    found = []
    for polygon in feature.polygons:
        rings = []
        for ring in polygon.rings:
            x, y = np.concatenate([ring, ring[:1]]).astype(np.float64).T
            rings.append(np.stack([a * x + b * y + c, d * x + e * y + f], axis=1))
        found.append(rings)
    return found


def epsg_of(place: Georeference | None) -> int | None:
    """Return the code of the reference system that `located` gives coordinates in; None in pixels, or if unnamed."""
    return None if place is None or place.transform is None else place.epsg


def write_geojson(path: Path, features: Iterable[Feature], classes: Classes, place: Georeference | None) -> None:
    """Write features as GeoJSON, with the reference system of the map as the member `crs` that GDAL reads and writes.

    RFC 7946 knows degrees (WGS 84) only, and allows other systems by agreement. QuPath reads `objectType`,
    `classification` and `measurements`, geographic programs the other properties.
    """
    head: dict[str, Any] = {"type": "FeatureCollection", "generator": MARK}
    if epsg := epsg_of(place):
        head["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(f'{json.dumps(head)[:-1]}, "features": [')
        for number, feature in enumerate(features, start=1):
            stream.write(("" if number == 1 else ",") + "\n" + _text(number, feature, classes, place))
        stream.write("\n]}\n")


def _text(number: int, feature: Feature, classes: Classes, place: Georeference | None) -> str:
    name = classes.names[feature.index]
    sure = {"score": feature.score, "risk": feature.risk}
    measured = {name: round(value, 4) for name, value in sure.items() if value is not None}
    coordinates = [[ring.tolist() for ring in rings] for rings in located(feature, place)]
    properties = {
        "objectType": "annotation" if feature.score is None else "detection",
        "classification": {"name": name, "color": classes.colors[feature.index]},
        "measurements": measured,
        "id": number,
        "class": name,
        "pixels": int(feature.area),
        **measured,
    }
    geometry = {"type": "MultiPolygon", "coordinates": coordinates}
    return json.dumps({"type": "Feature", "geometry": geometry, "properties": properties}, ensure_ascii=False)
