"""Layouts that are refused: the message names a cure, which works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from tests.data.layouts import photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_objects

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (40, 60)
COUNT = 6
CLASSES = (("nut", (1, 2)), ("bolt", (3, 4)))


def ids_of(number: int) -> np.ndarray:
    """Draw four objects of 81 pixels each; the first two are nuts."""
    ids = np.zeros(SIZE, np.uint16)
    for value in range(1, 5):
        ids[2 + 3 * number : 11 + 3 * number, 14 * value - 12 : 14 * value - 3] = value
    return ids


def white(ids: np.ndarray, *values: int) -> np.ndarray:
    return np.where(np.isin(ids, values), 255, 0).astype(np.uint8)


def shown(root: Path, classes: tuple[str, ...] = ("background", "object")) -> list[list[tuple[int, int]]]:
    """Return class and area of each object of each image."""
    dataset = read_dataset(root)
    assert (dataset.faults, dataset.classes.names) == ((), classes)
    return [
        sorted((entry.index, entry.area) for entry in read_objects(dataset, record, SIZE)) for record in dataset.records
    ]


def one_folder_an_image(root: Path) -> Path:
    for number in range(COUNT):
        photo(root / f"i{number}/images/i{number}.png", number, SIZE)
        for value in range(1, 5):
            write(root / f"i{number}/masks/i{number}_{value}.png", white(ids_of(number), value))
    return root


def one_folder_a_class(root: Path) -> Path:
    for number in range(COUNT):
        photo(root / f"images/i{number}.png", number, SIZE)
        for name, values in CLASSES:
            write(root / f"masks/{name}/i{number}.png", white(ids_of(number), *values))
    return root


def require_cures(root: Path) -> None:
    assert shown(one_folder_an_image(root / "objects")) == [[(1, 81)] * 4] * COUNT
    dataset = read_dataset(one_folder_a_class(root / "classes"))
    assert (dataset.faults, dataset.classes.names) == ((), ("background", "bolt", "nut"))


def test_ids_in_folders_of_classes(tmp_path):
    for number in range(COUNT):
        photo(tmp_path / f"given/images/i{number}.png", number, SIZE)
        for name, values in CLASSES:
            ids = ids_of(number)
            write(tmp_path / f"given/masks/{name}/i{number}.png", np.where(np.isin(ids, values), ids, 0))
    with pytest.raises(MaskwrightError, match=r"as masks/NAME.png and one map of object ids as instances/NAME.png"):
        read_dataset(tmp_path / "given")
    cured = tmp_path / "cured"
    for number in range(COUNT):
        photo(cured / f"images/i{number}.png", number, SIZE)
        write(cured / f"masks/i{number}.png", np.where(ids_of(number) > 2, 2, ids_of(number) > 0).astype(np.uint8))
        write(cured / f"instances/i{number}.png", ids_of(number))
    assert shown(cured, ("class-0", "class-1", "class-2")) == [[(1, 81), (1, 81), (2, 81), (2, 81)]] * COUNT
    require_cures(tmp_path / "white")


def test_a_page_an_object(tmp_path):
    for number in range(COUNT):
        (tmp_path / "given/masks").mkdir(parents=True, exist_ok=True)
        photo(tmp_path / f"given/images/i{number}.png", number, SIZE)
        pages = np.stack([white(ids_of(number), value) for value in range(1, 6)])
        tifffile.imwrite(tmp_path / f"given/masks/i{number}.tif", pages, photometric="minisblack")
    cure = r"i0/images/i0.png and i0/masks/i0_1.png, i0_2.png, ... for objects, masks/CLASS/i0.png for classes"
    with pytest.raises(MaskwrightError, match=cure):
        read_dataset(tmp_path / "given")
    require_cures(tmp_path / "cured")


def test_files_of_objects_with_a_class_and_a_number(tmp_path):
    for number in range(COUNT):
        photo(tmp_path / f"given/images/i{number}.jpg", number, SIZE)
        for name, values in CLASSES:
            for value in values:
                write(tmp_path / f"given/masks/i{number}_{name}_m0k_00{value}.png", white(ids_of(number), value))
    cure = r"put i0_bolt_m0k_003.png and the others of i0 into i0/masks/, .* and save them as masks/CLASS/i0.png"
    with pytest.raises(MaskwrightError, match=cure):
        read_dataset(tmp_path / "given")
    require_cures(tmp_path / "cured")


def test_height_and_width_exchanged(tmp_path):
    outline = [2, 2, 50, 2, 50, 30, 2, 30]
    file = {
        "images": [{"id": 1, "file_name": "a.png", "width": SIZE[0], "height": SIZE[1]}],
        "categories": [{"id": 1, "name": "nut"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [outline]}],
    }
    photo(tmp_path / "a.png", size=SIZE)
    (tmp_path / "coco.json").write_text(json.dumps(file))
    (fault,) = read_dataset(tmp_path).faults
    assert fault.cure.endswith("if the file gives the height as the width, exchange the two")
    file["images"][0] |= {"width": SIZE[1], "height": SIZE[0]}
    (tmp_path / "coco.json").write_text(json.dumps(file))
    assert shown(tmp_path, ("background", "nut")) == [[(1, 48 * 28)]]


def via(number: int) -> dict[str, object]:
    shape = {"name": "polygon", "all_points_x": [2, 20, 20], "all_points_y": [2, 2, 20]}
    region = {"shape_attributes": shape, "region_attributes": {"name": "nut"}}
    return {f"i{number}.png123": {"filename": f"i{number}.png", "size": 123, "regions": [region]}}


def test_a_project_of_via_is_named(tmp_path):
    for number in range(COUNT):
        photo(tmp_path / f"i{number}.png", number, SIZE)
    (tmp_path / "via.json").write_text(json.dumps(via(0) | via(1)))
    with pytest.raises(MaskwrightError, match=r"via.json is a file of VIA, which is not read: .* as COCO"):
        read_dataset(tmp_path)


def test_annotations_of_segment_anything_are_refused_and_the_cure_works(tmp_path):
    joined = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "thing"}]}
    for number in range(COUNT):
        photo(tmp_path / f"sa_{number}.png", number, SIZE)
        image = {"image_id": number, "width": SIZE[1], "height": SIZE[0], "file_name": f"sa_{number}.png"}
        pixels = np.flatnonzero(white(ids_of(number), 1).T)
        start, runs = 0, []
        for first in range(pixels[0], pixels[-1] + 1, SIZE[0]):
            runs, start = [*runs, int(first - start), 9], first + 9
        code = {"size": SIZE, "counts": [*runs, int(SIZE[0] * SIZE[1] - start)]}
        entry = {"id": number, "segmentation": code, "area": 81, "stability_score": 0.9}
        (tmp_path / f"sa_{number}.json").write_text(json.dumps({"image": image, "annotations": [entry]}))
        joined["images"].append(image | {"id": number})
        joined["annotations"].append(entry | {"image_id": number, "category_id": 1})
    with pytest.raises(MaskwrightError, match=r"sa_0.json is a file of Segment Anything.*: join them into one COCO"):
        read_dataset(tmp_path)
    for path in tmp_path.glob("*.json"):
        path.unlink()
    (tmp_path / "joined.json").write_text(json.dumps(joined))
    assert shown(tmp_path, ("background", "thing")) == [[(1, 81)]] * COUNT


def test_run_lengths_in_other_columns_are_refused_and_the_cure_works(tmp_path):
    for number in range(COUNT):
        photo(tmp_path / f"train/i{number}.png", number, SIZE)
    rows = [f"i{number},cell,{1 + number} 9 {41 + number} 9 {81 + number} 9" for number in range(COUNT)]
    (tmp_path / "train.csv").write_text("\n".join(["name,kind,mask", *rows]))
    with pytest.raises(MaskwrightError, match=r"train.csv .*\(name,kind,mask\).* ImageId, .* EncodedPixels"):
        read_dataset(tmp_path)
    (tmp_path / "train.csv").write_text("\n".join(["ImageId,kind,EncodedPixels", *rows]))
    assert shown(tmp_path) == [[(1, 27)]] * COUNT
