"""Folder pairs: every arrangement, every coding of masks, and names from whatever carries them."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.layouts import SIZE, labels, pairs, palette_mask, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.formats.meaning.scan import Scan
from maskwright.data.formats.pairing.naming import bare_stem, folder_meaning, mask_owner, place, split_word
from maskwright.data.labels import read_label, read_pair

if TYPE_CHECKING:
    from pathlib import Path

ARRANGEMENTS = {
    "two folders": [("images/{n}.jpg", "masks/{n}.png", None)],
    "other words": [("JPEGImages/{n}.jpg", "Segmentations/{n}.png", None)],
    "upper case": [("Original_Images/{n}.jpg", "Label_Images/{n}.png", None)],
    "camvid": [("train/{n}.jpg", "trainannot/{n}.png", "train"), ("val/{n}.jpg", "valannot/{n}.png", "val")],
    "split below": [
        ("images/train/{n}.jpg", "masks/train/{n}.png", "train"),
        ("images/test/{n}.jpg", "masks/test/{n}.png", "test"),
    ],
    "split above": [
        ("training/images/{n}.jpg", "training/gt/{n}.png", "train"),
        ("valid/images/{n}.jpg", "valid/gt/{n}.png", "val"),
    ],
    "split in one word": [
        ("train_images/{n}.jpg", "train_masks/{n}.png", "train"),
        ("images_val/{n}.jpg", "masks_val/{n}.png", "val"),
    ],
    "camvid's own": [
        ("train/{n}.png", "train_labels/{n}_L.png", "train"),
        ("val/{n}.png", "val_labels/{n}_L.png", "val"),
    ],
    "suffix": [("{n}.jpg", "{n}_mask.png", None)],
    "suffix of both": [("{n}_sat.jpg", "{n}_mask.png", None)],
    "prefix of both": [("images/img_{n}.jpg", "masks/mask_{n}.png", None)],
    "prefix in one folder": [("img_{n}.jpg", "label_{n}.png", None)],
    "suffix in a folder": [("images/{n}.jpg", "masks/{n}_gt.png", None)],
    "two suffixes": [("img/{n}.jpg", "ann/{n}.jpg.png", None)],
    "photo and drawing": [("{n}.jpg", "{n}.png", None)],
    "nested": [("images/site{n}/a.jpg", "masks/site{n}/a.png", None)],
    "one folder a case": [("case{n}/image.jpg", "case{n}/mask.png", None)],
    "one folder a case, any name": [("case{n}/photo{n}.jpg", "case{n}/mask.png", None)],
    "nested beside": [("site{n}/a.jpg", "site{n}/a_seg.png", None)],
    "deep masks": [("images/{n}.jpg", "annotations/trimaps/{n}.png", None)],
    "npy": [("images/{n}.npy", "masks/{n}.npy", None)],
    "tiff": [("images/{n}.tif", "labels/{n}.tif", None)],
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_arrangements(tmp_path, name):
    expected = {}
    for image, mask, split in ARRANGEMENTS[name]:
        for number in ("07", "08", "11"):
            photo(tmp_path / image.format(n=number))
            write(tmp_path / mask.format(n=number), labels([0, 1, 2, int(number) % 3]))
            expected[image.format(n=number)] = (mask.format(n=number), split)
    dataset = read_dataset(tmp_path)
    assert dataset.format == "folder"
    found = {
        record.id: (record.annotation.path.relative_to(tmp_path).as_posix(), record.split) for record in dataset.records
    }
    assert found == expected
    assert dataset.faults == ()
    assert [record.id for record in dataset.records] == sorted(expected)
    for record in dataset.records:
        image, label = read_pair(dataset, record)
        assert image.shape == (*SIZE, 3)
        assert label.dtype == np.uint8
        assert np.unique(label).tolist() == [0, 1, 2]


def test_layout_says_what_was_seen(tmp_path):
    layout = read_dataset(pairs(tmp_path, [0, 255])).layout
    assert layout == "images/ + masks/: masks of class ids; 0 and 255"


def test_a_lone_split_is_none(tmp_path):
    photo(tmp_path / "train/a.jpg")
    write(tmp_path / "trainannot/a.png", labels([0, 1]))
    assert read_dataset(tmp_path).records[0].split is None


def test_the_names_above_the_root_say_nothing(tmp_path):
    dataset = read_dataset(pairs(tmp_path / "masks" / "test", [0, 1]))
    assert len(dataset.records) == 3


def test_hidden_files_and_links_in_a_circle(tmp_path):
    pairs(tmp_path, [0, 1])
    photo(tmp_path / "images" / ".hidden.jpg")
    photo(tmp_path / "__MACOSX" / "images" / "x.jpg")
    (tmp_path / "images" / "loop").symlink_to(tmp_path)
    dataset = read_dataset(tmp_path)
    assert {record.image.path.name for record in dataset.records} == {"00.jpg", "01.jpg", "02.jpg"}


def test_semantic_masks_win_over_instances(tmp_path):
    pairs(tmp_path, [0, 1])
    for number in range(3):
        write(tmp_path / "instances" / f"{number:02}.png", labels([0, 1, 2, 3]))
    dataset = read_dataset(tmp_path)
    assert {record.annotation.kind for record in dataset.records} == {"index"}
    assert dataset.layout.endswith("; object ids in instances/")


# ---------------------------------------------------------------- what finds no partner


def test_unpaired_files_are_faults(tmp_path):
    pairs(tmp_path, [0, 1])
    photo(tmp_path / "images" / "lonely.jpg")
    write(tmp_path / "masks" / "alone.png", labels([0, 1]))
    dataset = read_dataset(tmp_path)
    assert len(dataset.records) == 3
    assert [(fault.kind, fault.severity, fault.path.name) for fault in dataset.faults] == [
        ("unpaired", "error", "lonely.jpg"),
        ("unpaired", "warning", "alone.png"),
    ]
    assert dataset.faults[0].message == "images/lonely.jpg has no mask"


def test_a_folder_without_any_mask_is_one_fault(tmp_path):
    pairs(tmp_path, [0, 1])
    for number in range(9):
        photo(tmp_path / "images" / "north" / f"t{number}.jpg")
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.path, fault.kind) == (tmp_path / "images" / "north", "unpaired")
    assert "none of the 9 images" in fault.message


BOXES = {
    "Annotations/0.xml": "<annotation><object><name>nut</name><bndbox><xmin>3</xmin></bndbox></object></annotation>",
    "annotations.json": json.dumps(
        {
            "images": [{"id": 1, "file_name": "0.jpg", "width": 8, "height": 6}],
            "categories": [{"id": 1, "name": "nut"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3]}],
        }
    ),
}


@pytest.mark.parametrize("name", BOXES)
def test_boxes_are_named_for_what_they_are(tmp_path, name):
    photo(tmp_path / "JPEGImages" / "0.jpg")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(BOXES[name])
    with pytest.raises(MaskwrightError, match=rf"1 file of .*, {name}, holds boxes only, and boxes cannot train masks"):
        read_dataset(tmp_path)


def test_nothing_pairs(tmp_path):
    photo(tmp_path / "images" / "a.jpg")
    photo(tmp_path / "images" / "b.jpg")
    with pytest.raises(MaskwrightError, match="2 images but no masks"):
        read_dataset(tmp_path)
    for name in ("x", "y"):
        write(tmp_path / "masks" / f"{name}.png", labels([0, 1]))
    with pytest.raises(MaskwrightError, match=r"2 images and 2 masks.*a.jpg has no mask.*the same name$"):
        read_dataset(tmp_path)


def test_what_was_found_and_is_near_is_said_only_where_nothing_was_recognised(tmp_path):
    photo(tmp_path / "images" / "a.jpg")
    near = r"The nearest layouts: folder \(.*\); layers \(.*\)\. docs/data\.md shows all layouts$"
    with pytest.raises(MaskwrightError, match=rf"1 image but no masks.*Found: images/ \(1 \.jpg\)\. {near}"):
        read_dataset(tmp_path)
    for name in ("a.json", "b.txt"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(
        MaskwrightError, match=r"Found: \./ \(1 \.json, 1 \.txt\) and images/ .*layouts: coco .*labelme .*yolo"
    ):
        read_dataset(tmp_path)
    for name in ("a.png", "a_1.png"):
        write(tmp_path / "masks" / name, labels([0, 1]))
    with pytest.raises(MaskwrightError, match=r"parts of one image a_mask_1 and a_mask_2$"):
        read_dataset(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(MaskwrightError, match="does not exist"):
        read_dataset(tmp_path / "gone")
    with pytest.raises(MaskwrightError, match="is empty"):
        read_dataset(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(MaskwrightError, match=r"1 file but no images \(.txt\): give a folder with images and masks$"):
        read_dataset(tmp_path)
    with pytest.raises(MaskwrightError, match=r"is a file in no known format: give .* data\.yaml$"):
        read_dataset(tmp_path / "notes.txt")
    with pytest.raises(MaskwrightError, match="did you mean 'folder'"):
        read_dataset(tmp_path, ReadOptions(format="foldr"))


# ---------------------------------------------------------------- what values mean


def meaning(root: Path, **options: object) -> tuple[tuple[str, ...], dict[int, int]]:
    dataset = read_dataset(root, ReadOptions(**options))
    return dataset.classes.names, dataset.value_to_index


def test_binary_masks(tmp_path):
    assert meaning(pairs(tmp_path / "a", [0, 255])) == (("background", "foreground"), {0: 0, 255: 1})
    assert meaning(pairs(tmp_path / "b", [0, 1])) == (("background", "foreground"), {0: 0, 1: 1, 255: IGNORE})
    assert meaning(pairs(tmp_path / "c", [0, 1, 255])) == (("background", "foreground"), {0: 0, 1: 1, 255: IGNORE})
    assert meaning(tmp_path / "a", ignore=255) == (("background", "foreground"), {0: 0, 1: 1, 255: IGNORE})


def speckled(root: Path, value: int, masks: int, count: int = 12) -> Path:
    """Write masks of 0 and 255 where `masks` of them hold one pixel of another value."""
    for number in range(count):
        photo(root / "images" / f"{number:02}.jpg", number, (40, 40))
        drawn = labels([0, 255], (40, 40))
        drawn[5, 5] = value if 3 <= number < 3 + masks else 0
        write(root / "masks" / f"{number:02}.png", drawn)
    return root


def test_a_rare_value_is_told_of_with_its_file(tmp_path):
    dataset = read_dataset(speckled(tmp_path, 37, 1))
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path) == ("stray-value", "warning", tmp_path / "masks" / "03.png")
    assert fault.message == ("03.png holds the value 37, which is rare (1 pixel in 1 of 12 masks) and is ignored")
    assert "0 and 255 except for 37, so 255 is foreground" in dataset.layout
    assert "`read.map` 37=ignore or `read.map` 37=0" in fault.cure
    assert "classes.txt" in fault.cure


def test_a_rare_value_costs_no_foreground(tmp_path):
    speckled(tmp_path, 37, 1)
    pair = ("background", "foreground")
    assert meaning(tmp_path) == (pair, {0: 0, 255: 1, 37: IGNORE})
    assert meaning(tmp_path, map={37: "ignore"}) == (pair, {0: 0, 255: 1, 37: IGNORE})
    assert meaning(tmp_path, map={37: 0}) == (pair, {0: 0, 255: 1, 37: 0})
    assert not read_dataset(tmp_path, ReadOptions(map={37: "ignore"})).faults
    (tmp_path / "classes.txt").write_text("ground\ncrack\n")
    assert meaning(tmp_path, map={37: "ignore"}) == (("ground", "crack"), {0: 0, 255: 1, 37: IGNORE})
    assert meaning(tmp_path) == (("ground", "crack"), {0: 0, 255: 1, 37: IGNORE})
    assert [fault.kind for fault in read_dataset(tmp_path).faults] == ["stray-value"]


def test_a_value_mapped_to_a_class_says_that_the_masks_hold_ids(tmp_path):
    pairs(tmp_path, [0, 2, 255])
    assert meaning(tmp_path, map={2: 1}) == (("background", "foreground"), {0: 0, 1: 1, 2: 1, 255: IGNORE})
    (tmp_path / "classes.txt").write_text("ground\ncrack\n")
    assert meaning(tmp_path, map={2: 1}) == (("ground", "crack"), {0: 0, 1: 1, 2: 1, 255: IGNORE})
    slip = speckled(tmp_path / "slip", 37, 1)
    assert meaning(slip, map={37: 1}) == (("background", "foreground"), {0: 0, 1: 1, 37: 1, 255: IGNORE})
    white = pairs(tmp_path / "white", [0, 255])
    assert meaning(white, map={255: 1}) == (("background", "foreground"), {0: 0, 1: 1, 255: 1})


@pytest.mark.parametrize("options", [{"ignore": 1}, {"map": {1: 0}}])
def test_what_the_options_take_out_may_leave_a_white_foreground_and_a_note(tmp_path, options):
    dataset = read_dataset(pairs(tmp_path, [0, 1, 255]), ReadOptions(**options))
    assert dataset.value_to_index == {0: 0, 1: IGNORE if "ignore" in options else 0, 255: 1}
    assert "0 and 255 except for 1, so 255 is foreground" in dataset.layout
    (tmp_path / "classes.txt").write_text("ground\ncrack\n")
    assert "0 and 255 except for 1, so 255 is crack" in read_dataset(tmp_path, ReadOptions(**options)).layout


def drawn_once(root: Path, common: list[int], rare: list[int], count: int = 12) -> Path:
    """Write masks of the `common` values, and each of the `rare` ones as a pixel of one mask."""
    for number in range(count):
        photo(root / "images" / f"{number:03}.jpg", number, (40, 40))
        mask = labels(common, (40, 40))
        if number < len(rare):
            mask[5, 5] = rare[number]
        write(root / "masks" / f"{number:03}.png", mask)
    return root


def test_a_rare_value_is_no_slip_where_one_class_would_be_left(tmp_path):
    assert not read_dataset(drawn_once(tmp_path / "one", [0], [1])).faults
    void = read_dataset(drawn_once(tmp_path / "void", [0], [1, 255]))
    assert [fault.kind for fault in void.faults] == ["two-conventions"]
    assert len(read_dataset(drawn_once(tmp_path / "two", [0, 2], [1])).faults) == 1


def test_a_class_of_the_users_table_is_named_whatever_its_name(tmp_path):
    drawn_once(tmp_path, [0, 2], [1])
    (tmp_path / "classes.txt").write_text("ground\nforeground\nrock\n")
    assert not read_dataset(tmp_path).faults


def test_a_long_tail_of_rare_values_is_classes_and_many_slips_are_one_fault(tmp_path):
    assert len(read_dataset(drawn_once(tmp_path / "three", [0, 1, 2], [5, 6, 7])).faults) == 3
    tail = read_dataset(drawn_once(tmp_path / "tail", [0, 1, 2], [5, 6, 7, 8]))
    assert not tail.faults
    assert len(tail.classes.names) == 7
    white = read_dataset(drawn_once(tmp_path / "white", [0, 255], [5, 6, 7, 8]))
    (fault,) = white.faults
    assert "is ignored; 3 other values are treated the same" in fault.message
    assert "0 and 255 except for 4 other values, so 255 is foreground" in white.layout


@pytest.mark.parametrize(
    ("masks", "looked", "holders", "rare"),
    [
        *((4, 4, 1, False), (5, 5, 1, True), (99, 99, 2, False), (100, 100, 2, True), (200, 200, 3, False)),
        *((10_000, 200, 4, False), (10_000, 200, 2, False), (10_000, 200, 1, True)),
    ],
)
def test_how_many_masks_may_hold_a_slip(masks, looked, holders, rare):
    scan = Scan(masks, looked, looked, Counter({0: 99_900, 37: 100}), Counter({0: looked, 37: holders}))
    assert (37 in scan.rare()) is rare
    scan.values[37] += 1
    assert not scan.rare()


def test_a_value_of_several_masks_or_with_a_name_is_no_slip(tmp_path):
    assert not read_dataset(speckled(tmp_path / "several", 37, 2)).faults
    assert meaning(tmp_path / "several")[1][255] == IGNORE
    named = speckled(tmp_path / "named", 2, 1)
    (named / "classes.txt").write_text("ground\ncrack\npit\n")
    assert not read_dataset(named).faults
    assert [fault.kind for fault in read_dataset(speckled(tmp_path / "few", 37, 1, count=4)).faults] == [
        "white-ignored"
    ]


def test_values_without_names(tmp_path):
    names, values = meaning(pairs(tmp_path, [0, 3, 7, 255]))
    assert names == ("class-0", "class-3", "class-7")
    assert values == {0: 0, 3: 1, 7: 2, 255: IGNORE}


def test_ignore_and_map(tmp_path):
    pairs(tmp_path, [0, 3, 7, 9])
    assert meaning(tmp_path, ignore=3) == (
        ("class-0", "class-7", "class-9"),
        {0: 0, 7: 1, 9: 2, 3: IGNORE, 255: IGNORE},
    )
    names, values = meaning(tmp_path, map={7: 3, 9: "ignore"})
    assert names == ("class-0", "class-3")
    assert values == {0: 0, 3: 1, 7: 1, 9: IGNORE, 255: IGNORE}
    with pytest.raises(MaskwrightError, match=r"`read\.map` 7=5: 5 has no class: map to one of 0, 3"):
        meaning(tmp_path, map={7: 5})
    (tmp_path / "classes.txt").write_text("only\n")
    with pytest.raises(MaskwrightError, match="every class is ignored"):
        meaning(tmp_path, map={0: "ignore", 1: "ignore"})


def test_a_name_that_stands_twice_is_refused_with_its_file_unless_it_is_ignored(tmp_path):
    pairs(tmp_path, [0, 1, 2])
    table = tmp_path / "classes.txt"
    table.write_text("sky\nroad\nsky\n")
    for options in (ReadOptions(), ReadOptions(classes=table)):
        with pytest.raises(MaskwrightError, match=r"classes\.txt: the class name 'sky' occurs twice: rename one"):
            read_dataset(tmp_path, options)
    assert meaning(tmp_path, map={2: 0})[0] == ("sky", "road")
    colored(tmp_path / "colors")
    (tmp_path / "colors" / "classes.csv").write_text("name,r,g,b\na,0,0,0\nb,200,0,0\nb,0,9,255\n")
    with pytest.raises(MaskwrightError, match=r"classes\.csv: the class name 'b' occurs twice"):
        read_dataset(tmp_path / "colors")


def test_names_and_the_one_to_ignore(tmp_path):
    pairs(tmp_path, [0, 1, 2])
    (tmp_path / "classes.txt").write_text("sky\nroad\nUnlabelled\n")
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("sky", "road")
    assert dataset.value_to_index == {0: 0, 1: 1, 2: IGNORE, 255: IGNORE}
    assert "3 names from classes.txt" in dataset.layout
    assert "'Unlabelled' (2) is ignored" in dataset.layout
    assert np.unique(read_pair(dataset, dataset.records[0])[1]).tolist() == [0, 1, IGNORE]


def test_a_lone_class_beside_the_ignored_one_stays(tmp_path):
    pairs(tmp_path, [0, 1])
    (tmp_path / "classes.txt").write_text("unlabeled\ncrack\n")
    assert meaning(tmp_path)[0] == ("unlabeled", "crack")


def test_names_for_black_and_white(tmp_path):
    pairs(tmp_path / "two", [0, 255])
    (tmp_path / "two" / "classes.txt").write_text("ground\ncrack\n")
    assert meaning(tmp_path / "two") == (("ground", "crack"), {0: 0, 255: 1})
    pairs(tmp_path / "one", [0, 255])
    (tmp_path / "one" / "classes.txt").write_text("crack\n")
    assert meaning(tmp_path / "one") == (("background", "crack"), {0: 0, 255: 1})
    pairs(tmp_path / "white", [0, 255])
    (tmp_path / "white" / "class_dict.csv").write_text("name,r,g,b\ncrack,255,255,255\nground,0,0,0\n")
    dataset = read_dataset(tmp_path / "white")
    label = read_pair(dataset, dataset.records[0])[1]
    assert dataset.classes.names[label[0, 0]] == "ground"
    assert dataset.classes.names[label[0, 1]] == "crack"


def test_names_given_by_option_and_found_beside_the_masks(tmp_path):
    pairs(tmp_path, [0, 1])
    (tmp_path / "masks" / "labels.txt").write_text("a\nb\n")
    assert meaning(tmp_path)[0] == ("a", "b")
    (tmp_path / "mine.json").write_text('{"0": "x", "1": "y", "5": "z"}')
    assert meaning(tmp_path, classes=tmp_path / "mine.json") == (("x", "y", "z"), {0: 0, 1: 1, 5: 2, 255: IGNORE})


def test_soft_masks_are_cut_in_the_middle_and_say_so(tmp_path):
    ramp = np.zeros((40, 40), np.uint8)
    ramp[:, 20:] = 255
    ramp[:, 16:24] = np.linspace(20, 235, 8).astype(np.uint8)
    ramp[::2, 16:24] += 3
    ramp[::3, 16:24] -= 5
    photo(tmp_path / "images" / "a.jpg", size=(40, 40))
    write(tmp_path / "masks" / "a.png", ramp)
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "foreground")
    assert [fault.kind for fault in dataset.faults] == ["soft-mask"]
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], ramp >= 128)


def test_photographs_are_no_masks(tmp_path):
    random = np.random.default_rng(0)
    photo(tmp_path / "images" / "a.jpg", size=(64, 64))
    write(tmp_path / "masks" / "a.png", random.integers(0, 256, (64, 64), dtype=np.uint8))
    with pytest.raises(MaskwrightError, match=r"255 different values.*instances/"):
        read_dataset(tmp_path)
    write(tmp_path / "masks" / "a.png", random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with pytest.raises(MaskwrightError, match="different colours"):
        read_dataset(tmp_path)


def test_instances_by_folder_and_by_content(tmp_path):
    for root, folder in ((tmp_path / "a", "instances"), (tmp_path / "b", "masks")):
        for number, count in enumerate((40, 33, 64)):
            photo(root / "images" / f"{number}.png", size=(8, 8))
            ids = np.arange(64, dtype=np.uint16).reshape(8, 8)
            write(root / folder / f"{number}.png", np.where(ids < count, ids, 0))
        dataset = read_dataset(root)
        assert dataset.classes.names == ("background", "object")
        assert {record.annotation.kind for record in dataset.records} == {"instance"}
        assert "one id per object" in dataset.layout
        assert read_pair(dataset, dataset.records[0])[1].sum() == 39
    (tmp_path / "a" / "classes.txt").write_text("nucleus\n")
    assert read_dataset(tmp_path / "a").classes.names == ("background", "nucleus")
    with pytest.raises(MaskwrightError, match="object ids"):
        read_dataset(tmp_path / "a", ReadOptions(map={3: 4}))


def test_few_values_in_sixteen_bits_are_classes(tmp_path):
    for number in range(3):
        photo(tmp_path / "images" / f"{number}.png")
        write(tmp_path / "masks" / f"{number}.png", labels([0, 1, 2]).astype(np.uint16))
    assert read_dataset(tmp_path).classes.names == ("class-0", "class-1", "class-2")


# ---------------------------------------------------------------- colours

COLORS = np.array([[0, 0, 0], [200, 0, 0], [0, 9, 255]], np.uint8)


def colored(root: Path) -> Path:
    for number in range(2):
        photo(root / "images" / f"{number}.jpg")
        write(root / "masks" / f"{number}.png", COLORS[labels([0, 1, 2])])
    return root


def test_colors_found_in_the_masks(tmp_path):
    dataset = read_dataset(colored(tmp_path))
    assert dataset.classes.names == ("background", "class-1", "class-2")
    assert dataset.classes.colors == ((0, 0, 0), (0, 9, 255), (200, 0, 0))
    assert read_pair(dataset, dataset.records[0])[1][0, :3].tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("class_dict.csv", "name,r,g,b\nleft,0,0,0\nmid,200,0,0\nvoid,0,9,255\n"),
        ("classes.csv", "left,0,0,0\nmid,200,0,0\nvoid,0,9,255\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nleft:0,0,0::\nmid:200,0,0::\nvoid:0,9,255::\n"),
        ("label_colors.txt", "0 0 0\t\tleft\n200 0 0\tmid\n0 9 255\tvoid\n"),
        ("classes.txt", "left 0 0 0\nmid 200 0 0\nvoid 0 9 255\n"),
        ("classes.json", '[{"name": "left", "color": "#000000"}, {"name": "mid", "color": [200, 0, 0]}, '
         '{"name": "void", "color": [0, 9, 255]}]'),
    ],
)  # fmt: skip
def test_colors_from_tables(tmp_path, name, text):
    (colored(tmp_path) / name).write_text(text)
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("left", "mid")
    assert dataset.classes.colors == ((0, 0, 0), (200, 0, 0))
    assert dataset.color_to_index == {(0, 0, 0): 0, (200, 0, 0): 1, (0, 9, 255): IGNORE}
    assert read_pair(dataset, dataset.records[0])[1][0, :3].tolist() == [0, 1, IGNORE]


def test_palette_masks_are_indices_unless_their_colors_are_named(tmp_path):
    photo(tmp_path / "images" / "a.jpg")
    colors = [tuple(color) for color in COLORS.tolist()]
    palette_mask(tmp_path / "masks" / "a.png", labels([0, 1, 2]), colors)
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("class-0", "class-1", "class-2")
    assert "with a palette" in dataset.layout
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nblue,0,9,255\nblack,0,0,0\nred,200,0,0\n")
    dataset = read_dataset(tmp_path)
    assert [dataset.classes.names[index] for index in read_pair(dataset, dataset.records[0])[1][0, :3]] == [
        "black",
        "red",
        "blue",
    ]


PASSED_OVER = {
    "hex colours": ("colors.csv", "name,hex\nground,#000000\nroof,#c80a00\nlawn,#00c80a\n"),
    "ids": ("masks/labels.csv", "-1;plate\n0;ground\n1;roof\n2;lawn\n"),
    "names alone": ("class-list.TXT", "ground\nroof\nlawn\n"),
}
HUES = np.array([[0, 0, 0], [200, 10, 0], [0, 200, 10]], np.uint8)


@pytest.mark.parametrize("name", PASSED_OVER)
def test_a_table_under_another_name_is_named_with_cures_that_work(tmp_path, name):
    file, text = PASSED_OVER[name]
    pairs(tmp_path, [0, 1, 2])
    for mask in (tmp_path / "masks").iterdir():
        write(mask, HUES[labels([0, 1, 2])] if "hex" in name else labels([0, 1, 2]))
    table = tmp_path / file
    table.write_text(text)
    found = read_dataset(tmp_path)
    assert [(fault.kind, fault.severity, fault.path) for fault in found.faults] == [("unused", "warning", table)]
    assert f"rename it to classes{table.suffix.lower()}, or give it as `read.classes`" in found.faults[0].cure
    given = read_dataset(tmp_path, ReadOptions(classes=table))
    table.rename(table.with_name(f"classes{table.suffix.lower()}"))
    for cured in (given, read_dataset(tmp_path)):
        assert (cured.classes.names, cured.faults) == (("ground", "roof", "lawn"), ())


@pytest.mark.parametrize(
    "text", ["image,label\na,1\nb,1\n", "0,ground\n1,roof\n", "ground\nroof\nlawn\npole\n", "\x00"]
)
def test_a_file_that_does_not_list_the_classes_is_no_table(tmp_path, text):
    pairs(tmp_path, [0, 1, 2])
    (tmp_path / "labels.csv").write_text(text)
    assert read_dataset(tmp_path).faults == ()


def test_options_for_values_are_refused_for_colors(tmp_path):
    with pytest.raises(MaskwrightError, match=r"`read\.ignore` and `read\.map` apply to values"):
        read_dataset(colored(tmp_path), ReadOptions(ignore=3))


def test_names_without_colors_are_left_unused_for_colored_masks(tmp_path):
    (colored(tmp_path) / "classes.txt").write_text("a\nb\nc\n")
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "class-1", "class-2")
    assert "classes.txt lists no colours and was not used" in dataset.layout


def test_jpeg_masks_without_a_table_are_refused_but_black_and_white_is_read(tmp_path):
    big = np.kron(labels([0, 1, 2]), np.ones((16, 16), np.uint8))
    photo(tmp_path / "a" / "images" / "a.png", size=big.shape)
    write(tmp_path / "a" / "masks" / "a.jpg", COLORS[big])
    with pytest.raises(MaskwrightError, match="JPEG"):
        read_dataset(tmp_path / "a")
    write(tmp_path / "g" / "masks" / "a.jpg", big * 80, quality=60)
    photo(tmp_path / "g" / "images" / "a.png", size=big.shape)
    for table in (None, "name,r,g,b\na,0,0,0\nb,80,80,80\nc,160,160,160\n"):
        if table is not None:
            (tmp_path / "g" / "classes.csv").write_text(table)
        with pytest.raises(MaskwrightError, match=r"grey lossily compressed masks.*save the masks again as PNG"):
            read_dataset(tmp_path / "g")
    for table in ("0,a\n80,b\n90,c\n160,d\n", "a\nb\nc\n"):  # ids that JPEG changes into one another
        (tmp_path / "g" / "classes.csv").write_text(table)
        with pytest.raises(MaskwrightError, match=r"grey lossily compressed masks.*save the masks again as PNG"):
            read_dataset(tmp_path / "g")
    (tmp_path / "g" / "classes.csv").write_text("name,r,g,b\na,0,0,0\nb,80,80,80\nc,160,160,160\n")
    (tmp_path / "g" / "masks" / "a.jpg").unlink()
    write(tmp_path / "g" / "masks" / "a.png", big * 80)
    cured = read_dataset(tmp_path / "g")
    assert cured.classes.names == ("a", "b", "c")
    np.testing.assert_array_equal(read_pair(cured, cured.records[0])[1], big)
    white = np.kron(labels([0, 0, 0, 0, 1, 1, 1, 1]), np.ones((16, 16), np.uint8))
    photo(tmp_path / "b" / "images" / "a.png", size=white.shape)
    write(tmp_path / "b" / "masks" / "a.jpg", white * 255, quality=40)
    dataset = read_dataset(tmp_path / "b")
    assert "lossily compressed" in dataset.layout
    assert (read_pair(dataset, dataset.records[0])[1] == white).mean() > 0.99


def test_unreadable_masks_do_not_stop_the_reading(tmp_path):
    pairs(tmp_path, [0, 1])
    (tmp_path / "masks" / "01.png").write_bytes(b"")
    assert len(read_dataset(tmp_path).records) == 3
    for mask in (tmp_path / "masks").iterdir():
        mask.write_bytes(b"")
    with pytest.raises(MaskwrightError, match="0 bytes"):
        read_dataset(tmp_path)


# ---------------------------------------------------------------- names of folders and files


@pytest.mark.parametrize(
    ("name", "role", "split"),
    [
        ("trainannot", "mask", "train"),
        ("Train-Masks", "mask", "train"),
        ("images_val", "image", "val"),
        ("validation", None, "val"),
        ("train2017", None, "train"),
        ("train_images_256x256", "image", "train"),
        ("masks-512px", "mask", None),
        ("masks_12", None, None),
        ("instances", "instance", None),
        ("gtFine", "mask", None),
        ("masks_png", "mask", None),
        ("binary_masks", "mask", None),
        ("ground_truth", "mask", None),
        ("testset", None, "test"),
        ("patient7", None, None),
        ("contest", None, None),
        ("2017", None, None),
    ],
)
def test_folder_names(name, role, split):
    meaning = folder_meaning(name)
    assert (meaning.role, meaning.split) == (role, split)


def test_file_names():
    assert bare_stem("img_07") == bare_stem("mask_07") == bare_stem("07_sat") == bare_stem("mask07") == "07"
    assert bare_stem("image") == bare_stem("mask") == ""
    assert bare_stem("cat_and_dog") == "cat_and_dog"
    assert mask_owner("a_b_mask") == mask_owner("mask_a_b") == "a_b"
    assert mask_owner("unmasked") is None
    assert split_word("instances_val2017") == "val"
    assert split_word("contest") is None
    assert place(("site", "train", "images", "a.b.jpg")).key == ("train", "site", "a.b")
    assert place(("masks", "a.jpg.png")).key == ("", "a")


@given(st.text("abcdefgh0123", min_size=1, max_size=9), st.sampled_from(["train", "val", "test", ""]))
def test_an_image_and_its_mask_share_a_key(stem, split):
    image = place(
        (
            "images",
            split,
            f"{stem}.jpg",
        )
    )
    mask = place((split, "masks", f"{stem}.png"))
    assert image.key == mask.key
    assert (image.role, mask.role) == ("image", "mask")


def test_labels_know_the_size_they_must_have(tmp_path):
    dataset = read_dataset(pairs(tmp_path, [0, 1]))
    assert read_label(dataset, dataset.records[0], SIZE).shape == SIZE


@pytest.mark.parametrize("name", ["data.yaml", "metadata.csv", "notes.json", "notes.xml", "split.json"])
def test_a_link_to_nothing_stops_no_set(tmp_path, name):
    pairs(tmp_path, [0, 1])
    (tmp_path / name).symlink_to("moved away")
    dataset = read_dataset(tmp_path)
    assert (dataset.format, len(dataset.records)) == ("folder", 3)
    told = [fault.path.name for fault in dataset.faults if fault.path.name == name]
    assert told == ([name] if name in {"metadata.csv", "split.json"} else [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.yaml", "names: [a]\ndate: 2024-13-45\n"),
        ("notes.yaml", "names: " + "[" * 5000),
        ("split.json", "[" * 200_000),
        ("split.json", "{"),
        ("metadata.csv", 'train "' + "x" * 200_000),
    ],
)
def test_a_damaged_file_of_another_kind_stops_no_set(tmp_path, name, text):
    pairs(tmp_path, [0, 1])
    (tmp_path / name).write_text(text)
    dataset = read_dataset(tmp_path)
    assert (dataset.format, len(dataset.records)) == ("folder", 3)
    told = [fault.path.name for fault in dataset.faults if re.search("cannot be read|is cut off", fault.message)]
    assert told == ([] if name == "notes.yaml" else [name])


def test_a_folder_named_like_a_yaml_file_is_one(tmp_path):
    pairs(tmp_path, [0, 1])
    (tmp_path / "x.yaml").mkdir()
    assert len(read_dataset(tmp_path).records) == 3


def test_a_folder_is_listed_once_a_read_and_anew_in_the_next(tmp_path, monkeypatch):
    pairs(tmp_path, [0, 1])
    listed = []
    walk = import_module("maskwright.data.formats.walk")
    monkeypatch.setattr(walk, "_walk", lambda root, above, found=walk._walk: listed.append(root) or found(root, above))
    assert len(read_dataset(tmp_path).records) == 3
    assert listed.count(tmp_path) == 1
    pairs(tmp_path, [0, 1], count=4)
    assert len(read_dataset(tmp_path).records) == 4


def test_pairs_are_told_apart_once_and_not_grouped(tmp_path, monkeypatch):
    pairs(tmp_path, [0, 1], count=6)
    grouping = import_module("maskwright.data.formats.pairing.grouping")
    pairing = import_module("maskwright.data.formats.pairing.pairs")
    monkeypatch.setattr(grouping, "_by_class_folder", lambda parts: pytest.fail(f"{parts} pair"))
    pairing._divided.cache_clear()
    assert len(read_dataset(tmp_path).records) == 6
    assert pairing._divided.cache_info().misses == 1
