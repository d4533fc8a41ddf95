"""Layouts of mask files: several files an image, nnU-Net, Supervisely, CVAT, ids in red, cut-outs. Pixels by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.layouts import SIZE, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import MaskLayers
from maskwright.data.formats import ReadOptions, images_of, read_dataset
from maskwright.data.formats.walk import images_below
from maskwright.data.labels import read_label, read_objects, read_pair

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Dataset


def drawn(rows: slice, columns: slice, value: int = 255) -> np.ndarray:
    """Return a mask (6, 8) that is `value` in one rectangle and 0 elsewhere."""
    mask = np.zeros(SIZE, np.uint8)
    mask[rows, columns] = value
    return mask


LEFT, RIGHT = drawn(slice(0, 6), slice(0, 2)), drawn(slice(0, 3), slice(6, 8))  # 12 and 6 of 48 pixels


def counts(dataset: Dataset) -> dict[str, int]:
    """Count the pixels of each class over all records, and the ignored ones."""
    found: dict[str, int] = {}
    for record in dataset.records:
        values, pixels = np.unique(read_pair(dataset, record)[1], return_counts=True)
        for value, number in zip(values.tolist(), pixels.tolist(), strict=True):
            name = "ignored" if value == IGNORE else dataset.classes.names[value]
            found[name] = found.get(name, 0) + number
    return found


def kinds(dataset: Dataset) -> list[str]:
    return [fault.kind for fault in dataset.faults]


# ---------------------------------------------------------------- a folder a class

CLASS_FOLDERS = {
    "below the masks": ("images/{n}.png", "masks/{c}/{n}.png"),
    "below the split": ("{s}/images/{n}.png", "{s}/masks/{c}/{n}.png"),
    "above the split": ("images/{s}/{n}.png", "masks/{c}/{s}/{n}.png"),
    "in folders named after both": ("images/{n}.png", "{c}_masks/{n}.png"),
    "in folders with a word before": ("images/{n}.jpg", "Mask-{c}/{n}.png"),
    "in folders beside the split": ("{s}/images/{n}.png", "{s}/{c} masks/{n}.png"),
    "in folders named after the split too": ("images/{s}/{n}.png", "{s}_{c}_masks/{n}.png"),
    "in a folder an image": ("images/{s}_{n}.png", "masks/{s}_{n}/{c}.png"),
}


@pytest.mark.parametrize("name", CLASS_FOLDERS)
def test_classes_by_folder_or_file(tmp_path, name):
    image, mask = CLASS_FOLDERS[name]
    for number, split in enumerate(("train", "train", "val")):
        photo(tmp_path / image.format(n=number, s=split))
        for word, shown in (("nut", LEFT), ("bolt", RIGHT)):
            write(tmp_path / mask.format(n=number, s=split, c=word), shown)
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.classes.names) == ("layers", ("background", "bolt", "nut"))
    assert counts(dataset) == {"background": 90, "nut": 36, "bolt": 18}
    assert kinds(dataset) == []
    split = [record.split for record in dataset.records]
    assert split == (["train", "train", "val"] if "split" in name else [None] * 3)
    assert len(images_of(tmp_path, images_below(tmp_path))) == 3


def test_one_folder_named_after_its_class_holds_masks(tmp_path):
    for number in range(3):
        photo(tmp_path / "images" / f"{number}.png")
        write(tmp_path / "tumor_masks" / f"{number}.png", LEFT)
    dataset = read_dataset(tmp_path)
    assert (dataset.format, kinds(dataset)) == ("folder", [])
    assert counts(dataset) == {"background": 108, "foreground": 36}
    for number in range(3):
        write(tmp_path / "masks" / f"{number}.png", RIGHT)
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"background": 126, "foreground": 18}
    assert kinds(dataset) == ["unpaired"] * 3


@pytest.mark.parametrize("folders", ["{c}_masks", "masks/{c}"])
def test_each_image_with_a_mask_of_one_of_several_classes(tmp_path, folders):
    for number in range(4):
        photo(tmp_path / "images" / f"{number}.png")
        word, shown = (("nut", LEFT), ("bolt", RIGHT))[number % 2]
        write(tmp_path / folders.format(c=word) / f"{number}.png", shown)
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"background": 156, "foreground": 36}
    assert kinds(dataset) == ["merged-folders"]
    assert "`read.format` layers" in dataset.faults[0].cure
    dataset = read_dataset(tmp_path, ReadOptions(format="layers"))
    assert counts(dataset) == {"background": 156, "nut": 24, "bolt": 12}


def test_the_smaller_class_covers_the_larger_and_the_share_is_told(tmp_path):
    inner = drawn(slice(0, 2), slice(0, 2))
    for number in range(2):
        photo(tmp_path / "images" / f"{number}.png")
        write(tmp_path / "masks" / "cup" / f"{number}.png", inner)
        write(tmp_path / "masks" / "disc" / f"{number}.png", LEFT)
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"background": 72, "cup": 8, "disc": 16}
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("overlap", "warning")
    assert "in 2 of 2 images looked at, in 33.3% of the pixels of any class" in fault.message
    assert "the class with fewer pixels in the image wins" in fault.message


def test_a_table_orders_the_classes_and_an_absent_file_is_an_absent_class(tmp_path):
    for number in range(3):
        photo(tmp_path / "images" / f"{number}.png")
        write(tmp_path / "masks" / "nut" / f"{number}.png", LEFT)
    write(tmp_path / "masks" / "bolt" / "1.png", RIGHT)
    write(tmp_path / "masks" / "void" / "1.png", drawn(slice(5, 6), slice(0, 8)))
    (tmp_path / "classes.txt").write_text("background\nnut\nbolt\n")
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "nut", "bolt")
    assert counts(dataset) == {"background": 96, "nut": 36, "bolt": 6, "ignored": 6}


def test_one_folder_of_0_and_1_and_one_of_0_and_255(tmp_path):
    for number in range(3):
        photo(tmp_path / "images" / f"{number}.png")
        write(tmp_path / "masks" / "nut" / f"{number}.png", LEFT // 255)
        write(tmp_path / "masks" / "bolt" / f"{number}.png", RIGHT)
    assert counts(read_dataset(tmp_path)) == {"background": 90, "nut": 36, "bolt": 18}


def test_the_same_masks_coded_twice_are_no_classes(tmp_path):
    for number in range(3):
        photo(tmp_path / "images" / f"{number}.png")
        write(tmp_path / "masks" / "index" / f"{number}.png", LEFT // 255 + RIGHT // 255 * 2)
        write(tmp_path / "masks" / "shown" / f"{number}.png", np.dstack([LEFT, RIGHT, 0 * LEFT]))
    with pytest.raises(MaskwrightError, match="each shows one class and background: keep one of the folders"):
        read_dataset(tmp_path)
    for mask in (tmp_path / "masks" / "shown").iterdir():  # the cure
        mask.unlink()
    assert counts(read_dataset(tmp_path)) == {"class-0": 90, "class-1": 36, "class-2": 18}


# ---------------------------------------------------------------- a file an object

OBJECT_FOLDERS = {
    "data science bowl": ("{n}a/images/{n}a.png", "{n}a/masks/{o}.png"),
    "numbers": ("{n}/images/1.png", "{n}/masks/{o}.png"),
    "below the root": ("images/cell{n}.png", "masks/cell{n}/{o}.png"),
}


@pytest.mark.parametrize("name", OBJECT_FOLDERS)
def test_a_file_an_object(tmp_path, name):
    image, mask = OBJECT_FOLDERS[name]
    for number in range(3):
        photo(tmp_path / image.format(n=number))
        for place, shown in enumerate((LEFT, RIGHT)):
            write(tmp_path / mask.format(n=number, o=place), shown)
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.classes.names) == ("layers", ("background", "object"))
    assert counts(dataset) == {"background": 90, "object": 54}
    objects = list(read_objects(dataset, dataset.records[0], SIZE))
    assert sorted((entry.index, entry.mask.shape, entry.area) for entry in objects) == [
        (1, (3, 2), 6),
        (1, (6, 2), 12),
    ]


def test_second_masks_are_joined(tmp_path):
    for number in range(1, 5):
        photo(tmp_path / f"benign ({number}).png")
        write(tmp_path / f"benign ({number})_mask.png", LEFT)
    write(tmp_path / "benign (2)_mask_1.png", RIGHT)
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"background": 4 * 36 - 6, "foreground": 4 * 12 + 6}
    assert sum(isinstance(record.annotation, MaskLayers) for record in dataset.records) == 1
    assert (len(dataset.records), dataset.faults) == (4, ())


# ---------------------------------------------------------------- nnU-Net


def nnunet(root: Path, cases: int = 3, channels: int = 1, **about: object) -> Path:
    for case in range(cases):
        for channel in range(channels):
            shade = np.full(SIZE, 10 * case + channel, np.uint8)
            write(root / "imagesTr" / f"leaf_{case}_{channel:04}.png", shade)
        write(root / "labelsTr" / f"leaf_{case}.png", LEFT // 255)
    named = {"labels": {"background": 0, "spot": 1}, "numTraining": cases, "file_ending": ".png"}
    names = {str(number): f"band {number}" for number in range(channels)}
    (root / "dataset.json").write_text(json.dumps({"channel_names": names, **named, **about}))
    return root


def test_nnunet_stacks_channels_in_their_order(tmp_path):
    dataset = read_dataset(nnunet(tmp_path, channels=3))
    assert (dataset.format, dataset.classes.names) == ("nnunet", ("background", "spot"))
    assert [record.id for record in dataset.records] == [f"imagesTr/leaf_{case}_0000.png" for case in range(3)]
    image, label = read_pair(dataset, dataset.records[2])
    assert image[0, 0].tolist() == [20, 21, 22]
    assert np.count_nonzero(label == 1) == 12
    assert dataset.faults == ()


def test_nnunet_names_of_version_1_and_ignored_labels(tmp_path):
    nnunet(tmp_path, labels={"0": "background", "1": "spot"})
    assert read_dataset(tmp_path).classes.names == ("background", "spot")
    nnunet(tmp_path, labels={"background": 0, "spot": 2, "ignore": 1})
    assert counts(read_dataset(tmp_path)) == {"background": 108, "ignored": 36}


def test_nnunet_regions_are_refused_and_the_cure_works(tmp_path):
    nnunet(tmp_path, labels={"background": 0, "whole": [1, 2, 3]})
    with pytest.raises(MaskwrightError, match=r"'whole' the value \[1, 2, 3\].*give it as `read\.classes`"):
        read_dataset(tmp_path)
    table = tmp_path / "names.txt"
    table.write_text("background\nspot\n")
    assert counts(read_dataset(tmp_path, ReadOptions(classes=table))) == {"background": 108, "spot": 36}


def test_nnunet_faults(tmp_path):
    nnunet(tmp_path, cases=4, channels=2, numTraining=5)
    (tmp_path / "imagesTr" / "leaf_0_0001.png").unlink()
    (tmp_path / "labelsTr" / "leaf_1.png").unlink()
    write(tmp_path / "imagesTr" / "leaf.png", LEFT)
    photo(tmp_path / "imagesTs" / "leaf_9_0000.png")
    dataset = read_dataset(tmp_path)
    assert [record.image.path.name for record in dataset.records] == ["leaf_2_0000.png", "leaf_3_0000.png"]
    assert {"channels", "unpaired", "dataset-json", "unlabelled"} == set(kinds(dataset))
    messages = " ".join(fault.message for fault in dataset.faults)
    assert (
        "case leaf_0 has the files leaf_0_0000.png, but each case needs one file for each of _0000, _0001" in messages
    )
    assert "case leaf_1 has no file of labels" in messages
    assert "imagesTr/leaf.png has no number of a channel" in messages
    assert "declares 5 training images, but 2 have labels" in messages


def test_nnunet_of_fewer_channels_than_named_is_told(tmp_path):
    dataset = read_dataset(nnunet(tmp_path, channel_names={"0": "R", "1": "G", "2": "B"}))
    (fault,) = dataset.faults
    assert fault.message == "dataset.json names 3 channels, but leaf_0_0000.png has 1"


# ---------------------------------------------------------------- Supervisely, CVAT, red, alpha


def test_supervisely_masks(tmp_path):
    for number in range(3):
        photo(tmp_path / "ds" / "img" / f"{number}.jpg")
        write(tmp_path / "ds" / "masks_machine" / f"{number}.jpg.png", LEFT // 255 + RIGHT // 255 * 2)
        photo(tmp_path / "ds" / "masks_human" / f"{number}.jpg.png")
    (tmp_path / "meta.json").write_text(json.dumps({"classes": [{"title": "nut"}, {"title": "bolt"}]}))
    dataset = read_dataset(tmp_path)
    assert dataset.format == "supervisely-masks"
    assert counts(dataset) == {"background": 90, "nut": 36, "bolt": 18}
    (tmp_path / "obj_class_to_machine_color.json").write_text(json.dumps({"nut": [2, 2, 2], "bolt": [1, 1, 1]}))
    (tmp_path / "ds" / "img" / "2.jpg").rename(tmp_path / "ds" / "img" / "2.JPG")
    photo(tmp_path / "ds" / "img" / "3.jpg")
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"background": 90, "nut": 18, "bolt": 36}
    assert [(fault.kind, fault.path.name) for fault in dataset.faults] == [("unpaired", "3.jpg")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["frame {}", "cam1/frame_{}", "Bäume {}"])
def test_cvat_lists_of_any_name_blank_folder_and_encoding(tmp_path, name, encoding):
    colors = np.array([[0, 0, 0], [48, 112, 32]], np.uint8)
    names = [name.format(number) for number in range(3)]
    for own in names:
        photo(tmp_path / "JPEGImages" / f"{own}.jpg")
        write(tmp_path / "SegmentationClass" / f"{own}.png", colors[LEFT // 255])
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "default.txt").write_text("\n".join(names) + "\n", encoding=encoding)
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nnut:48,112,32::\nbackground:0,0,0::\n")
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.classes.names, dataset.faults) == ("voc", ("nut", "background"), ())
    assert counts(dataset) == {"background": 108, "nut": 36}


def test_cvat_without_images_says_so(tmp_path):
    write(tmp_path / "SegmentationClass" / "a.png", LEFT)
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    with pytest.raises(MaskwrightError, match="1 mask in SegmentationClass/, but no images: export it again with the"):
        read_dataset(tmp_path)
    photo(tmp_path / "JPEGImages" / "a.jpg")  # the cure
    assert counts(read_dataset(tmp_path)) == {"background": 36, "foreground": 12}


def test_ids_in_the_red_channel_get_the_names_of_ids(tmp_path):
    ids = LEFT // 255 + RIGHT // 255 * 2
    for number in range(3):
        photo(tmp_path / "CameraRGB" / f"{number}.png")
        write(tmp_path / "CameraSeg" / f"{number}.png", np.dstack([ids, 0 * ids, 0 * ids]))
    (tmp_path / "classes.txt").write_text("ground\nroad\ncar\n")
    assert counts(read_dataset(tmp_path)) == {"ground": 90, "road": 36, "car": 18}


def test_alpha_is_a_mask_only_where_the_user_says_so(tmp_path):
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), np.uint8)
        write(tmp_path / f"{number}.png", np.dstack([pixels, LEFT // 255 * 200]))
    with pytest.raises(MaskwrightError, match="no masks"):
        read_dataset(tmp_path)
    dataset = read_dataset(tmp_path, ReadOptions(format="alpha"))
    assert counts(dataset) == {"background": 72, "foreground": 24}
    assert read_pair(dataset, dataset.records[0])[0].shape == (*SIZE, 3)
    assert "25.0% of the pixels are partly transparent" in dataset.layout
    opaque = write(tmp_path / "x" / "0.png", np.full((*SIZE, 4), 255, np.uint8)).parent
    with pytest.raises(MaskwrightError, match="every image is opaque everywhere"):
        read_dataset(opaque, ReadOptions(format="alpha"))
    photo(tmp_path / "plain.png")
    dataset = read_dataset(tmp_path, ReadOptions(format="alpha"))
    plain = next(record for record in dataset.records if record.id == "plain.png")
    with pytest.raises(MaskwrightError, match="has no alpha channel"):
        read_label(dataset, plain, SIZE)
