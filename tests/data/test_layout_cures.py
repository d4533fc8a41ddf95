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
