"""GeoPackage 1.3 (OGC 12-128r17) with one layer of polygons, written by SQLite alone. Knows no network.

The reference system is named by its EPSG code. Its definition as text would take a database of thousands of systems:
programs look it up by the code, and the text is `undefined`, the standard's word for a system without a definition.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.files import replacing
from maskwright.data.features import epsg_of, located
from maskwright.data.results import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.data.features import Feature
    from maskwright.data.readers.geotiff import Georeference

LAYER = "outlines"
_APPLICATION, _VERSION = 0x47504B47, 10300
_UNDEFINED_CARTESIAN = -1
_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],'
    'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4326"]]'
)
# The mark of our results lies in the first table, whose text SQLite keeps in the first 4096 bytes of the file.
_TABLES = (
    f"CREATE TABLE gpkg_spatial_ref_sys ( -- {MARK}\n srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, "
    "organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, "
    "description TEXT)",
    "CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, "
    "identifier TEXT UNIQUE, description TEXT DEFAULT '', "
    "last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), "
    "min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER, "
    "FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id))",
    "CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL UNIQUE, column_name TEXT NOT NULL, "
    "geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL, "
    "PRIMARY KEY (table_name, column_name), FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name), "
    "FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id))",
    f"CREATE TABLE {LAYER} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom MULTIPOLYGON, id INTEGER, "
    "class TEXT, class_index INTEGER, pixels INTEGER, score DOUBLE, risk DOUBLE)",
)


def write_geopackage(path: Path, features: Iterable[Feature], classes: Classes, place: Georeference | None) -> None:
    """Write features as one layer of multipolygons with number, class, size in pixels, score and risk.

    The number, from 1, is a column of its own, since many programs do not show the primary key.

    Args:
        path: of the file.
        features: in pixels of the image.
        classes: their names.
        place: where on Earth the image lies; without a transform the coordinates are pixels, with rows growing
            downwards, in the standard's undefined Cartesian system.
    """
    epsg = epsg_of(place)
    system = _UNDEFINED_CARTESIAN if epsg is None else epsg
    with replacing(path) as temporary, closing(sqlite3.connect(temporary)) as base:
        base.execute("PRAGMA page_size = 4096")
        base.execute(f"PRAGMA application_id = {_APPLICATION}")
        base.execute(f"PRAGMA user_version = {_VERSION}")
        # The file takes its name when it is whole: a journal would protect nothing.
        base.execute("PRAGMA journal_mode = OFF")
        for table in _TABLES:
            base.execute(table)
        base.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", _systems(epsg))
        bounds = _Bounds()
        base.executemany(
            f"INSERT INTO {LAYER} (id, geom, class, class_index, pixels, score, risk) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                (number, *_row(feature, classes, place, system, bounds))
                for number, feature in enumerate(features, start=1)
            ),
        )
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        contents = (LAYER, "features", LAYER, MARK, now, *bounds.values(), system)
        base.execute("INSERT INTO gpkg_contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", contents)
        base.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'MULTIPOLYGON', ?, 0, 0)", (LAYER, system))
        base.commit()


def _systems(epsg: int | None) -> list[tuple[Any, ...]]:
    """Return the rows that the standard requires, and that of the map."""
    found: list[tuple[Any, ...]] = [
        ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", None),
        ("Undefined geographic SRS", 0, "NONE", 0, "undefined", None),
        ("WGS 84", 4326, "EPSG", 4326, _WGS84, None),
    ]
    if epsg not in {None, 4326}:
        found.append((f"EPSG:{epsg}", epsg, "EPSG", epsg, "undefined", None))
    return found


class _Bounds:
    """The corners of all coordinates so far."""

    def __init__(self) -> None:
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)

    def add(self, ring: NDArray[np.float64]) -> None:
        self._low, self._high = np.minimum(self._low, ring.min(axis=0)), np.maximum(self._high, ring.max(axis=0))

    def values(self) -> tuple[float | None, ...]:
        """Return the least x and y and the largest; None without a coordinate."""
        found = (*self._low.tolist(), *self._high.tolist())
        return found if np.isfinite(found).all() else (None,) * 4


def _row(
    feature: Feature, classes: Classes, place: Georeference | None, system: int, bounds: _Bounds
) -> tuple[Any, ...]:
    polygons = located(feature, place)
    for rings in polygons:
        bounds.add(rings[0])
    name = classes.names[feature.index].encode("utf-8", "backslashreplace").decode()
    return _geometry(polygons, system), name, feature.index, int(feature.area), feature.score, feature.risk


def _geometry(polygons: list[list[NDArray[np.float64]]], system: int) -> bytes:
    """Return a multipolygon as the standard's header with its box, and well-known binary (OGC 06-103r4, 8.2)."""
    corners = np.concatenate([rings[0] for rings in polygons])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    little_endian_with_box = 0b11
    parts = [struct.pack("<2sBBi4d", b"GP", 0, little_endian_with_box, system, left, right, top, bottom)]
    parts.append(struct.pack("<BII", 1, 6, len(polygons)))
    for rings in polygons:
        parts.append(struct.pack("<BII", 1, 3, len(rings)))
        for ring in rings:
            parts += [struct.pack("<I", len(ring)), np.ascontiguousarray(ring, "<f8").tobytes()]
    return b"".join(parts)
