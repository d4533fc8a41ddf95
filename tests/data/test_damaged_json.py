"""Annotation files of which any node is replaced: what comes is an error or a fault that people read, and no other."""

from __future__ import annotations

import base64
import copy
import json
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tests.data.layouts import labels, photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = (20, 30)
SQUARE = [[2, 2], [9, 2], [9, 9], [2, 9]]
FLAT = [number for point in SQUARE for number in point]
PNG = cv2.imencode(".png", np.full((3, 3), 255, np.uint8))[1].tobytes()
REPLACEMENTS = (None, 5, "text", {"a": 1}, [1])


def _coco() -> dict[str, Any]:
    entries = [
        {"segmentation": [FLAT], "bbox": [2, 2, 7, 7], "area": 49, "iscrowd": 0},
        {"segmentation": {"size": [*SIZE], "counts": [40, 9, 551]}, "bbox": [2, 0, 1, 9], "area": 9, "iscrowd": 1},
    ]
    return {
        "images": [{"id": n, "file_name": f"{name}.jpg", "height": 20, "width": 30} for n, name in enumerate("ab")],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 2 * n + m, "image_id": n, "category_id": 1, **entry}
            for n in (0, 1)
            for m, entry in enumerate(entries)
        ],
    }


def _labelme(name: str) -> dict[str, Any]:
    shapes = [
        {"label": "cat", "points": SQUARE, "shape_type": "polygon", "group_id": 1},
        {"label": "cat", "points": SQUARE[:2], "shape_type": "circle", "group_id": 1},
        {"label": "cat", "points": [[1, 1], [3, 3]], "shape_type": "mask", "mask": base64.b64encode(PNG).decode()},
    ]
    return {"shapes": shapes, "imagePath": f"{name}.jpg", "imageHeight": 20, "imageWidth": 30}


def _geojson() -> dict[str, Any]:
    geometries = [
        {"type": "Polygon", "coordinates": [SQUARE]},
        {"type": "GeometryCollection", "geometries": [{"type": "MultiPolygon", "coordinates": [[SQUARE]]}]},
        {"type": "LineString", "coordinates": SQUARE},
    ]
    own = {"objectType": "annotation", "classification": {"name": "", "names": ["cat", "tabby"]}}
    features = [{"type": "Feature", "geometry": geometry, "properties": own} for geometry in geometries]
    return {"type": "FeatureCollection", "features": features}


def _labelstudio() -> list[dict[str, Any]]:
    values = [
        {"points": SQUARE, "polygonlabels": ["cat"]},
        {"x": 1, "y": 1, "width": 9, "height": 9, "rotation": 5, "rectanglelabels": ["cat"]},
        {"x": 9, "y": 9, "radiusX": 4, "radiusY": 4, "ellipselabels": ["cat"]},
    ]
    results = [
        {"id": str(place), "original_width": 30, "original_height": 20, "image_rotation": 0, "value": value}
        for place, value in enumerate(values)
    ]
    about = {"was_cancelled": False, "ground_truth": True, "updated_at": "2024"}
    found = {"a": [{"result": [], **about}, {"result": results, **about}], "b": [{"result": results[:1]}]}
    return [{"id": name, "data": {"image": f"/data/{name}.jpg"}, "annotations": found[name]} for name in "ab"]


def _supervisely() -> dict[str, Any]:
    data = base64.b64encode(zlib.compress(PNG)).decode()
    objects = [
        {"classTitle": "cat", "geometryType": "polygon", "points": {"exterior": SQUARE, "interior": [SQUARE]}},
        {"classTitle": "cat", "geometryType": "rectangle", "points": {"exterior": SQUARE[::2], "interior": []}},
        {"classTitle": "cat", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [12, 12]}},
    ]
    return {"size": {"height": 20, "width": 30}, "objects": objects}


META = {"classes": [{"title": "cat"}, {"title": "dog"}]}
COLORS = {"cat": [1, 1, 1], "dog": [2, 2, 2]}
NNUNET = {"channel_names": {"0": "grey"}, "labels": {"background": 0, "cat": 1, "dog": 2}, "numTraining": 2}
Files = dict[str, Any]
# The format, its JSON files, of which the first is damaged, and whether that concerns only the image a.
CASES: dict[str, tuple[str, Files, bool]] = {
    "coco": ("coco", {"all.json": _coco()}, False),
    "labelme": ("labelme", {f"{name}.json": _labelme(name) for name in "ab"}, True),
    "geojson": ("geojson", {f"{name}.geojson": _geojson() for name in "ab"}, True),
    "labelstudio": ("labelstudio", {"all.json": _labelstudio()}, False),
    "supervisely": ("supervisely", {f"ds/ann/{name}.jpg.json": _supervisely() for name in "ab"}, True),
    "supervisely-meta": (
        "supervisely",
        {"meta.json": META, **{f"ds/ann/{name}.jpg.json": _supervisely() for name in "ab"}},
        False,
    ),
    "masks-meta": ("supervisely-masks", {"meta.json": META}, False),
    "masks-colors": ("supervisely-masks", {"obj_class_to_machine_color.json": COLORS, "meta.json": META}, False),
    "nnunet": ("nnunet", {"dataset.json": NNUNET}, False),
}


def _pictures(root: Path, kind: str) -> None:
    for name in "ab":
        if kind == "nnunet":
            write(root / f"imagesTr/{name}_0000.png", np.zeros(SIZE, np.uint8))
            write(root / f"labelsTr/{name}.png", labels([0, 1, 2], SIZE))
        elif kind.startswith("supervisely"):
            photo(root / f"ds/img/{name}.jpg", size=SIZE)
        else:
            photo(root / f"{name}.jpg", size=SIZE)
        if kind == "supervisely-masks":
            write(root / f"ds/masks_machine/{name}.jpg.png", labels([0, 1, 2], SIZE))


def _nodes(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from _nodes(value, (*path, key))


def _with(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(document)
    changed[path[0]] = _with(document[path[0]], path[1:], value)
    return changed


def _names(root: Path, kind: str) -> set[str]:
    """Read all pixels, and return the first letters of the images that can be used; any other error gets through."""
    try:
        dataset = read_dataset(root, ReadOptions(format=kind))
    except MaskwrightError:
        return set()
    found = set()
    for record in dataset.records:
        try:
            read_pair(dataset, record)
            found.add(record.image.path.name[0])
        except MaskwrightError:
            pass
    return found


@pytest.mark.parametrize("case", CASES)
def test_any_damage_is_an_error_or_a_fault(tmp_path: Path, case: str) -> None:
    kind, files, alone = CASES[case]
    _pictures(tmp_path, kind)
    for name, document in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(document))
    assert _names(tmp_path, kind) == {"a", "b"}
    name, document = next(iter(files.items()))
    for path in _nodes(document):
        for value in REPLACEMENTS:
            (tmp_path / name).write_text(json.dumps(_with(document, path, value)))
            found = _names(tmp_path, kind)
            assert not alone or "b" in found, f"{path} = {value!r}"
