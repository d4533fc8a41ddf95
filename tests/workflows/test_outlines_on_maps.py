"""Outlines in the reference system of a map, as GeoPackage and GeoJSON, of small maps, scans and objects."""

from __future__ import annotations

import json
import sqlite3
import struct
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch
from tests.workflows.test_scans import PLACE, ROTATED, card
from torch import nn

from maskwright.core.classes import Classes
from maskwright.core.instances import Instance, Instances
from maskwright.core.records import ImageRef
from maskwright.data.readers.geotiff import georeference
from maskwright.data.results import written_by_us
from maskwright.inference import Predictor
from maskwright.ops.rows import ArrayRows
from maskwright.tasks import TASKS, outline_files
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import scan_plan, writing
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = Classes(("background", "leaf", "Käfer"), ((0, 0, 0), (20, 200, 40), (250, 120, 10)))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Red is background, green leaf, blue Käfer; black, which is no data, would be leaf."""
    net = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        net.weight.copy_(torch.eye(3).reshape(3, 3, 1, 1))
        net.bias.copy_(torch.tensor([0.0, 0.1, 0.0]))
    return Predictor.of(net, card(), "cpu")  # type: ignore[arg-type]


@pytest.fixture
def pixels() -> np.ndarray:
    found = np.full((40, 60, 3), (200, 0, 0), np.uint8)
    found[10:20, 30:50] = (0, 200, 0)
    found[12:15, 33:40] = (200, 0, 0)
    found[30:, :5] = (0, 0, 200)
    found[:4, :4] = 0
    return found


def tiff(path: Path, pixels: np.ndarray, tags: list[Any]) -> Path:
    nodata = (42113, "s", 0, "0", True)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(16, 16), extratags=[*tags, nodata])
    return path


def features(path: Path) -> list[tuple[str, int, list[list[np.ndarray]], int]]:
    """Read class, pixels, rings and system of each feature of a GeoPackage, by the standard."""
    found = []
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("PRAGMA application_id").fetchone() == (0x47504B47,)
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert base.execute("PRAGMA foreign_key_check").fetchall() == []
        bounds = base.execute("SELECT min_x, min_y, max_x, max_y FROM gpkg_contents").fetchone()
        (system,) = base.execute("SELECT srs_id FROM gpkg_geometry_columns").fetchone()
        for blob, name, size in base.execute("SELECT geom, class, pixels FROM outlines ORDER BY id"):
            magic, version, flags, own, *box = struct.unpack_from("<2sBBi4d", blob)
            assert (magic, version, flags, own) == (b"GP", 0, 3, system)
            order, kind, parts = struct.unpack_from("<BII", blob, 40)
            assert (order, kind) == (1, 6)
            at, polygons = 49, []
            for _ in range(parts):
                assert struct.unpack_from("<BI", blob, at) == (1, 3)
                (rings,), at = struct.unpack_from("<I", blob, at + 5), at + 9
                polygons.append([])
                for _ in range(rings):
                    (count,) = struct.unpack_from("<I", blob, at)
                    points = np.frombuffer(blob, "<f8", 2 * count, at + 4).reshape(count, 2)
                    assert (points[0] == points[-1]).all()
                    polygons[-1].append(points)
                    at += 4 + 16 * count
            assert at == len(blob)
            corners = np.concatenate([rings[0] for rings in polygons])
            assert box == [value for pair in zip(corners.min(0), corners.max(0), strict=True) for value in pair]
            assert (corners.min(0) >= bounds[:2]).all()
            assert (corners.max(0) <= bounds[2:]).all()
            found.append((name, size, polygons, system))
    return found


@pytest.mark.parametrize("large", [False, True])
def test_regions_lie_where_the_map_does(
    tmp_path: Path, predictor: Predictor, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 100 if large else 10**9)
    source = tiff(tmp_path / "map.tif", pixels, PLACE)
    (image,) = predict(predictor, [source], tmp_path / "out", PredictRequest(["mask", "gpkg", "geojson"])).images
    assert image.files["gpkg"] == tmp_path / "out/outlines/map.gpkg"
    leaf, beetle = sorted(features(image.files["gpkg"]))[::-1]
    assert (leaf[:2], beetle[:2]) == (("leaf", 179), ("Käfer", 50))
    assert leaf[3] == 32633
    outer, hole = leaf[2][0]
    # Pixels of half a metre from (500000, 5300000): columns 30..50 and rows 10..20.
    assert (outer.min(0).tolist(), outer.max(0).tolist()) == ([500015.0, 5299990.0], [500025.0, 5299995.0])
    assert (hole.min(0).tolist(), hole.max(0).tolist()) == ([500016.5, 5299992.5], [500020.0, 5299994.0])
    content = json.loads(image.files["geojson"].read_text(encoding="utf-8"))
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    assert [each["properties"]["class"] for each in content["features"]] == ["leaf", "Käfer"]
    assert content["features"][0]["geometry"]["coordinates"] == [[outer.tolist(), hole.tolist()]]
    assert all(written_by_us(file) for file in image.files.values())


def test_a_rotated_map(tmp_path: Path, predictor: Predictor, pixels: np.ndarray) -> None:
    source = tiff(tmp_path / "map.tif", pixels, ROTATED)
    (image,) = predict(predictor, [source], tmp_path / "out", PredictRequest(["gpkg"])).images
    beetle = next(each for each in features(image.files["gpkg"]) if each[0] == "Käfer")
    corners = [(3 * x + 4 * y + 7, 4 * x - 3 * y + 8) for x in (0, 5) for y in (30, 40)]
    assert sorted(map(tuple, beetle[2][0][0][:-1].tolist())) == sorted(corners)


def test_a_map_in_a_system_without_a_code_says_that_its_outlines_cannot_name_it(
    tmp_path: Path, predictor: Predictor, pixels: np.ndarray
) -> None:
    own = [*PLACE[:2], (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32767), True)]
    source = tiff(tmp_path / "map.tif", pixels, own)

    def notes(kinds: list[str]) -> list[str]:
        found = predict(predictor, [source], tmp_path / "out", PredictRequest(kinds)).notes
        return [note for note in found if "no EPSG code" in note]

    (note,) = notes(["mask", "gpkg", "geojson"])
    assert "map.gpkg and map.geojson cannot name it" in note
    assert notes(["mask"]) == []
    named = predict(predictor, [tiff(source, pixels, PLACE)], tmp_path / "out", PredictRequest(["gpkg"]))
    assert not any("EPSG" in note for note in named.notes)


def test_an_image_that_lies_nowhere(tmp_path: Path, predictor: Predictor, pixels: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", pixels)
    (image,) = predict(predictor, [tmp_path / "a.npy"], tmp_path / "out", PredictRequest(["gpkg", "geojson"])).images
    beetle = next(each for each in features(image.files["gpkg"]) if each[0] == "Käfer")
    assert beetle[3] == -1
    assert beetle[2][0][0].max(0).tolist() == [5, 40]
    assert "crs" not in json.loads(image.files["geojson"].read_text(encoding="utf-8"))


def test_large_label_maps_are_outlined_by_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outline_files, "PIECE", 8)
    labels = np.full((16, 12), 255, np.uint8)
    labels[2:14, 1:11] = 1
    found = list(outline_files.regions(ArrayRows(labels), CLASSES))
    assert [each.area for each in found] == [42, 18, 42, 18]
    assert found[3].polygons[0].outer.max(0).tolist() == [11, 14]


def test_objects_lie_where_the_map_does(tmp_path: Path, pixels: np.ndarray) -> None:
    source = tiff(tmp_path / "map.tif", pixels, PLACE)
    place = scan_plan.place_of(ImageRef(source))
    result = Instances((40, 60), (Instance(2, 30, 0, np.ones((10, 5), bool), 0.75),))
    for kind in ("geojson", "gpkg", "instances"):
        writer = TASKS["instance"].writers[kind]
        assert writer.locate is not None
        writer.locate(tmp_path / f"a.{kind}", pixels, result, CLASSES, place)
    assert place is not None
    with tifffile.TiffFile(tmp_path / "a.instances") as ids:
        assert georeference(ids.pages[0]) == place
    ((name, size, (((outer,)),), system),) = features(tmp_path / "a.gpkg")
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as base:
        assert base.execute("SELECT fid, id, class_index FROM outlines").fetchall() == [(1, 1, 2)]
    assert (name, size, system) == ("Käfer", 50, 32633)
    assert outer.max(0).tolist() == [500002.5, 5299985.0]
    (feature,) = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))["features"]
    assert feature["geometry"]["coordinates"] == [[outer.tolist()]]
    assert (feature["properties"]["score"], feature["properties"]["risk"]) == (0.75, 0.25)


def test_the_header_of_an_image_is_asked_once(
    tmp_path: Path, predictor: Predictor, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(image: ImageRef, level: int | None = None) -> bool:
        asked.append(image)
        return scan_plan.is_scan(image, level)

    monkeypatch.setattr(writing, "is_scan", counted)
    predict(predictor, [tiff(tmp_path / "map.tif", pixels, PLACE)], tmp_path / "out", PredictRequest(["mask"]))
    assert len(asked) == 1
