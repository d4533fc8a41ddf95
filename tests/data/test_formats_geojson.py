"""GeoJSON of QuPath and QGIS: holes, parts, classes, and coordinates in pixels or on a map."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from tests.data.layouts import labels, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_objects, read_pair

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (40, 60)
WGS84, UTM = "urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::32632"


def square(left: float, top: float, side: float = 10.0) -> list[list[float]]:
    right, bottom = left + side, top + side
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(coordinates: Any, name: str | None = "Tumor", kind: str = "Polygon") -> dict[str, Any]:
    classification = {} if name is None else {"classification": {"name": name, "color": [200, 0, 0]}}
    properties = {"objectType": "annotation", "name": "my own"} | classification
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def make(root: Path, *features: dict[str, Any], system: str | None = None) -> Path:
    root.mkdir(exist_ok=True)
    if not list(root.glob("slide.*")):
        photo(root / "slide.png", size=SIZE)
    document: dict[str, Any] = {"type": "FeatureCollection", "features": list(features)}
    if system is not None:
        document["crs"] = {"type": "name", "properties": {"name": system}}
    (root / "slide.geojson").write_text(json.dumps(document))
    return root


def geotiff(path: Path, *tags: tuple[int, int, tuple[float, ...]]) -> None:
    path.parent.mkdir(exist_ok=True)
    extra = [(code, "d" if code != 34735 else "H", len(values), values, True) for code, _, values in tags]
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=extra)


def painted(root: Path) -> np.ndarray:
    dataset = read_dataset(root)
    return read_pair(dataset, dataset.records[0])[1]


def expected(*squares: tuple[int, int, int, int]) -> np.ndarray:
    label = np.zeros(SIZE, np.uint8)
    for left, top, side, value in squares:
        label[top : top + side, left : left + side] = value
    return label


def test_holes_and_islands_in_them(tmp_path):
    parts = [[square(5, 5, 30), square(10, 10, 20)], [square(15, 15, 10), square(18, 18, 4)]]
    dataset = read_dataset(make(tmp_path, feature(parts, kind="MultiPolygon")))
    assert (dataset.format, dataset.faults, dataset.classes.names) == ("geojson", (), ("background", "Tumor"))
    right = expected((5, 5, 30, 1), (10, 10, 20, 0), (15, 15, 10, 1), (18, 18, 4, 0))
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], right)
    assert [entry.area for entry in read_objects(dataset, dataset.records[0], SIZE)] == [right.sum()]


def test_small_objects_lie_on_large_ones(tmp_path):
    shapes = (feature([square(8, 8, 4)], "Cell"), feature([square(5, 5, 20)]), feature([square(40, 5)], "Ignore*"))
    dataset = read_dataset(make(tmp_path, *shapes))
    assert dataset.classes.names == ("background", "Cell", "Tumor")
    right = expected((5, 5, 20, 2), (8, 8, 4, 1), (40, 5, 10, IGNORE))
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], right)


def test_classes_by_name(tmp_path):
    assert read_dataset(make(tmp_path / "a", feature([square(5, 5)], None))).classes.names == ("background", "object")
    some = read_dataset(make(tmp_path / "b", feature([square(5, 5)], None), feature([square(20, 5)])))
    np.testing.assert_array_equal(read_pair(some, some.records[0])[1], expected((5, 5, 10, IGNORE), (20, 5, 10, 1)))
    assert "without a class" in some.faults[0].message
    qgis = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square(5, 5)]}}
    own = read_dataset(make(tmp_path / "c", qgis | {"properties": {"fid": 1, "Class": "roof", "id": 4}}))
    assert own.classes.names == ("background", "roof")


@pytest.mark.parametrize("document", ["list", "single", "geometry", "collection"])
def test_other_documents(tmp_path, document):
    make(tmp_path, feature([square(5, 5)]))
    whole = feature([square(5, 5)])
    geometry = whole["geometry"]
    found = {"list": [whole], "single": whole, "geometry": {"geometry": geometry}}
    found["collection"] = whole | {"geometry": {"type": "GeometryCollection", "geometries": [geometry]}}
    (tmp_path / "slide.geojson").rename(tmp_path / "slide.json")
    (tmp_path / "slide.json").write_text(json.dumps(found[document]))
    np.testing.assert_array_equal(painted(tmp_path), expected((5, 5, 10, 1)))


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [
        ("LineString", [[20, 5], [30, 25]]),
        ("MultiLineString", [[[20, 5], [30, 25]]]),
        ("MultiPoint", [[20, 5], [30, 25]]),
    ],
)
def test_lines_and_points(tmp_path, kind, coordinates):
    dataset = read_dataset(make(tmp_path, feature([square(2, 2)]), feature(coordinates, kind=kind)))
    right = expected((2, 2, 10, 1))
    right[5:25, 20:30] = IGNORE
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], right)
    assert [(fault.kind, fault.path.name) for fault in dataset.faults] == [("bad-outline", "slide.geojson")]


@pytest.mark.parametrize("system", [None, UTM])
@pytest.mark.parametrize("matrix", [False, True])
def test_places_of_a_geotiff(tmp_path, system, matrix):
    """Pixels of 0.5 x 0.25 from (690000, 5334000) on."""
    scale, tie = (33550, 12, (0.5, 0.25, 0.0)), (33922, 12, (2.0, 4.0, 0.0, 690001.0, 5333999.0, 0.0))
    rows = (34264, 12, (0.5, 0, 0, 690000.0, 0, -0.25, 0, 5334000.0, 0, 0, 0, 0, 0, 0, 0, 1))
    geotiff(tmp_path / "slide.tif", *((rows,) if matrix else (scale, tie)))
    ring = [[690000 + x * 0.5, 5334000 - y * 0.25] for x, y in square(20, 5)]
    np.testing.assert_array_equal(painted(make(tmp_path, feature([ring]), system=system)), expected((20, 5, 10, 1)))


def test_a_geotiff_of_points_and_a_world_file(tmp_path):
    keys = (34735, 3, (1, 1, 0, 1, 1025, 0, 1, 2))
    tie = (33922, 12, (0.0, 0.0, 0.0, 100.25, 899.75, 0.0))
    geotiff(tmp_path / "a" / "slide.tif", (33550, 12, (0.5, 0.5, 0.0)), tie, keys)
    photo(tmp_path / "b" / "slide.png", size=SIZE)
    (tmp_path / "b" / "slide.pgw").write_text("0.5\n0\n0\n-0.5\n100.25\n899.75\n")
    ring = [[100 + x / 2, 900 - y / 2] for x, y in square(20, 5)]
    for folder in "ab":
        right = expected((20, 5, 10, 1))
        np.testing.assert_array_equal(painted(make(tmp_path / folder, feature([ring]), system=UTM)), right)


def test_pixels_over_a_geotiff(tmp_path):
    geotiff(tmp_path / "slide.tif", (33550, 12, (0.5, 0.5, 0.0)), (33922, 12, (0.0, 0.0, 0.0, 690000.0, 5e6, 0.0)))
    np.testing.assert_array_equal(painted(make(tmp_path, feature([square(20, 5)]))), expected((20, 5, 10, 1)))


@pytest.mark.parametrize("system", [None, WGS84])
def test_qgis_counts_below_zero(tmp_path, system):
    ring = [[x, -y] for x, y in square(20, 5)]
    photo(tmp_path / "slide.png", size=(400, 600))
    wide = [[x * 10, y * 10] for x, y in ring]  # beyond 180, so these are no degrees
    label = painted(make(tmp_path, feature([wide], None), system=system))
    assert (label.sum(), label[50:150, 200:300].sum()) == (10_000, 10_000)


@pytest.mark.parametrize(
    ("ring", "system", "words"),
    [
        (square(5, 5, 200), None, r"from 5, 5 to 205, 205, which are not pixels of slide\.png \(60x40\)"),
        (square(690000, 5334000), None, "are not pixels of slide.png .60x40., and the image does not give its place"),
        (square(11.5, 48.1, 0.01), None, "does not give its place"),
        (square(11.5, 38.1, 0.01), WGS84, "if they are pixels, remove crs from slide.geojson"),
    ],
)
def test_coordinates_of_a_map_are_refused(tmp_path, ring, system, words):
    make(tmp_path, feature([ring]), system=system)
    with pytest.raises(MaskwrightError, match=words):
        read_dataset(tmp_path)


def test_another_place_on_the_map_is_refused(tmp_path):
    geotiff(tmp_path / "slide.tif", (33550, 12, (0.5, 0.5, 0.0)), (33922, 12, (0.0, 0.0, 0.0, 690000.0, 5e6, 0.0)))
    make(tmp_path, feature([square(11.5, 48.1, 0.01)]), system=WGS84)
    with pytest.raises(MaskwrightError, match=r"lie neither in slide\.tif nor on its map"):
        read_dataset(tmp_path)


def test_files_and_images_alone(tmp_path):
    make(tmp_path, feature([square(5, 5)]))
    photo(tmp_path / "other.png", size=SIZE)
    (tmp_path / "gone.geojson").write_text((tmp_path / "slide.geojson").read_text())
    (tmp_path / "cut.geojson").write_text("{")
    assert {(fault.kind, fault.path.name) for fault in read_dataset(tmp_path).faults} == {
        ("unreadable", "cut.geojson"),
        ("unpaired", "gone.geojson"),
        ("unpaired", tmp_path.name),
    }


def test_one_file_over_several_images_is_refused_and_the_cure_works(tmp_path):
    for number in range(3):
        photo(tmp_path / f"tile_{number}.png", number, SIZE)
        (tmp_path / f"tile_{number}.pgw").write_text(f"0.5\n0\n0\n-0.5\n{1000.25 + 30 * number}\n1999.75\n")
    features = [feature([square(1002 + 30 * number, 1990, 5)]) for number in range(3)]
    whole = {"type": "FeatureCollection", "features": features}
    (tmp_path / "roofs.geojson").write_text(json.dumps(whole))
    with pytest.raises(MaskwrightError, match=r"if one covers several images, cut it into a file for each, .*clipsrc"):
        read_dataset(tmp_path)
    (tmp_path / "roofs.geojson").unlink()
    for number in range(3):
        (tmp_path / f"tile_{number}.geojson").write_text(json.dumps(whole | {"features": [features[number]]}))
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    for record in dataset.records:
        np.testing.assert_array_equal(read_pair(dataset, record)[1], expected((4, 10, 10, 1)))


def test_masks_come_first(tmp_path):
    make(tmp_path / "images", feature([square(5, 5)]))
    write(tmp_path / "masks" / "slide.png", labels([0, 1], SIZE))
    assert read_dataset(tmp_path).format == "folder"
