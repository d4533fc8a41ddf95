"""One mask file per object: files that show something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tests.data.layouts import photo, write

from maskwright.data.fingerprint import fingerprint
from maskwright.data.formats import read_dataset
from maskwright.data.survey import survey

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.fingerprint import Fingerprint

SIZE = (24, 40)


def disc(place: int) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.asarray(np.hypot(rows - 12, columns - 7 - 12 * place) < 5)


def tree(root: Path, images: int = 5) -> Path:
    for number in range(images):
        photo(root / f"case{number}" / "images" / f"case{number}.png", number, SIZE)
        for place in range(3):
            write(root / f"case{number}" / "masks" / f"{'xyz'[place]}{number}f.png", disc(place).astype(np.uint8) * 255)
    return root


def found(root: Path) -> Fingerprint:
    return fingerprint(survey(read_dataset(root)))


def test_files_that_show_one_object_each(tmp_path):
    result = found(tree(tmp_path))
    assert result.faults == ()
    assert result.objects is not None
    assert result.objects.objects == 15


def test_one_file_for_all_objects_of_an_image(tmp_path):
    masks = tree(tmp_path) / "case3" / "masks"
    for path in masks.iterdir():
        path.unlink()
    write(masks / "all.png", (disc(0) | disc(1) | disc(2)).astype(np.uint8) * 255)
    (fault,) = found(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path.name) == ("one-id", "warning", "all.png")
    assert fault.message.startswith("1 mask file shows several regions, alone for its image, where other images have")


def test_lossy_files_are_told(tmp_path):
    path = tree(tmp_path) / "case3" / "masks" / "x3f.png"
    Image.fromarray(disc(0).astype(np.uint8) * 255).save(path, "JPEG", quality=95)
    (fault,) = found(tmp_path).faults
    assert (fault.kind, fault.severity) == ("jpeg-mask", "warning")
    assert fault.message.startswith("1 of 15 masks is lossily compressed (JPEG or WebP), x3f.png")


def test_a_map_of_ids_among_the_files(tmp_path):
    path = tree(tmp_path, 30) / "case3" / "masks" / "x3f.png"  # with few files it would be another error
    write(path, (disc(0) + 2 * disc(1) + 3 * disc(2)).astype(np.uint8))
    result = found(tmp_path)
    assert result.images == 29
    (fault,) = [fault for fault in result.faults if fault.severity == "error"]
    assert (fault.kind, fault.path) == ("other-convention", path)
    assert "holds the ids 1 to 3, but a mask file shows one object, as the other files do" in fault.message
    assert "save a file for each of them" in fault.cure


def test_two_images_in_the_folder_of_one(tmp_path):
    other = tree(tmp_path) / "case3" / "images" / "other.png"
    photo(other, 9, SIZE)
    result = found(tmp_path)
    assert result.images == 4
    (fault,) = result.faults
    assert (fault.kind, fault.severity) == ("ambiguous", "error")
    assert fault.message == (
        "3 masks in case3/masks/ fit case3/images/case3.png and case3/images/other.png by the folder; it is unclear "
        "which is shown, so none is used"
    )
    other.unlink()  # the cure
    assert found(tmp_path).faults == ()
