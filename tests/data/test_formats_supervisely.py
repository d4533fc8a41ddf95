"""Supervisely: bitmaps, polygons with holes and rectangles, datasets as splits, and what is missing."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tests.data.layouts import labels, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset, supervisely
from maskwright.data.labels import read_pair

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (40, 60)


def outline(kind: str, exterior: list[list[int]], *interior: list[list[int]], title: str = "cat") -> dict[str, Any]:
    return {"classTitle": title, "geometryType": kind, "points": {"exterior": exterior, "interior": list(interior)}}


def bitmap(mask: np.ndarray, origin: tuple[int, int], *, alpha: bool, title: str = "dog") -> dict[str, Any]:
    grey = mask.astype(np.uint8) * 255
    picture = np.dstack([grey * 0, grey * 0, grey * 0, grey]) if alpha else grey
    data = base64.b64encode(zlib.compress(cv2.imencode(".png", picture)[1].tobytes())).decode()
    return {"classTitle": title, "geometryType": "bitmap", "bitmap": {"data": data, "origin": list(origin)}}


def write_json(path: Path, objects: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"size": {"height": 40, "width": 60}, "tags": [], "objects": objects}))


def make(root: Path, *objects: Any, dataset: str = "ds0") -> Path:
    photo(root / dataset / "img" / "a.jpg", size=SIZE)
    write_json(root / dataset / "ann" / "a.jpg.json", list(objects))
    titles = [{"title": title, "shape": "any", "color": "#ff0000"} for title in ("dog", "cat")]
    (root / "meta.json").write_text(json.dumps({"classes": titles, "tags": []}))
    return root


@pytest.mark.parametrize("alpha", [True, False])
def test_each_kind_of_object(tmp_path, alpha):
    mask = np.zeros((5, 7), bool)
    mask[1:4, 2:6] = True
    mask[2, 3] = False
    square, hole = [[5, 5], [25, 5], [25, 25], [5, 25]], [[10, 10], [15, 10], [15, 15], [10, 15]]
    objects = [outline("polygon", square, hole), outline("rectangle", [[30, 5], [39, 9]])]
    dataset = read_dataset(make(tmp_path, *objects, bitmap(mask, (50, 30), alpha=alpha)))
    assert (dataset.format, dataset.faults) == ("supervisely", ())
    assert dataset.classes.names == ("background", "dog", "cat")
    expected = np.zeros(SIZE, np.uint8)
    expected[5:26, 5:26] = 2  # The corners are pixels of the object, or of its hole.
    expected[10:16, 10:16] = 0
    expected[5:10, 30:40] = 2
    expected[30:35, 50:57][mask] = 1
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)


def test_polygons_between_pixels(tmp_path):
    objects = [
        outline("polygon", [[4.5, 5.0], [24.5, 5.0], [24.5, 25.0], [4.5, 25.0]]),
        outline("rectangle", [[30.5, 5.0], [40.5, 9.0]]),
    ]
    dataset = read_dataset(make(tmp_path, *objects))
    assert int((read_pair(dataset, dataset.records[0])[1] == 2).sum()) == 400 + 40


def test_polygons_beyond_the_image(tmp_path):
    """The first loses 2 columns, the second 30 of 40, and the third has no pixel in the image."""
    places = [(-2, 7, 5, 9), (50, 89, 20, 29), (70, 80, 30, 35)]
    objects = [
        outline("polygon", [[left, top], [right, top], [right, bottom], [left, bottom]])
        for left, right, top, bottom in places
    ]
    dataset = read_dataset(make(tmp_path, *objects, outline("rectangle", [[30, 5], [39, 9]])))
    expected = np.zeros(SIZE, np.uint8)
    expected[5:10, :8] = expected[20:30, 50:] = expected[5:10, 30:40] = 2
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    assert ["outside" in fault.message or "beyond" in fault.message for fault in dataset.faults] == [True, True]


def test_what_cannot_be_painted(tmp_path):
    line = outline("line", [[5, 5], [10, 12]])
    dataset = read_dataset(make(tmp_path, line, outline("polygon", [[20, 5], [25, 5]])))
    expected = np.zeros(SIZE, np.uint8)
    expected[5:12, 5:10] = expected[5:6, 20:25] = IGNORE
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    assert [fault.path.name for fault in dataset.faults] == ["a.jpg.json", "a.jpg.json"]


def test_datasets_called_train_and_val(tmp_path):
    for split in ("train", "val"):
        make(tmp_path, outline("rectangle", [[30, 5], [39, 9]]), dataset=split)
    assert [(record.id, record.split) for record in read_dataset(tmp_path).records] == [
        ("train/img/a.jpg", "train"),
        ("val/img/a.jpg", "val"),
    ]
    assert [record.id for record in read_dataset(tmp_path / "val").records] == ["img/a.jpg"]


def test_damage_and_images_alone(tmp_path):
    make(tmp_path, outline("rectangle", [[30, 5], [39, 9]]))
    for name in "bcd":
        photo(tmp_path / "ds0" / "img" / f"{name}.jpg", size=SIZE)
    write_json(tmp_path / "ds0" / "ann" / "b.jpg.json", [{"classTitle": "dog", "geometryType": "bitmap", "bitmap": {}}])
    write_json(tmp_path / "ds0" / "ann" / "c.json", [])
    write_json(tmp_path / "ds0" / "ann" / "gone.jpg.json", [])
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["ds0/img/a.jpg", "ds0/img/c.jpg"]
    assert {(fault.kind, fault.path.name) for fault in dataset.faults} == {
        ("unreadable", "b.jpg.json"),
        ("unpaired", "gone.jpg.json"),
        ("unpaired", "img"),
    }


def test_exported_masks_come_first(tmp_path):
    make(tmp_path, outline("rectangle", [[30, 5], [39, 9]]))
    write(tmp_path / "ds0" / "masks_machine" / "a.jpg.png", labels([0, 1], SIZE))
    assert supervisely.detect(tmp_path) is None


def test_a_damaged_meta(tmp_path):
    make(tmp_path, outline("rectangle", [[30, 5], [39, 9]]))
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(MaskwrightError, match=r"meta\.json lists no classes"):
        read_dataset(tmp_path)


def test_a_bitmap_that_is_no_picture_is_told_with_its_file(tmp_path):
    empty = bitmap(np.ones((2, 2), bool), (0, 0), alpha=True)
    empty["bitmap"]["data"] = base64.b64encode(zlib.compress(b"no picture")).decode()
    with pytest.raises(
        MaskwrightError, match=r"a\.jpg\.json holds a damaged object \(a mask is not a PNG\): export it"
    ):
        read_dataset(make(tmp_path, empty))
