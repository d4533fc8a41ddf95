"""Which mask is that of which image: the exact name first, nothing in doubt, nothing passed over without a word."""

from __future__ import annotations

import os
import unicodedata

import numpy as np
import pytest
from tests.data.layouts import SIZE, labels, pairs, photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.formats.walk import images_below
from maskwright.data.labels import read_pair

MASK = labels([0, 1])
COLORS = np.array([(9, 0, 0), (0, 9, 9), (7, 0, 1)], np.uint8)


def partners(root) -> dict[str, str]:
    dataset = read_dataset(root)
    return {record.id: record.annotation.path.relative_to(root).as_posix() for record in dataset.records}


def touch_pair(root, image, mask):
    photo(root / image)
    write(root / mask, MASK)


# ---------------------------------------------------------------- doubt


def test_the_whole_name_counts_before_the_stem(tmp_path):
    for stem in ("s0", "s1"):
        touch_pair(tmp_path, f"images/{stem}.png", f"masks/{stem}.png.png")
        touch_pair(tmp_path, f"images/{stem}.jpg", f"masks/{stem}.jpg.png")
    assert partners(tmp_path) == {
        f"images/{name}": f"masks/{name}.png" for name in ("s0.jpg", "s0.png", "s1.jpg", "s1.png")
    }


def test_one_mask_that_fits_two_images_is_an_error_and_the_cure_works(tmp_path):
    pairs(tmp_path, [0, 1])
    photo(tmp_path / "images" / "00.png", 9)
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["images/01.jpg", "images/02.jpg"]
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("ambiguous", "error")
    assert fault.message.startswith("masks/00.png fits images/00.jpg and images/00.png by name")
    assert "such as 00.jpg.png" in fault.cure
    (tmp_path / "masks" / "00.png").rename(tmp_path / "masks" / "00.jpg.png")
    assert partners(tmp_path)["images/00.jpg"] == "masks/00.jpg.png"
    assert [fault.message for fault in read_dataset(tmp_path).faults] == ["images/00.png has no mask"]


@pytest.mark.parametrize("second", ["00.bmp", "00_1.png"])
def test_two_masks_of_one_image_are_an_error_and_the_cure_works(tmp_path, second):
    pairs(tmp_path, [0, 255])
    shown = np.zeros(SIZE, np.uint8)
    shown[:, 0] = 255
    write(tmp_path / "masks" / second, shown)
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["images/01.jpg", "images/02.jpg"]
    (fault,) = dataset.faults
    assert fault.severity == "error"
    assert "images/00.jpg has 2 masks" in fault.message
    (tmp_path / "masks" / "00.png").rename(tmp_path / "masks" / "00_mask_1.png")
    (tmp_path / "masks" / second).rename(tmp_path / "masks" / f"00_mask_2{second[-4:]}")
    dataset = read_dataset(tmp_path)
    assert (len(dataset.records), dataset.faults) == (3, ())
    assert np.count_nonzero(read_pair(dataset, dataset.records[0])[1]) == 24 + 6  # every other column, and the first


def test_where_everything_is_in_doubt_the_message_says_why(tmp_path):
    touch_pair(tmp_path, "images/a.jpg", "masks/a.png")
    write(tmp_path / "masks" / "a.bmp", MASK)
    with pytest.raises(MaskwrightError, match=r"images/a\.jpg has 2 masks: .* keep one mask"):
        read_dataset(tmp_path)


def test_numbers_of_images_are_no_numbers_of_masks(tmp_path):
    for number in range(3):
        touch_pair(tmp_path, f"scan_{number}.png", f"scan_mask_{number}.png")
    assert partners(tmp_path) == {f"scan_{number}.png": f"scan_mask_{number}.png" for number in range(3)}


# ---------------------------------------------------------------- names that look alike


def test_unicode_forms_and_case_pair_with_a_note(tmp_path):
    for number in range(2):
        name = f"Bäume für José {number}"
        touch_pair(
            tmp_path,
            f"images/{unicodedata.normalize('NFC', name)}.jpg",
            f"masks/{unicodedata.normalize('NFD', name)}.png",
        )
        touch_pair(tmp_path, f"images/DSC_{number}.JPG", f"masks/dsc_{number}.png")
    dataset = read_dataset(tmp_path)
    assert len(dataset.records) == 4
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("alike", "note")
    assert fault.message.startswith("4 pairs have names that differ in case or in the form of their letters")


def test_names_that_differ_in_case_alone_pair_exactly_or_not_at_all(tmp_path):
    touch_pair(tmp_path, "images/A.jpg", "masks/A.png")
    touch_pair(tmp_path, "images/a.jpg", "masks/a.png")
    if len(images_below(tmp_path)) < 4:
        pytest.skip("the file system does not tell case apart")
    assert partners(tmp_path) == {"images/A.jpg": "masks/A.png", "images/a.jpg": "masks/a.png"}
    (tmp_path / "masks" / "A.png").rename(tmp_path / "masks" / "b.png")
    assert partners(tmp_path) == {"images/a.jpg": "masks/a.png"}


def test_names_that_are_no_utf8_are_read(tmp_path):
    pairs(tmp_path, [0, 1], 1)
    for folder, suffix in ((b"images", b".jpg"), (b"masks", b".png")):
        root = os.path.join(os.fsencode(tmp_path), folder)  # noqa: PTH118 - bytes are no Path
        try:
            os.rename(os.path.join(root, b"00" + suffix), os.path.join(root, b"caf\xe9" + suffix))  # noqa: PTH104, PTH118
        except OSError:
            pytest.skip("the file system takes UTF-8 only")
    dataset = read_dataset(tmp_path)
    assert [os.fsencode(record.id) for record in dataset.records] == [b"images/caf\xe9.jpg"]
    assert read_pair(dataset, dataset.records[0])[1].shape == SIZE


# ---------------------------------------------------------------- what is passed over


def test_thumbnails_of_network_drives_are_no_images(tmp_path):
    pairs(tmp_path, [0, 1])
    for folder in ("images", "masks"):
        photo(tmp_path / folder / "@eaDir" / "00.jpg" / "SYNOPHOTO_THUMB_M.jpg")
        photo(tmp_path / folder / "._00.jpg")
    dataset = read_dataset(tmp_path)
    assert (len(dataset.records), dataset.faults) == (3, ())


def test_a_broken_link_fails_its_pair_with_a_reason(tmp_path):
    pairs(tmp_path, [0, 1])
    (tmp_path / "masks" / "01.png").unlink()
    (tmp_path / "masks" / "01.png").symlink_to(tmp_path / "gone.png")
    dataset = read_dataset(tmp_path)
    with pytest.raises(MaskwrightError, match=r"01\.png.* does not exist|01\.png.*link"):
        read_pair(dataset, dataset.records[1])


def test_pictures_in_a_folder_of_another_name_are_told_of(tmp_path):
    pairs(tmp_path, [0, 1])
    photo(tmp_path / "vessels" / "00.png")
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path) == ("unused", "warning", tmp_path / "vessels")
    assert fault.message.startswith("1 picture in vessels/ is not used")


def retina(root, truth: str | None):
    rows, columns = np.mgrid[:40, :40]
    view = ((rows - 20) ** 2 + (columns - 20) ** 2 < 18**2).astype(np.uint8) * 255
    for number in range(21, 27):
        photo(root / "images" / f"{number}_training.tif", number, (40, 40))
        write(root / "mask" / f"{number}_training_mask.gif", view)
        if truth:
            shown = np.zeros((40, 40), np.uint8)
            shown[number - 10 : number - 5, 10:20] = 255
            write(root / truth / f"{number}_manual1.gif", shown)


@pytest.mark.parametrize("truth", ["1st_manual", "manual1", "manual"])
def test_a_field_of_view_gives_way_to_the_truth(tmp_path, truth):
    retina(tmp_path, truth)
    dataset = read_dataset(tmp_path)
    assert {record.annotation.path.parent.name for record in dataset.records} == {truth}
    assert sum(np.count_nonzero(read_pair(dataset, record)[1] == 1) for record in dataset.records) == 6 * 50
    (fault,) = [fault for fault in dataset.faults if fault.kind == "field-of-view"]
    assert (fault.severity, fault.path) == ("warning", tmp_path / "mask")


def test_the_first_of_two_annotators_counts_and_the_second_is_named(tmp_path):
    for part in ("training", "test"):
        retina(tmp_path / part, "1st_manual")
    for mask in (tmp_path / "test" / "1st_manual").iterdir():
        write(tmp_path / "test" / "2nd_manual" / mask.name.replace("manual1", "manual2"), np.zeros((40, 40), np.uint8))
    dataset = read_dataset(tmp_path)
    assert {record.annotation.path.parent.name for record in dataset.records} == {"1st_manual"}
    assert [record.split for record in dataset.records] == ["test"] * 6 + ["train"] * 6
    told = {fault.path.relative_to(tmp_path).as_posix(): fault.kind for fault in dataset.faults}
    assert told == {"test/2nd_manual": "unused", "test/mask": "field-of-view"}
    assert "(test/2nd_manual/ not used)" in dataset.layout


def test_a_field_of_view_alone_is_a_warning(tmp_path):
    retina(tmp_path, None)
    dataset = read_dataset(tmp_path)
    assert len(dataset.records) == 6
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("field-of-view", "warning")


def test_splits_and_mirrored_folders_are_no_classes(tmp_path):
    for patient in range(3):
        touch_pair(tmp_path, f"images/patient{patient}/0.png", f"masks/patient{patient}/0.png")
    dataset = read_dataset(tmp_path)
    assert (dataset.format, len(dataset.classes.names), len(dataset.records)) == ("folder", 2, 3)


@pytest.mark.parametrize(
    ("used", "other"),
    [("masks", "masks_color"), ("labels", "color_masks"), ("gray_masks", "color_masks"), ("gt", "gt_png")],
)
def test_masks_in_another_coding_are_not_used(tmp_path, used, other):
    for number in range(3):
        photo(tmp_path / "images" / f"{number}.jpg", number)
        write(tmp_path / used / f"{number}.png", labels([0, 1, 2]))
        write(
            tmp_path / other / f"{number}.png", np.array([(9, 0, 0), (0, 9, 9), (7, 0, 1)], np.uint8)[labels([0, 1, 2])]
        )
    dataset = read_dataset(tmp_path)
    assert [record.annotation.path.parent.name for record in dataset.records] == [used] * 3
    assert [(fault.kind, fault.path.name) for fault in dataset.faults] == [("unused", other)]
    assert len(dataset.classes) == 3


def test_masks_of_two_codings_for_different_images_are_used_together(tmp_path):
    for number, folder in enumerate(("train_masks", "train_masks", "val_masks_png")):
        split = folder.partition("_")[0]
        photo(tmp_path / split / f"{number}.jpg", number)
        write(tmp_path / folder / f"{number}.png", labels([0, 1, 2]))
    assert [record.split for record in read_dataset(tmp_path).records] == ["train", "train", "val"]


NO_IMAGES = [
    ("0.mat", r"\.mat files \(MATLAB\) are not read: drawn edges are read if they are saved with -v7; scipy\.io"),
    ("0.nii.gz", r"\.nii\.gz files \(volumes\) are not read: save their slices as images"),
    ("0.npz", r"\.npz files .*numpy\.load reads them"),
    ("0.roi", r"\.roi files \(outlines of ImageJ\) are not read: roifile reads them; save each mask as a PNG"),
    ("RoiSet.zip", r"roiset\.zip files \(outlines of ImageJ\) are not read: roifile reads them"),
    ("0.ndjson", r"\.ndjson files \(lines of JSON\) are not read: export the annotations as COCO"),
]


@pytest.mark.parametrize(
    ("folder", "name", "words"),
    [
        *((folder, *case) for folder in ("masks/", "images/", "x/") for case in NO_IMAGES),
        ("masks/", "0.xyz", r"\.xyz files are not read: save each mask as a PNG of class ids"),
    ],
)
def test_masks_that_are_no_images_are_named(tmp_path, folder, name, words):
    photo(tmp_path / "images" / "0.jpg")
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / name).write_bytes(b"?")
    with pytest.raises(MaskwrightError, match=rf"but no masks: {folder} holds {name}, and {words}"):
        read_dataset(tmp_path)
    write(tmp_path / "masks" / "0.png", MASK)
    assert partners(tmp_path) == {"images/0.jpg": "masks/0.png"}


# ---------------------------------------------------------------- numbers that count apart


def shifted(root, image_numbers, mask_numbers):
    for number in image_numbers:
        photo(root / f"images/img_{number:03}.png", number)
    for number in mask_numbers:
        write(root / f"masks/mask_{number:03}.png", MASK)
    return [fault for fault in read_dataset(root).faults if fault.kind == "shifted-names"]


@pytest.mark.parametrize(("images", "masks"), [((0, 6), (1, 7)), ((1, 7), (0, 6)), ((10, 20), (12, 22))])
def test_images_and_masks_that_count_from_different_numbers(tmp_path, images, masks):
    (fault,) = shifted(tmp_path, range(*images), range(*masks))
    assert fault.severity == "warning"
    image, mask = (images[0], masks[1] - 1) if images < masks else (images[1] - 1, masks[0])
    if images[0] == 10:
        mask -= 1
    assert f"images/img_{image:03}.png, the " in fault.message
    assert f"masks/mask_{mask:03}.png, the " in fault.message


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (range(6), range(6)),
        (range(6), range(1, 6)),  # one image has no mask
        (range(6), range(1, 8)),  # as many as that are left over on neither side
        ((0, 1, 3, 4, 5, 6), (1, 3, 4, 5, 6, 9)),  # not one after the other
        (range(4), range(2, 6)),  # too few pairs to tell
    ],
)
def test_files_left_over_that_tell_nothing(tmp_path, images, masks):
    assert shifted(tmp_path, images, masks) == []


def test_each_split_counts_from_its_own_number(tmp_path):
    for split in ("train", "val"):
        for number in range(5):
            photo(tmp_path / split / f"images/{number}.png", number)
            write(tmp_path / split / f"masks/{number + 1}.png", MASK)
    found = [fault.path.parent.name for fault in read_dataset(tmp_path).faults if fault.kind == "shifted-names"]
    assert found == ["train", "val"]
