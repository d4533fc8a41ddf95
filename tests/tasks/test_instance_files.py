"""Files of predicted objects: read back by others, they give the same objects."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from tests.tasks.objects import place

from maskwright.core.classes import Classes
from maskwright.core.instances import Instance, Instances
from maskwright.core.read_options import ReadOptions
from maskwright.core.records import ImageRef, Shapes
from maskwright.data.formats import geojson
from maskwright.data.painting import paint_objects
from maskwright.data.readers import read_image, read_mask
from maskwright.data.results import written_by_us
from maskwright.ops.instance_maps import cropped, from_map, to_map
from maskwright.tasks.coco_file import image_ids
from maskwright.tasks.instance_files import WRITERS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CELLS = Classes.named(["background", "cell", "nucleus"])
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
DOT = np.ones((1, 1), bool)
SOME = Instances(
    (6, 8),
    (
        Instance(2, 1, 2, RING, 0.91234),
        Instance(1, 2, 3, DOT, 0.5),
        Instance(1, 3, 4, np.ones((3, 4), bool), 0.25),
    ),
)


def write(kind: str, folder: Path, objects: Instances, name: str = "a", image: NDArray[Any] | None = None) -> Path:
    """Write one kind of file as `predict` does."""
    writer = WRITERS[kind]
    path = folder / (f"{name}{writer.suffix}" if writer.collect is None else writer.folder)
    pixels = np.zeros((*objects.size, 3), np.uint8) if image is None else image
    if writer.write is not None:
        writer.write(path, pixels, objects, CELLS)
    elif writer.measure is not None:
        writer.measure(path, pixels, objects, CELLS, None)
    elif writer.locate is not None:
        writer.locate(path, pixels, objects, CELLS, None)
    elif writer.collect is not None:
        collector = writer.collect(CELLS)
        collector.write(path, [collector.entry(f"{name}.png", objects, name)])
    return path


@st.composite
def objects_of(draw: st.DrawFn) -> Instances:
    """Up to six objects that may overlap, have holes and fall into parts."""
    size = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    masks = draw(st.lists(arrays.arrays(np.bool_, size), max_size=6))
    found = [(draw(st.integers(1, 2)), *cut) for mask in masks if (cut := cropped(mask)) is not None]
    return Instances(size, tuple(Instance(*entry) for entry in found))


def grid(count: int) -> Instances:
    """Objects of 2 x 3 pixels in rows, one pixel apart."""
    side = int(np.ceil(np.sqrt(count)))
    where = [divmod(number, side) for number in range(count)]
    solid = np.ones((2, 3), bool)
    return Instances((3 * side, 4 * side), tuple(Instance(1, 3 * row, 4 * column, solid) for row, column in where))


EVERY = pytest.mark.parametrize("kind", WRITERS)
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EVERY
def test_every_file_carries_the_mark(kind: str, tmp_path: Path) -> None:
    for objects in (SOME, Instances((6, 8))):
        assert written_by_us(write(kind, tmp_path, objects))


def test_the_mark_of_a_large_id_map_is_found(tmp_path: Path) -> None:
    """The tables of strips of a tall image take more than what is searched for the mark."""
    path = write("instances", tmp_path, Instances((20_000, 64), (Instance(1, 5, 5, DOT),)))
    assert written_by_us(path)


def test_an_id_map_by_hand(tmp_path: Path) -> None:
    path = write("instances", tmp_path, SOME)
    written = tifffile.imread(path)
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(
        written,
        [
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 1, 1, 1, 0, 0, 0],
            [0, 0, 1, 2, 1, 0, 0, 0],
            [0, 0, 1, 1, 1, 3, 3, 3],
            [0, 0, 0, 0, 3, 3, 3, 3],
            [0, 0, 0, 0, 3, 3, 3, 3],
        ],
    )
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), written)
    np.testing.assert_array_equal(read_image(ImageRef(path))[:, :, 0], written)


def test_65535_objects_fit_16_bits_and_one_more_does_not(tmp_path: Path) -> None:
    for count, dtype in ((65_535, np.uint16), (65_536, np.uint32)):
        written = tifffile.imread(write("instances", tmp_path, grid(count)))
        assert written.dtype == dtype
        assert written.max() == count


@MANY
@given(objects=objects_of())
def test_an_id_map_is_read_back(tmp_path: Path, objects: Instances) -> None:
    written = tifffile.imread(write("instances", tmp_path, objects)).reshape(objects.size)
    np.testing.assert_array_equal(written, to_map(objects))
    found = from_map(written, [entry.index for entry in objects.objects])
    numbers = np.unique(written[written > 0])  # an object under others has no pixel
    assert [entry.index for entry in found.objects] == [objects.objects[number - 1].index for number in numbers]
    for number, entry in zip(numbers, found.objects, strict=True):
        shown = np.zeros(objects.size, bool)
        shown[entry.rows, entry.columns] = entry.mask
        np.testing.assert_array_equal(shown, written == number)


def test_geojson_by_hand(tmp_path: Path) -> None:
    content = json.loads(write("geojson", tmp_path, Instances((6, 8), SOME.objects[:1])).read_text())
    (feature,) = content["features"]
    assert content["type"] == "FeatureCollection"
    assert feature["properties"] == {
        "objectType": "detection",
        "classification": {"name": "nucleus", "color": list(CELLS.colors[2])},
        "measurements": {"score": 0.9123, "risk": 0.0877},
        "id": 1,
        "class": "nucleus",
        "score": 0.9123,
        "risk": 0.0877,
    }
    assert feature["geometry"]["type"] == "MultiPolygon"
    ((outer, hole),) = feature["geometry"]["coordinates"]
    assert (outer[0], hole[0]) == (outer[-1], hole[-1])
    assert {tuple(point) for point in outer} == {(2, 1), (5, 1), (5, 4), (2, 4)}
    assert {tuple(point) for point in hole} == {(3, 2), (4, 2), (4, 3), (3, 3)}


def test_parts_that_touch_at_a_corner_are_two_polygons_of_an_outline(tmp_path: Path) -> None:
    """One ring through both would pass their corner twice, which makes a polygon invalid (OGC 06-103r4, 6.1.11)."""
    objects = Instances((6, 8), (Instance(1, 2, 3, np.eye(2, dtype=bool), 0.5),))
    (feature,) = json.loads(write("geojson", tmp_path, objects).read_text())["features"]
    rings = [ring for polygon in feature["geometry"]["coordinates"] for ring in polygon]
    found = sorted(sorted({tuple(point) for point in ring}) for ring in rings)
    assert found == [[(3, 2), (3, 3), (4, 2), (4, 3)], [(4, 3), (4, 4), (5, 3), (5, 4)]]
    assert [len(polygon) for polygon in feature["geometry"]["coordinates"]] == [1, 1]


def painted_back(folder: Path, objects: Instances) -> list[tuple[str, NDArray[np.bool_]]]:
    """Read the outlines with our own reader, and return (class, mask (H, W)) of each object."""
    Image.new("RGB", objects.size[::-1]).save(folder / "a.png")
    write("geojson", folder, objects)
    dataset = geojson.read(folder, ReadOptions())
    assert all("drawn twice" in fault.message for fault in dataset.faults)
    shapes = dataset.records[0].annotation
    assert isinstance(shapes, Shapes)
    painted = paint_objects(shapes, objects.size, dataset.records[0].image)
    return [(dataset.classes.names[entry.index], place(entry, objects.size)) for entry in painted]


def same(found: list[tuple[str, NDArray[np.bool_]]], objects: Instances) -> bool:
    """Tell whether the objects were found, each once: our reader counts copies once."""
    wanted = {(CELLS.names[entry.index], place(entry, objects.size).tobytes()) for entry in objects.objects}
    return len(found) == len(wanted) and {(name, mask.tobytes()) for name, mask in found} == wanted


@MANY
@given(objects=objects_of().filter(len))
def test_outlines_are_painted_back_by_our_reader(tmp_path: Path, objects: Instances) -> None:
    """Nothing lies in the first pixel alone, where coordinates may also be fractions of the sides."""
    size = objects.size[0] + 1, objects.size[1] + 1
    moved = Instances(size, tuple(replace(entry, top=entry.top + 1, left=entry.left + 1) for entry in objects.objects))
    assert same(painted_back(tmp_path, moved), moved)


def test_3000_outlines_are_painted_back(tmp_path: Path) -> None:
    assert same(painted_back(tmp_path, grid(3000)), grid(3000))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, with NumPy 2
@pytest.mark.parametrize("kind", ["coco", "coco-polygons"])
@MANY
@given(objects=objects_of())
def test_coco_is_read_by_pycocotools(tmp_path: Path, kind: str, objects: Instances) -> None:
    path = write(kind, tmp_path, objects)
    content = json.loads(path.read_text())
    assert [entry["name"] for entry in content["categories"]] == ["cell", "nucleus"]
    assert content["images"] == [
        {"id": 1, "file_name": "a.png", "width": objects.size[1], "height": objects.size[0]},
    ]
    reader = COCO(str(path))
    assert len(reader.anns) == len(objects)
    for entry, annotation in zip(objects.objects, reader.loadAnns(sorted(reader.anns)), strict=True):
        mask = reader.annToMask(annotation).astype(bool)
        np.testing.assert_array_equal(mask, place(entry, objects.size))
        code = coco_mask.encode(np.asfortranarray(mask.view(np.uint8)))
        assert annotation["area"] == coco_mask.area(code) == entry.area
        assert annotation["bbox"] == coco_mask.toBbox(code).tolist()
        assert (annotation["category_id"], annotation["score"]) == (entry.index, entry.score)


def test_coco_polygons_keep_holes_as_codes(tmp_path: Path) -> None:
    annotations = json.loads(write("coco-polygons", tmp_path, SOME).read_text())["annotations"]
    assert [type(entry["segmentation"]) for entry in annotations] == [dict, list, list]
    assert [entry["score"] for entry in annotations] == [0.91234, 0.5, 0.25]


def test_ids_of_coco_annotations_go_on_over_images(tmp_path: Path) -> None:
    collect = WRITERS["coco"].collect
    assert collect is not None
    collector = collect(CELLS)
    entries = [
        collector.entry(name, Instances((6, 8)) if name == "empty" else SOME, name) for name in ("a", "empty", "b")
    ]
    collector.write(tmp_path / "all.json", entries)
    content = json.loads((tmp_path / "all.json").read_text())
    assert [entry["id"] for entry in content["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [entry["image_id"] for entry in content["annotations"]] == [1, 1, 1, 3, 3, 3]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["000000000090.jpg", "000000397133.jpg", "a/000000000002.png"], [90, 397133, 2]),
        (["COCO_val2014_000000391895.jpg"], [391895]),
        (["img_702.ome.tif", "img_700.OME.TIFF", "img_9.png"], [702, 700, 9]),
        (["a/1.png", "b/1.png"], [1, 2]),
        (["7.png", "a.png"], [1, 2]),
        (["20260101.tif (page 2)", "20260101.tif (page 3)"], [1, 2]),
        (["9007199254740993.png", "5.png"], [1, 2]),
        ([], []),
    ],
)
def test_ids_of_images_are_the_numbers_in_their_names(names: list[str], ids: list[int]) -> None:
    assert image_ids(names) == ids


@EVERY
def test_an_image_without_an_object(kind: str, tmp_path: Path) -> None:
    path = write(kind, tmp_path, Instances((6, 8)))
    if path.suffix == ".tif":
        assert not tifffile.imread(path).any()
    elif path.suffix == ".zarr":
        assert not read_mask(path).array.any()
    elif path.suffix == ".jpg":
        assert not np.asarray(Image.open(path)).any()
    elif path.suffix == ".csv":
        assert path.read_text().startswith("id,class,score,touches_border,risk,area_px2,")
        assert path.read_text().count("\n") == 1
    elif path.suffix == ".gpkg":
        with closing(sqlite3.connect(path)) as base:
            assert base.execute("SELECT count(*), max(id) FROM outlines").fetchone() == (0, None)
            assert base.execute("SELECT min_x, max_y FROM gpkg_contents").fetchone() == (None, None)
    else:
        content = json.loads(path.read_text())
        assert content.get("features", content.get("annotations")) == []


def test_a_large_overlay_is_made_smaller_and_keeps_small_objects(tmp_path: Path) -> None:
    objects = Instances((20, 9000), (Instance(1, 3, 8001, DOT), Instance(2, 19, 8999, DOT)))
    with Image.open(write("overlay", tmp_path, objects)) as picture:
        assert picture.size == (4500, 10)
        pixels = np.asarray(picture).sum(axis=2)
    assert pixels[2, 4001] > 300
    assert pixels[9, 4499] > 300
    assert pixels[:, :3900].max() < 30


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tifffile.imwrite", full)
    with pytest.raises(Exception, match="disk is full"):
        write("instances", tmp_path, SOME)
    assert not list(tmp_path.iterdir())


def test_ids_in_a_store(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    found = zarr.open_group(str(write("zarr", tmp_path, SOME)), mode="r")
    assert found["0"].dtype == np.uint16
    np.testing.assert_array_equal(found["0"][...], to_map(SOME))
    said = found.attrs["image-label"]
    assert said["properties"] == [
        {"label-value": 1, "class": "nucleus", "score": 0.9123},
        {"label-value": 2, "class": "cell", "score": 0.5},
        {"label-value": 3, "class": "cell", "score": 0.25},
    ]
    assert "colors" not in said  # viewers choose those of ids
    assert written_by_us(tmp_path / "a.zarr")
