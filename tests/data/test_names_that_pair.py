"""Which mask belongs to which image: the strictest rule first, nothing in doubt, nothing passed over without a word."""

from __future__ import annotations

import shutil
import unicodedata

import numpy as np
import pytest
from tests.data.layouts import SIZE, labels, pairs, photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label, read_pair


def paired(root):
    """Return image -> masks, both below the root, of a data set without any fault but notes."""
    dataset = read_dataset(root)
    assert not [fault for fault in dataset.faults if fault.severity != "note"]
    found = {}
    for record in dataset.records:
        layers = getattr(record.annotation, "layers", None)
        files = [layer.mask.path for layer in layers] if layers else [record.annotation.path]
        found[record.id] = [path.relative_to(root).as_posix() for path in files]
    return found


def sides(root, images, masks):
    for seed, name in enumerate(images):
        photo(root / name, seed)
    for name in masks:
        write(root / name, labels([0, 1, 2]))


# Images, and the masks of each.
SOUND = {
    "the whole name comes first": {"images/a.png": ["masks/a.png.png"], "images/a.tif": ["masks/a.tif.png"]},
    "case tells two images apart": {"images/A1.png": ["masks/A1.png"], "images/a1.png": ["masks/a1.png"]},
    "case differs": {"images/PLATE_1.JPG": ["masks/plate_1.png"], "images/Plate_2.jpg": ["masks/plate_2.png"]},
    "Unicode forms differ": {
        f"images/{unicodedata.normalize('NFC', 'Bäume')}_1.jpg": [
            f"masks/{unicodedata.normalize('NFD', 'Bäume')}_1.png"
        ]
    },
    "a number is part of the name": {"images/s_1.png": ["masks/s_1.png"], "images/s_1_1.png": ["masks/s_1_1.png"]},
    "numbers with zeros before": {"images/7.png": ["masks/007.png"], "images/12.png": ["masks/012.png"]},
    "second masks": {"x (1).png": ["x (1)_mask.png", "x (1)_mask_1.png"], "x (2).png": ["x (2)_mask.png"]},
    "second masks in a folder": {
        "images/x.jpg": ["masks/x_mask.png", "masks/x_mask_1.png"],
        "images/y 1.jpg": ["masks/y 1_label.png", "masks/y 1_label_0.png", "masks/y 1_label_1.png"],
        "images/z.jpg": ["masks/z_mask.png"],
    },
    "images and masks are numbered": {
        "images/x.jpg": ["masks/x_mask.png"],
        "images/x_1.jpg": ["masks/x_mask_1.png"],
    },
    "numbered masks": {"x.jpg": ["x_mask_0.png", "x_mask_1.png"], "y.jpg": ["y_mask_0.png"]},
    "the number is that of the image": {"scan_1.png": ["scan_mask_1.png"], "scan_2.png": ["scan_mask_2.png"]},
    "the objects are masks": {
        "images/face_mask_1.jpg": ["masks/face_mask_1.png"],
        "images/mask_02_1.jpg": ["masks/mask_02_1.png"],
    },
    "folders are sites": {"images/north/0.png": ["masks/north/0.png"], "images/south/0.png": ["masks/south/0.png"]},
    "mmsegmentation's end of a name": {"img_dir/train/a.jpg": ["ann_dir/train/a_labelTrainIds.png"]},
    "numbered folders": {"1. Original Images/a.jpg": ["2. Groundtruths/a.png"]},
}


@pytest.mark.parametrize("case", SOUND)
def test_names_that_pair(tmp_path, case):
    wanted = SOUND[case]
    sides(tmp_path, wanted, [mask for masks in wanted.values() for mask in masks])
    assert paired(tmp_path) == wanted


def test_a_numbered_mask_named_like_an_image_is_no_second_mask(tmp_path):
    names = ["face_mask", "face_mask_1"]
    sides(tmp_path, [f"images/{name}.jpg" for name in names], [f"masks/{name}.png" for name in names])
    with pytest.raises(MaskwrightError, match="it is unclear which one is right"):
        read_dataset(tmp_path)


def test_classes_that_overlap_in_second_masks_are_told(tmp_path):
    first, second = labels([1]), labels([0, 2])
    photo(tmp_path / "a.png")
    write(tmp_path / "a_mask.png", first)
    write(tmp_path / "a_mask_1.png", second)
    dataset = read_dataset(tmp_path)
    assert read_label(dataset, dataset.records[0], SIZE).tolist() == labels([1, 2]).tolist()
    assert [fault.kind for fault in dataset.faults] == ["overlap"]
    assert "in 50.0% of the pixels" in dataset.faults[0].message


# ---------------------------------------------------------------- folders that are passed over


def retina(root, other):
    """Write images, masks of a round field of view, and perhaps what is to be learnt."""
    rows, columns = np.mgrid[:40, :48]
    view = ((rows - 20) ** 2 + (columns - 24) ** 2 < 19.5**2).astype(np.uint8) * 255
    for number in range(6):
        photo(root / f"images/{number}.png", number, (40, 48))
        write(root / f"mask/{number}.png", view)
        if other:
            vessels = np.zeros((40, 48), np.uint8)
            vessels[5 + 4 * number : 9 + 4 * number, 10:30] = 255
            write(root / f"{other}/{number}.png", vessels)


def test_pictures_in_folders_of_other_names_are_a_warning_and_the_cure_works(tmp_path):
    retina(tmp_path, "vessels")
    faults = {fault.kind: fault for fault in read_dataset(tmp_path).faults}
    assert "6 pictures in vessels/ are not used" in faults["unused"].message
    assert "labels/" in faults["field-of-view"].cure
    (tmp_path / "vessels").rename(tmp_path / "labels")
    assert {record.annotation.path.parent.name for record in read_dataset(tmp_path).records} == {"labels"}


def test_a_scene_that_stays_the_same_is_no_field_of_view(tmp_path):
    assert read_dataset(pairs(tmp_path, [0, 0, 1], count=6)).faults == ()


def test_a_second_kind_of_masks_is_named(tmp_path):
    pairs(tmp_path, [0, 1])
    shutil.copytree(tmp_path / "masks", tmp_path / "labels")
    dataset = read_dataset(tmp_path)
    assert {record.annotation.path.parent.name for record in dataset.records} == {"masks"}
    (fault,) = dataset.faults
    assert (fault.kind, fault.path.name) == ("unused", "labels")


def test_transparency_without_masks_is_named(tmp_path):
    cut_out = np.zeros((*SIZE, 4), np.uint8)
    cut_out[:2, :, 3] = 255
    write(tmp_path / "a.png", cut_out)
    with pytest.raises(MaskwrightError, match=r"if their transparency is the mask, use `read[.]format` alpha"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("folders", [("", ""), ("images/", "masks/"), ("images/", "")])
@pytest.mark.parametrize("observers", [("1stHO", "2ndHO"), ("manual1", "manual2"), ("labelIds", "labelTrainIds")])
def test_the_first_of_two_versions_of_masks_is_used(tmp_path, folders, observers):
    images, masks = folders
    for number in range(4):
        name = f"Image_{number:02}L"
        photo(tmp_path / f"{images}{name}.jpg", number)
        write(tmp_path / f"{masks}{name}_{observers[0]}.png", np.roll(labels([0, 0, 0, 255]), number, axis=1))
        write(tmp_path / f"{masks}{name}_{observers[1]}.png", np.roll(labels([0, 255]), number, axis=1))
    if folders == ("images/", ""):
        for mask in tmp_path.glob("*.png"):
            mask.rename(tmp_path / "images" / mask.name)
    dataset = read_dataset(tmp_path)
    assert len(dataset.records) == 4
    for record in dataset.records:
        assert record.annotation.path.stem.endswith(observers[0])
        assert (read_pair(dataset, record)[1] == 1).sum() == 12
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("unused", "note")
    assert fault.message == f"4 masks of another version, such as Image_00L_{observers[1]}.png, are not used"
    for mask in tmp_path.rglob(f"*_{observers[0]}.png"):
        mask.unlink()
    dataset = read_dataset(tmp_path)
    assert (read_pair(dataset, dataset.records[0])[1] == 1).sum() == 24
