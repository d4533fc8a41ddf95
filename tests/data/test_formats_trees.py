"""The trees of outlines in docs/data.md, written file by file: each is recognised, and its pixels are right."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from tests.data.layouts import photo, write
from tests.data.trees import trees

from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_objects, read_pair

SECTION = "Layouts of outlines"
SIZE = (20, 40)
RING = [[10, 5], [20, 5], [20, 10], [10, 10]]
IMAGES = {".jpg", ".png"}


def coco(path: PurePosixPath) -> Any:
    name = "a.jpg" if path.stem == "train" else "b.jpg"
    outline = [[number for point in RING for number in point]]
    return {
        "images": [{"id": 1, "file_name": name, "width": 40, "height": 20}],
        "categories": [{"id": 5, "name": "nut"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "segmentation": outline, "iscrowd": 0}],
    }


def labelme(path: PurePosixPath) -> Any:
    if path.name == "labels.txt":
        return "nut\n"
    shape = {"label": "nut", "points": RING, "shape_type": "polygon", "group_id": None}
    return {"shapes": [shape], "imagePath": f"{path.stem}.jpg", "imageHeight": 20, "imageWidth": 40}


def cvat(_: PurePosixPath) -> Any:
    polygon = f'<polygon label="nut" points="{";".join(f"{x},{y}" for x, y in RING)}"/>'
    images = "".join(f'<image name="cam{n}/a.jpg" width="40" height="20">{polygon}</image>' for n in (1, 2))
    meta = "<meta><job><labels><label><name>nut</name></label></labels></job></meta>"
    return f"<annotations>{meta}{images}</annotations>"


def yolo(path: PurePosixPath) -> Any:
    if path.suffix == ".yaml":
        return "train: images/train\nval: images/val\nnames: [nut]\n"
    return f"0 {' '.join(f'{x / 40} {y / 20}' for x, y in RING)}\n"


def runs(_: PurePosixPath) -> Any:
    pairs = " ".join(f"{column * 20 + 5 + 1} 5" for column in range(10, 20))
    return f"ImageId,EncodedPixels,Class\na.jpg,{pairs},nut\nb.jpg,{pairs},nut\n"


def supervisely(path: PurePosixPath) -> Any:
    if path.name == "meta.json":
        return {"classes": [{"title": "nut", "shape": "polygon"}], "tags": []}
    points = {"exterior": RING, "interior": []}
    objects = [{"classTitle": "nut", "geometryType": "polygon", "points": points}]
    return {"size": {"height": 20, "width": 40}, "objects": objects}


def geojson(path: PurePosixPath) -> Any:
    if path.suffix == ".pgw":  # half a metre a pixel, from (1000, 2000) on
        return "0.5\n0\n0\n-0.5\n1000.25\n1999.75\n"
    ring = RING if path.stem == "slide1" else [[1000 + x / 2, 2000 - y / 2] for x, y in RING]
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    feature = {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": "nut"}}}
    return {"type": "FeatureCollection", "features": [feature]}


def labelstudio(_: PurePosixPath) -> Any:
    value = {"points": [[x / 0.4, y / 0.2] for x, y in RING], "polygonlabels": ["nut"]}
    result = {"id": "x", "original_width": 40, "original_height": 20, "value": value}
    return [{"data": {"image": f"/data/upload/1/{n}.jpg"}, "annotations": [{"result": [result]}]} for n in "ab"]


def panoptic(path: PurePosixPath) -> Any:
    if path.suffix == ".png":
        ids = np.full((*SIZE, 3), (1, 0, 0), np.uint8)
        ids[5:10, 10:20] = (0, 1, 0)
        return ids
    name = "a" if path.stem.endswith("train") else "b"
    segments = [{"id": 1, "category_id": 3}, {"id": 256, "category_id": 5, "iscrowd": 0}]
    return {
        "images": [{"id": 1, "file_name": f"{name}.jpg", "width": 40, "height": 20}],
        "categories": [{"id": 3, "name": "background", "isthing": 0}, {"id": 5, "name": "nut", "isthing": 1}],
        "annotations": [{"image_id": 1, "file_name": f"{name}.png", "segments_info": segments}],
    }


CONTENT = {
    "coco": coco,
    "labelme": labelme,
    "cvat": cvat,
    "yolo": yolo,
    "supervisely": supervisely,
    "geojson": geojson,
    "runs": runs,
    "labelstudio": labelstudio,
    "panoptic": panoptic,
}


def test_every_format_of_outlines_has_a_tree():
    assert set(trees(SECTION)) == set(CONTENT)


@pytest.mark.parametrize("name", CONTENT)
def test_the_tree_is_read(tmp_path, name):
    for seed, entry in enumerate(trees(SECTION)[name]):
        path = tmp_path / entry
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in IMAGES and (name != "panoptic" or path.suffix == ".jpg"):
            photo(path, seed, SIZE)
            continue
        content = CONTENT[name](PurePosixPath(entry))
        if isinstance(content, np.ndarray):
            write(path, content)
            continue
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.faults) == (name, ())
    assert dataset.classes.names == ("background", "nut")
    assert len(dataset.records) == 2
    # Supervisely's corners are pixels of the object, those of all others lie between pixels.
    height, width = (6, 11) if name == "supervisely" else (5, 10)
    pixels = height * width
    for record in dataset.records:
        label = read_pair(dataset, record)[1]
        assert (label.sum(), label[5 : 5 + height, 10 : 10 + width].sum()) == (pixels, pixels)
        (entry,) = read_objects(dataset, record, SIZE)
        assert (entry.index, entry.top, entry.left, entry.area) == (1, 5, 10, pixels)
