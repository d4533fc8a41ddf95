"""Several mask files an image: a folder, a name's end or a file name a class, or a file an object."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.layouts import SIZE, palette_mask, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_label, read_objects
from maskwright.data.readers import DecodeError


def block(top, left, bottom, right, value=255):
    mask = np.zeros(SIZE, np.uint8)
    mask[top:bottom, left:right] = value
    return mask


NUT, BOLT = block(0, 0, 2, 4), block(3, 2, 6, 5)
BOTH = (NUT // 255 + BOLT // 255 * 2).astype(np.uint8)


def write_images(root, names, prefix="images/"):
    for seed, name in enumerate(names):
        photo(root / f"{prefix}{name}.jpg", seed)


def read(root, options=None):
    dataset = read_dataset(root, options)
    assert dataset.format == "layers"
    return dataset, [read_label(dataset, record, SIZE) for record in dataset.records]


ARRANGEMENTS = {
    "one folder per class": ("images/{n}.jpg", "masks/{c}/{n}.png"),
    "a class in the name": ("images/{s}/{n}.jpg", "masks/{s}/{n}_{c}.png"),
    "a class in folder and name": ("images/{n}.jpg", "masks/{c}/{n}_{c}.png"),
    "a class as the name, in a folder an image": ("{n}/images/x{n}.jpg", "{n}/masks/{c}.png"),
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_classes(tmp_path, name):
    image, mask = ARRANGEMENTS[name]
    for number, split in enumerate(["train", "train", "val"]):
        photo(tmp_path / image.format(n=number, s=split), number)
        for shown, word in ((NUT, "nut"), (BOLT, "bolt")):
            write(tmp_path / mask.format(n=number, s=split, c=word), shown)
    dataset, found = read(tmp_path)
    assert dataset.classes.names == ("background", "bolt", "nut")
    assert dataset.faults == ()
    assert all(label.tolist() == np.array([0, 2, 1])[BOTH].tolist() for label in found)
    splits = [record.split for record in dataset.records]
    assert splits == (["train", "train", "val"] if "{s}" in image else [None] * 3)
    assert list(read_objects(dataset, dataset.records[0], SIZE)) == []


def folders(root, nut=NUT, bolt=BOLT, count=3):
    write_images(root, range(count))
    for number in range(count):
        write(root / f"masks/nut/{number}.png", nut)
        write(root / f"masks/bolt/{number}.png", bolt)
    return root


def test_an_image_without_any_mask_is_an_error(tmp_path):
    folders(tmp_path)
    photo(tmp_path / "images/9.jpg")
    (fault,) = read(tmp_path)[0].faults
    assert (fault.kind, fault.severity, fault.path.name) == ("unpaired", "error", "9.jpg")


@pytest.mark.parametrize(
    ("lost", "words"), [([1], "(images/1.jpg) has"), ([1, 3], "(such as images/1.jpg) have"), ([0, 1, 3], "")]
)
def test_an_image_without_the_mask_of_a_class_is_reported_and_the_cure_works(tmp_path, lost, words):
    folders(tmp_path, count=4)
    for number in lost:
        (tmp_path / f"masks/bolt/{number}.png").unlink()
    dataset, found = read(tmp_path)
    assert [(fault.kind, fault.severity) for fault in dataset.faults] == [("missing-mask", "warning")] * bool(words)
    assert [bool((label == 1).any()) for label in found] == [number not in lost for number in range(4)]
    for fault in dataset.faults:
        assert fault.path == tmp_path / "masks/bolt"
        assert f"{len(lost)} of 4 images {words} no mask of 'bolt' like masks/bolt/0.png, and " in fault.message
        assert fault.cure.endswith("save an all-zero mask")
        for number in lost:
            write(tmp_path / f"masks/bolt/{number}.png", 0 * BOLT)
        assert read(tmp_path)[0].faults == ()


def test_conventions_may_differ_within_a_class(tmp_path):
    folders(tmp_path)
    write(tmp_path / "masks/nut/1.png", NUT // 255)
    dataset, found = read(tmp_path)
    assert [fault.kind for fault in dataset.faults] == ["two-conventions"]
    assert [label.tolist() for label in found] == [np.array([0, 2, 1])[BOTH].tolist()] * 3


def test_colors_of_classes(tmp_path):
    folders(tmp_path, np.dstack([NUT, 0 * NUT, 0 * NUT]), np.dstack([0 * BOLT, BOLT, BOLT]))
    assert read(tmp_path)[1][0].tolist() == np.array([0, 2, 1])[BOTH].tolist()


def test_a_table_gives_order_and_further_names(tmp_path):
    folders(tmp_path)
    (tmp_path / "classes.txt").write_text("background\nnut\nscrew\nbolt\n")
    dataset, found = read(tmp_path)
    assert dataset.classes.names == ("background", "nut", "screw", "bolt")
    assert found[0].tolist() == np.array([0, 1, 3])[BOTH].tolist()


def test_a_table_of_the_user_must_name_each_class(tmp_path):
    folders(tmp_path)
    table = tmp_path / "mine.txt"
    table.write_text("background\nnut\n")
    with pytest.raises(MaskwrightError, match="does not name 'bolt', for which there are masks: add the name"):
        read(tmp_path, ReadOptions(classes=table))
    table.write_text("background\nnut\nbolt\n")
    assert read(tmp_path, ReadOptions(classes=table))[0].classes.names == ("background", "nut", "bolt")


def test_a_folder_of_what_to_ignore(tmp_path):
    write_images(tmp_path, range(2))
    for number in range(2):
        for word, mask in (("nut", NUT), ("bolt", BOLT), ("ignore", block(0, 0, 6, 8))):
            write(tmp_path / f"masks/{word}/{number}.png", mask)
    dataset, found = read(tmp_path)
    assert dataset.classes.names == ("background", "bolt", "nut")
    assert found[0].tolist() == np.array([IGNORE, 2, 1])[BOTH].tolist()


def test_two_annotators_are_told(tmp_path):
    write_images(tmp_path, range(2))
    for number in range(2):
        for word in ("anna", "bert"):
            write(tmp_path / f"masks/{word}/{number}.png", NUT)
    (fault,) = read(tmp_path)[0].faults
    assert "if the folders hold several annotations of the same objects" in fault.cure


def objects(root, folder, names):
    for number in range(3):
        photo(root / folder.format(n=number) / "images" / f"{number}.png", number)
        for name, mask in zip(names, (NUT, BOLT), strict=True):
            write(root / folder.format(n=number) / "masks" / f"{name.format(n=number)}.png", mask)


@pytest.mark.parametrize(
    ("folder", "names"),
    [("stage1_train/id{n}", ["a{n}f3", "b7{n}c"]), ("id{n}", ["mask_1", "mask_2"]), ("id{n}", ["{n}_0", "{n}_1"])],
)
def test_objects(tmp_path, folder, names):
    objects(tmp_path, folder, names)
    dataset, found = read(tmp_path)
    assert dataset.classes.names == ("background", "object")
    assert found[0].tolist() == (BOTH > 0).tolist()
    assert sorted(entry.area for entry in read_objects(dataset, dataset.records[0], SIZE)) == [8, 9]


def test_objects_that_touch_stay_two(tmp_path):
    objects(tmp_path, "id{n}", ["first", "second"])
    for number in range(3):
        for name, mask in (("first", block(0, 0, 3, 8)), ("second", block(2, 0, 6, 8))):
            (tmp_path / f"id{number}/masks/{name}.png").unlink()
            write(tmp_path / f"id{number}/masks/{number}{name}.png", mask)
    dataset, found = read(tmp_path)
    assert found[0].min() == 1
    assert sorted(entry.area for entry in read_objects(dataset, dataset.records[0], SIZE)) == [24, 32]


def test_a_mask_of_another_size_is_named(tmp_path):
    folders(tmp_path)
    write(tmp_path / "masks/nut/0.png", np.zeros((3, 3), np.uint8))
    dataset = read_dataset(tmp_path)
    with pytest.raises(MaskwrightError, match=r"masks/nut/0\.png is 3x3 pixels, but its image 0\.jpg is 8x6"):
        read_label(dataset, dataset.records[0], SIZE)


def test_an_unexplained_255_is_an_error_and_not_ignored(tmp_path):
    folders(tmp_path, NUT // 255, BOLT // 255, count=300)
    write(tmp_path / "masks/nut/4.png", NUT)  # outside the sample of masks
    dataset = read_dataset(tmp_path)
    (record,) = (record for record in dataset.records if record.id == "images/4.jpg")
    with pytest.raises(DecodeError, match="255"):
        read_label(dataset, record, SIZE)


@pytest.mark.parametrize(
    ("pattern", "first", "second", "parts"),
    [
        ("masks/{c}/{n}.png", "masks/nut/0_left.png", "masks/nut/0_right.png", "masks/nut/0_left_mask_{}.png"),
        ("masks/{c}/{n}.png", "masks/nut/0.png", "masks/nut/0_2.png", "masks/nut/0_mask_{}.png"),
        ("masks/{n}_{c}.png", "masks/0_nut.png", "masks/0_nut_2.png", "masks/0_nut_mask_{}.png"),
    ],
)
def test_two_masks_of_one_class_are_in_doubt_and_never_background(tmp_path, pattern, first, second, parts):
    write_images(tmp_path, range(3))
    for number in range(3):
        for shown, word in ((NUT, "nut"), (BOLT, "bolt")):
            write(tmp_path / pattern.format(n=number, c=word), shown)
    (tmp_path / pattern.format(n=0, c="nut")).unlink()
    write(tmp_path / first, block(0, 0, 2, 2))
    write(tmp_path / second, block(0, 2, 2, 4))
    dataset, found = read(tmp_path)
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path.name, len(found)) == ("ambiguous", "error", "0.jpg", 2)
    for number, path in enumerate((first, second), start=1):
        assert parts.format(number).rpartition("/")[2][:-4] in fault.cure
        (tmp_path / path).rename(tmp_path / parts.format(number))
    dataset, found = read(tmp_path)
    assert dataset.faults == ()
    assert [label.tolist() for label in found] == [np.array([0, 2, 1])[BOTH].tolist()] * 3


def test_nothing_but_doubts_is_an_error(tmp_path):
    write_images(tmp_path, range(2))
    for number in range(2):
        for name in ("nut/{}", "nut/{}_2", "bolt/{}"):
            write(tmp_path / f"masks/{name.format(number)}.png", NUT)
    with pytest.raises(
        MaskwrightError, match=r"nut/0.png and masks/nut/0_2.png; it is unclear whether they belong together"
    ):
        read_dataset(tmp_path)


def palettes(root, bolt):
    for number in range(3):
        photo(root / "images" / f"{number}.jpg", number)
        palette_mask(root / "masks" / "nut" / f"{number}.png", NUT // 255, [(0, 0, 0), (200, 0, 0)])
        palette_mask(root / "masks" / "bolt" / f"{number}.png", BOLT // 255, bolt)
    return root


def test_palettes_that_swap_class_and_background_are_refused(tmp_path):
    palettes(tmp_path, [(200, 0, 0), (0, 0, 0)])
    with pytest.raises(MaskwrightError, match="is background in the masks of one class, and not in those of another"):
        read_dataset(tmp_path)
    _, found = read(palettes(tmp_path, [(0, 0, 0), (0, 200, 0)]))
    assert [label.tolist() for label in found] == [np.array([0, 2, 1])[BOTH].tolist()] * 3


def test_a_mask_whose_palette_differs_from_those_that_were_looked_at(tmp_path):
    dataset = read_dataset(palettes(tmp_path, [(0, 0, 0), (0, 200, 0)]))
    palette_mask(tmp_path / "masks" / "bolt" / "1.png", BOLT // 255, [(0, 200, 0), (0, 0, 0)])
    with pytest.raises(DecodeError, match=r"shows the value 0 in the colour 0,200,0.*save it with the values of the"):
        read_label(dataset, dataset.records[1], SIZE)


@pytest.mark.parametrize("masks", [("masks/nut/{n}.npy", "masks/bolt/{n}.npy"), ("{n}_mask.npy", "{n}_mask_1.npy")])
def test_one_file_of_measured_values_is_read_for_each_image(tmp_path, masks):
    for number in range(3):
        photo(tmp_path / ("images" if "/" in masks[0] else "") / f"{number}.jpg", number)
        for mask in masks:
            write(tmp_path / mask.format(n=number), np.full(SIZE, 0.5, np.float32))
    with pytest.raises(MaskwrightError, match=r"has 2 files of measured values .*channels of one TIFF"):
        read_dataset(tmp_path, ReadOptions(values=True))


def test_a_class_whose_masks_are_inverted_is_named_and_the_cure_works(tmp_path):
    """Its rim may be cut by an object; a class that leaves the others out, or half of the rim, is not inverted."""
    folders(tmp_path, nut=255 - NUT[::-1])
    kinds = {fault.kind: fault.message for fault in read(tmp_path)[0].faults}
    assert kinds.keys() == {"overlap", "inverted-masks"}
    assert "in 3 of 3 images looked at, 'nut' fills most of the image and of its rim" in kinds["inverted-masks"]
    folders(tmp_path, nut=block(4, 0, 6, 2))  # the cure
    assert read(tmp_path)[0].faults == ()
    folders(tmp_path, nut=255 - BOLT)
    assert read(tmp_path)[0].faults == ()
    folders(tmp_path, nut=block(1, 1, 6, 7))
    assert [fault.kind for fault in read(tmp_path)[0].faults] == ["overlap"]
