"""Two folders with equal names, of which no name tells the masks: the pictures tell, or nothing is read."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.drawings import GROUND, ONE, SIDE, TWO, counts, drawn
from tests.data.layouts import photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import images_of, read_dataset

FOUND = {"class-0": 5 * GROUND, "class-1": 5 * ONE, "class-2": 5 * TWO}
COLORS = np.array([(0, 0, 0), (200, 0, 0), (0, 128, 255)], np.uint8)
LAYOUTS = {
    "equal names": ("x/{}.png", "y/{}.png"),
    "the other order": ("y/{}.png", "x/{}.png"),
    "one folder named": ("images/{}.png", "Masks of images/{}.png"),
    "a suffix": ("stare-images/im{}.ppm", "labels-ah/im{}.ah.ppm"),
    "CamVid": ("701_StillsRaw_full/0001TP_{}.png", "LabeledApproved_full/0001TP_{}_L.png"),
    "ISPRS": ("top/top_{}.tif", "gts_for_participants/top_{}.tif"),
}


def build(root, image, mask, masks=None):
    for number, drawing in enumerate(masks or map(drawn, range(5))):
        photo(root / image.format(number), number, (SIDE, SIDE))
        write(root / mask.format(number), drawing)
    return root


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_the_pictures_hold_tells_the_masks(tmp_path, name):
    image, mask = LAYOUTS[name]
    build(tmp_path, image, mask)
    assert counts(tmp_path) == FOUND
    dataset = read_dataset(tmp_path)
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path) == ("found-masks", "note", (tmp_path / mask).parent)
    files = sorted(tmp_path.glob("*/*"))
    assert images_of(tmp_path, files) == sorted(tmp_path.glob(image.format("*")))

    for old, new in ((mask, "masks"), (image, "images")):  # the cure
        (tmp_path / old).parent.rename(tmp_path / new)
    assert (read_dataset(tmp_path).faults, counts(tmp_path)) == ((), FOUND)


def test_splits_and_images_without_a_mask(tmp_path):
    splits = ("train", "train", "train", "val", "val")
    for number, split in enumerate(splits):
        photo(tmp_path / f"a/{split}/{number}.png", number, (SIDE, SIDE))
        write(tmp_path / f"b/{split}/{number}.png", COLORS[drawn(number)])
    photo(tmp_path / "a/train/9.png", 9, (SIDE, SIDE))
    dataset = read_dataset(tmp_path)
    pairs = [(record.image.path.stem, record.annotation.path.stem, record.split) for record in dataset.records]
    assert pairs == [(str(number), str(number), split) for number, split in enumerate(splits)]
    found = [(fault.kind, fault.path.name) for fault in dataset.faults]
    assert found == [("unpaired", "9.png"), ("found-masks", "train")]


def noisy(number):
    return np.random.default_rng(number).integers(0, 100, (SIDE, SIDE), dtype=np.uint8)


@pytest.mark.parametrize(
    ("mask", "masks"),
    [
        ("y/{}.png", [*map(drawn, range(4)), noisy(4)]),
        ("y/{}.png", [*map(drawn, range(4)), drawn(4)[:-1]]),
        ("y/{}.png", [*map(drawn, range(2))]),
        ("y/{}.jpg", [*map(drawn, range(5))]),
        ("y/{}th.png", [*map(drawn, range(5))]),
    ],
    ids=["one is no mask", "one of another size", "too few", "with loss", "other names"],
)
def test_where_pictures_leave_doubt_nothing_is_read(tmp_path, mask, masks):
    build(tmp_path, "x/{}.png", mask, masks)
    if "th" in mask:
        (tmp_path / "y/0th.png").rename(tmp_path / "y/unlike.png")
    files = sorted(tmp_path.glob("*/*"))
    with pytest.raises(MaskwrightError, match=r"images but no masks: put the masks in a folder masks/"):
        read_dataset(tmp_path)
    assert images_of(tmp_path, files) == files


def test_two_folders_of_masks_tell_nothing(tmp_path):
    for number in range(5):
        for folder in "xy":
            write(tmp_path / folder / f"{number}.png", drawn(number))
    with pytest.raises(MaskwrightError, match=r"10 images but no masks"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("way", [("images/10k", "labels/sem_seg"), ("images", ".")])
def test_maps_in_colours_beside_masks_of_ids(tmp_path, way):
    images, labels = way
    build(tmp_path, f"{images}/train/{{}}.jpg", f"{labels}/masks/train/{{}}.png")
    for number in range(5):
        write(tmp_path / labels / f"colormaps/train/{number}.png", COLORS[drawn(number)])
    assert counts(tmp_path) == FOUND
    assert [(fault.kind, fault.severity) for fault in read_dataset(tmp_path).faults] == [("unused", "note")]


@pytest.mark.parametrize("name", ["{}", "cell {}a", "Cell_{}"])
def test_masks_that_fiji_names(tmp_path, name):
    build(tmp_path, name + ".tif", f"Mask of {name}.tif")
    assert counts(tmp_path) == FOUND
    assert read_dataset(tmp_path).faults == ()
