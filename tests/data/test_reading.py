"""EXIF orientations: masks of the pixels as stored are recognised by their sizes, or it is said that nothing tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskwright.core.records import ImageRef, Reading
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_pair
from maskwright.data.readers import image_orientation, image_size, read_image
from maskwright.data.survey import survey

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Dataset

STORED = (40, 60)


def dataset(root: Path, turns: list[int], *, upright: list[bool], stored: tuple[int, int] = STORED) -> Dataset:
    """Photographs of a bright box with EXIF turns, each with a mask of the upright or of the stored pixels."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number, (turn, is_upright) in enumerate(zip(turns, upright, strict=True)):
        mask = np.zeros(stored, np.uint8)
        mask[4:16, 6:20] = 1
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(mask * 200).save(root / f"images/{number}.jpg", exif=exif, quality=95)
        if is_upright:
            mask = (read_image(root / f"images/{number}.jpg")[..., 0] > 100).astype(np.uint8)
        Image.fromarray(mask).save(root / f"masks/{number}.png")
    (root / "classes.txt").write_text("ground\nbox\n")
    return read_dataset(root)


def agreement(data: Dataset) -> float:
    """Tell how much of each mask lies on its bright box."""
    shares = []
    for record in data.records:
        image, label = read_pair(data, record)
        shares.append(float(((image[..., 0] > 100) == (label == 1)).mean()))
    return min(shares)


def kinds(data: Dataset) -> list[tuple[str, str]]:
    return [(fault.kind, fault.severity) for fault in survey(data).dataset.faults]


def outlined(root: Path, turns: list[int], sizes: list[tuple[int, int]]) -> Dataset:
    """Photographs of a bright box at 6, 4 to 20, 16 of the stored pixels, outlined there in COCO's JSON."""
    images, objects = [], []
    for number, (turn, (height, width)) in enumerate(zip(turns, sizes, strict=True)):
        stored = np.zeros(STORED, np.uint8)
        stored[4:16, 6:20] = 200
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(stored).save(root / f"{number}.jpg", exif=exif, quality=95)
        images.append({"id": number, "file_name": f"{number}.jpg", "height": height, "width": width})
        box = [6, 4, 20, 4, 20, 16, 6, 16]
        objects.append({"id": number, "image_id": number, "category_id": 1, "segmentation": [box], "iscrowd": 0})
    document = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "box"}]}
    (root / "instances.json").write_text(json.dumps(document))
    return read_dataset(root)


def test_outlines_on_the_stored_pixels(tmp_path: Path) -> None:
    data = outlined(tmp_path, [6, 1, 3], [STORED] * 3)
    assert data.reading == Reading(upright=False)
    assert [fault for fault in kinds(data) if fault[0] != "near-duplicate"] == [("read-as-stored", "note")]
    assert agreement(data) > 0.99


def test_outlines_that_disagree_about_turning(tmp_path: Path) -> None:
    data = outlined(tmp_path, [6, 6], [STORED, STORED[::-1]])
    assert data.reading == Reading()
    assert ("size-mismatch", "error") in kinds(data)


@pytest.mark.parametrize("turns", [[6, 6, 6], [8, 1, 3], [5, 7, 2, 4]])
def test_masks_that_fit_the_stored_pixels_are_read_with_them(tmp_path: Path, turns: list[int]) -> None:
    data = dataset(tmp_path, turns, upright=[False] * len(turns))
    assert data.reading == Reading(upright=False)
    assert kinds(data) == [("read-as-stored", "note")]
    assert agreement(data) == 1.0


@pytest.mark.parametrize("turns", [[6, 6, 6], [8, 1, 3], [5, 7, 2, 4]])
def test_masks_that_fit_the_upright_image_need_no_word(tmp_path: Path, turns: list[int]) -> None:
    data = dataset(tmp_path, turns, upright=[True] * len(turns))
    assert data.reading == Reading()
    assert kinds(data) == []
    assert agreement(data) == 1.0


def test_mixed_habits_leave_the_odd_ones_out_by_name(tmp_path: Path) -> None:
    data = dataset(tmp_path, [6, 6, 8], upright=[True, False, True])
    assert data.reading == Reading()
    (fault,) = survey(data).dataset.faults
    assert (fault.kind, fault.path.name) == ("size-mismatch", "1.png")
    assert "after its EXIF orientation is applied" in fault.message
    assert "or remove the EXIF orientation without turning the pixels of the image" in fault.cure
    image = tmp_path / "images" / "1.jpg"
    with Image.open(image) as picture:
        stored = picture.copy()
    stored.save(image, quality=95, exif=Image.Exif())
    cured = read_dataset(tmp_path)
    assert len(survey(cured).dataset.records) == 3
    assert agreement(cured) > 0.99


@pytest.mark.parametrize(("turns", "stored"), [([3, 3, 1], STORED), ([2, 4, 1], STORED), ([6, 8, 1], (40, 40))])
def test_what_the_sizes_cannot_tell_is_said(tmp_path: Path, turns: list[int], stored: tuple[int, int]) -> None:
    data = dataset(tmp_path, turns, upright=[True] * 3, stored=stored)
    assert data.reading == Reading()
    assert kinds(data) == [("unclear-orientation", "warning")]
    assert "2 images are turned" in data.faults[0].message
    assert agreement(data) == 1.0


def test_images_without_a_turn_are_nobody_s_concern(tmp_path: Path) -> None:
    data = dataset(tmp_path, [1, 1, 1], upright=[True] * 3)
    assert data.reading == Reading()
    assert data.faults == ()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_the_orientation_and_both_sizes_come_from_the_header(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (*STORED, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    stored = ImageRef(tmp_path / name, reading=Reading(upright=False))
    assert image_orientation(tmp_path / name) == 6
    assert image_size(tmp_path / name) == read_image(tmp_path / name).shape[:2] == STORED[::-1]
    assert image_size(stored) == read_image(stored).shape[:2] == STORED
    np.testing.assert_array_equal(np.rot90(read_image(stored), -1), read_image(tmp_path / name))


@pytest.mark.parametrize("options", [{"byteorder": ">"}, {"byteorder": "<"}, {"bigtiff": True}])
def test_the_orientation_of_any_tiff(tmp_path: Path, options: dict[str, object]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(STORED, np.uint8), extratags=[(274, "H", 1, 8, True)], **options)
    assert image_orientation(tmp_path / "a.tif") == 8
    assert image_size(tmp_path / "a.tif") == STORED[::-1]
