"""YOLO segmentation: data.yaml in its many forms, label files, and what they get wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.layouts import labels, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.formats.outlines import drawn_shapes
from maskwright.data.labels import read_objects, read_pair

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (20, 40)
LEFT = "0 0 0 0.5 0 0.5 1 0 1\n"
CORNER = "1 0.0 0.0 0.25 0.0 0.25 0.5 0.0 0.5\n"


def make(root: Path, text: str = LEFT + CORNER, *, names: str = "[a, b]") -> Path:
    splits = ("train", "val")
    for split in splits:
        for number in range(2):
            photo(root / "images" / split / f"{split}{number}.jpg", size=SIZE)
            path = root / "labels" / split / f"{split}{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    lines = [f"{split}: images/{split}" for split in splits]
    (root / "data.yaml").write_text("\n".join([*lines, f"names: {names}"]) + "\n")
    return root


def test_yolo(tmp_path):
    dataset = read_dataset(make(tmp_path))
    assert dataset.format == "yolo"
    assert dataset.classes.names == ("background", "a", "b")
    assert [(record.id, record.split) for record in dataset.records] == [
        ("images/train/train0.jpg", "train"),
        ("images/train/train1.jpg", "train"),
        ("images/val/val0.jpg", "val"),
        ("images/val/val1.jpg", "val"),
    ]
    label = read_pair(dataset, dataset.records[0])[1]
    expected = np.zeros(SIZE, np.uint8)
    expected[:, :20] = 1
    expected[:10, :10] = 2
    np.testing.assert_array_equal(label, expected)
    objects = [(entry.index, entry.mask.shape) for entry in read_objects(dataset, dataset.records[0], SIZE)]
    assert objects == [(1, (20, 20)), (2, (10, 10))]
    assert dataset.faults == ()


@pytest.mark.parametrize(("count", "told"), [(2, 0), (3, 1), (1, 1)])
def test_another_number_of_classes_than_of_names_is_told(tmp_path, count, told):
    path = make(tmp_path) / "data.yaml"
    path.write_text(f"{path.read_text()}nc: {count}\n")
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "a", "b")
    assert [fault.severity for fault in dataset.faults] == ["warning"] * told
    for fault in dataset.faults:
        assert (fault.path, fault.message) == (path, f"nc is {count}, but names holds 2 classes: the names count")


@pytest.mark.parametrize("names", ["[a, b]", "{0: a, 1: b}", "\n  0: a\n  1: b", "\n  - a\n  - b"])
def test_names(tmp_path, names):
    assert read_dataset(make(tmp_path, names=names)).classes.names == ("background", "a", "b")
    assert read_dataset(tmp_path / "data.yaml").classes.names == ("background", "a", "b")


def test_a_name_that_stands_twice_is_refused_with_its_file(tmp_path):
    with pytest.raises(MaskwrightError, match=r"data\.yaml: the class name 'a' occurs twice"):
        read_dataset(make(tmp_path, names="[a, a]"))


def test_a_class_called_background_comes_first(tmp_path):
    dataset = read_dataset(make(tmp_path, names="[crack, background]"))
    assert dataset.classes.names == ("background", "crack")
    assert np.unique(read_pair(dataset, dataset.records[0])[1]).tolist() == [0, 1]


@pytest.mark.parametrize(
    "text",
    [
        "path: .\ntrain: images/train\nval: images/val\n",
        "path: /nowhere/at/all\ntrain: images/train\nval: [images/val]\n",
        "train: ../images/train\nval: ../images/val\ntest: ../images/none\n",
        "train: lists/train.txt\nval: images/val\n",
    ],
)
def test_paths_in_the_yaml(tmp_path, text):
    make(tmp_path)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("../images/train/train0.jpg\n../images/train/train1.jpg\n")
    (tmp_path / "data.yaml").write_text(text + "names: [a, b]\n")
    assert [record.split for record in read_dataset(tmp_path).records] == ["train", "train", "val", "val"]


def test_a_wrong_path_in_the_yaml(tmp_path):
    make(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/trian\nval: images/val\nnames: [a, b]\n")
    with pytest.raises(MaskwrightError, match="train: images/trian does not exist"):
        read_dataset(tmp_path)


def test_without_a_yaml(tmp_path):
    make(tmp_path)
    (tmp_path / "data.yaml").unlink()
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "class-0", "class-1")
    assert {record.split for record in dataset.records} == {"train", "val"}
    (tmp_path / "classes.txt").write_text("x\ny\n")
    assert read_dataset(tmp_path).classes.names == ("background", "x", "y")


def test_options(tmp_path):
    make(tmp_path)
    ignored = read_dataset(tmp_path, ReadOptions(ignore=1))
    assert ignored.classes.names == ("background", "a")
    assert np.unique(read_pair(ignored, ignored.records[0])[1]).tolist() == [0, 1, IGNORE]
    joined = read_dataset(tmp_path, ReadOptions(map={1: 0}))
    assert joined.classes.names == ("background", "a")
    assert np.unique(read_pair(joined, joined.records[0])[1]).tolist() == [0, 1]


def test_images_without_labels_are_background_and_noted(tmp_path):
    make(tmp_path)
    (tmp_path / "labels" / "train" / "train0.txt").unlink()
    (tmp_path / "labels" / "train" / "train1.txt").write_text("")
    dataset = read_dataset(tmp_path)
    assert read_pair(dataset, dataset.records[0])[1].max() == 0
    assert read_pair(dataset, dataset.records[1])[1].max() == 0
    assert [(fault.kind, fault.severity) for fault in dataset.faults] == [("unpaired", "note")]


def test_boxes(tmp_path):
    box = "0 0.5 0.5 0.2 0.2\n"
    mixed = read_dataset(make(tmp_path / "a", LEFT + box))
    (fault,) = mixed.faults
    assert (fault.kind, fault.path.name) == ("bad-outline", "train0.txt")
    assert fault.message.startswith("4 objects drawn as a box without an outline")
    label = read_pair(mixed, mixed.records[0])[1]
    expected = np.zeros(SIZE, np.uint8)
    expected[8:12, 16:24] = IGNORE
    expected[:, :20] = 1
    np.testing.assert_array_equal(label, expected)
    with pytest.raises(MaskwrightError, match="boxes only"):
        read_dataset(make(tmp_path / "b", box))
    for split in ("train", "val"):
        for number in range(2):
            write(tmp_path / "b" / "masks" / split / f"{split}{number}.png", labels([0, 1], SIZE))
    assert read_dataset(tmp_path / "b").format == "folder"


def test_the_size_of_an_image_is_read_once_for_all_its_boxes(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(drawn_shapes, "_size_of", lambda image: opened.append(image.name) or SIZE)
    read_dataset(make(tmp_path, LEFT + "0 0.5 0.5 0.2 0.2\n" * 3))
    assert sorted(opened) == ["train0.jpg", "train1.jpg", "val0.jpg", "val1.jpg"]


def test_flat_outlines_are_ignored_in_their_boxes(tmp_path):
    flat = "1 0.5 0.1 0.75 0.1 0.6 0.1\n"
    dataset = read_dataset(make(tmp_path / "a", LEFT + flat))
    label = read_pair(dataset, dataset.records[0])[1]
    expected = np.zeros(SIZE, np.uint8)
    expected[:, :20] = 1
    expected[2, 20:30] = IGNORE
    np.testing.assert_array_equal(label, expected)
    with pytest.raises(MaskwrightError, match="holds 4 labels, none of which is an outline that encloses an area"):
        read_dataset(make(tmp_path / "b", flat))


def test_pixels_instead_of_fractions(tmp_path):
    make(tmp_path)
    text = tmp_path / "labels" / "train" / "train1.txt"
    text.write_text(LEFT + "0 3 3 20 3 20 9\n")
    dataset = read_dataset(tmp_path)
    assert "images/train/train1.jpg" not in {record.id for record in dataset.records}
    (fault,) = dataset.faults
    assert (fault.severity, fault.path.name) == ("error", "train1.txt")
    assert "train1.txt holds 3 in line 2, but coordinates must be fractions" in fault.message
    text.write_text("0 -0.02 0 0.5 0 0.5 1.02 -0.02 1.02\n")
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[1])[1][:, :20], 1)


def test_other_encodings(tmp_path):
    make(tmp_path, names="[K\xe4fer, b]")
    path, text = tmp_path / "data.yaml", (tmp_path / "data.yaml").read_text()
    label = tmp_path / "labels" / "val" / "val1.txt"
    for encoding in ("utf-16", "utf-8-sig"):
        path.write_bytes(text.encode(encoding))
        label.write_bytes(LEFT.encode(encoding))
        dataset = read_dataset(tmp_path)
        assert (dataset.classes.names, dataset.faults) == (("background", "K\xe4fer", "b"), ())
    label.write_bytes(b"\xe4")
    assert read_dataset(tmp_path).faults[0].cure == "save it as UTF-8"
    path.write_bytes(text.encode("cp1252"))
    with pytest.raises(MaskwrightError, match=r"data\.yaml is not UTF-8 text .*: save it as UTF-8"):
        read_dataset(tmp_path)


def test_label_files_without_an_image(tmp_path):
    make(tmp_path)
    (tmp_path / "images" / "val" / "val1.jpg").unlink()
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.path.name) == ("unpaired", "val1.txt")


def test_names_that_do_not_match_are_no_background(tmp_path):
    make(tmp_path)
    (tmp_path / "labels" / "val" / "val1.txt").rename(tmp_path / "labels" / "val" / "val 1.txt")
    dataset = read_dataset(tmp_path)
    assert [record.image.path.name for record in dataset.records] == ["train0.jpg", "train1.jpg", "val0.jpg"]
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path.name) == ("unpaired", "warning", "val 1.txt")
    assert "1 image, val1.jpg, no label file; none is used" in fault.message


@pytest.mark.parametrize("name", ["VAL1.txt", "val1.TXT"])
def test_label_files_in_another_case(tmp_path, name):
    make(tmp_path)
    (tmp_path / "labels" / "val" / "val1.txt").rename(tmp_path / "labels" / "val" / name)
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    assert [int((read_pair(dataset, record)[1] == 2).sum()) for record in dataset.records] == [100] * 4


def test_class_numbers_as_numpy_writes_them(tmp_path):
    text = "0.0" + LEFT[1:] + "1.000000e+00" + CORNER[1:]
    dataset = read_dataset(make(tmp_path, text))
    assert dataset.faults == ()
    assert np.bincount(read_pair(dataset, dataset.records[0])[1].ravel()).tolist() == [400, 300, 100]


def test_damaged_lines_beside_a_data_yaml_are_named(tmp_path):
    dataset = read_dataset(make(tmp_path, LEFT.replace(" ", ",")))
    assert (dataset.format, len(dataset.records)) == ("yolo", 0)
    assert "train0.txt begins line 1 with '0,0,0,0.5,0,0.5,1,0,1', which is not the number" in dataset.faults[0].message
    assert dataset.faults[0].cure == "write fractions with a decimal point, and separate the numbers with spaces"


def test_one_label_file_for_two_images(tmp_path):
    make(tmp_path)
    photo(tmp_path / "images" / "val" / "val1.png", size=SIZE)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path.name) == ("ambiguous-name", "warning", "val1.txt")
    assert "val1.txt is the label file of both val1.jpg and val1.png" in fault.message


def test_most_images_without_a_label_file_are_a_warning(tmp_path):
    make(tmp_path)
    for name in ("train/train0", "train/train1", "val/val0"):
        (tmp_path / "labels" / f"{name}.txt").unlink()
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("unpaired", "warning")
    assert "3 of 4 images, such as train0.jpg, have no label file and count as background" in fault.message


def test_labels_that_count_from_one(tmp_path):
    text = LEFT.replace("0", "1", 1) + CORNER.replace("1", "2", 1)
    with pytest.raises(MaskwrightError, match=r"as if they counted from 1: number the names from 1 in data\.yaml"):
        read_dataset(make(tmp_path, text))
    dataset = read_dataset(make(tmp_path, text, names="{1: a, 2: b}"))
    assert dataset.classes.names == ("background", "a", "b")
    assert dataset.faults == ()
    assert np.bincount(read_pair(dataset, dataset.records[0])[1].ravel()).tolist() == [400, 300, 100]


def test_an_image_in_two_splits_is_told(tmp_path):
    make(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images\nval: images/val\nnames: [a, b]\n")
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.path.name) == ("split-overlap", "data.yaml")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [a, b]\n")
    dataset = read_dataset(tmp_path)
    assert (dataset.faults, {record.split for record in dataset.records}) == ((), {None})


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("0 0 0 0.5 0 0.5\n", "unreadable", "5 numbers after the class in line 3, but x and y come in pairs"),
        ("0\n", "unreadable", "a class without coordinates in line 3"),
        (f"0 {'0.1 ' * 60} 0,5\n", "unreadable", "holds '0,5' in line 3, which is not a number"),
        ("dog 0 0 0.5 0 0.5 1\n", "unreadable", "begins line 3 with 'dog', which is not the number of a class"),
        ("9 0 0 0.5 0 0.5 1\n", "unknown-label", "class 9"),
    ],
)
def test_lines_that_are_none(tmp_path, line, kind, words):
    make(tmp_path)
    (tmp_path / "labels" / "val" / "val1.txt").write_text(LEFT + CORNER + line)
    dataset = read_dataset(tmp_path)
    assert len(dataset.records) == 3
    (fault,) = dataset.faults
    assert (fault.kind, fault.path.name) == (kind, "val1.txt")
    assert words in fault.message


def test_a_broken_yaml_is_told(tmp_path):
    make(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [a, b\ntrain: x")
    with pytest.raises(MaskwrightError, match="cannot be read as YAML"):
        read_dataset(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "other.yaml").write_text("[: {")
    assert read_dataset(tmp_path).format == "yolo"


def test_nothing_for_yolo(tmp_path):
    photo(tmp_path / "a.jpg")
    with pytest.raises(MaskwrightError, match="no YOLO data"):
        read_dataset(tmp_path, ReadOptions(format="yolo"))


def test_a_box_before_the_outline_is_refused_and_the_cure_works(tmp_path):
    make(tmp_path, "1 0.125 0.25 0.25 0.5 0.0 0.0 0.25 0.0 0.25 0.5 0.0 0.5\n")
    faults = read_dataset(tmp_path).faults
    assert {(fault.kind, fault.severity) for fault in faults} == {("bad-outline", "error")}
    assert "train0.txt holds a box before the outline in line 1" in faults[0].message
    assert faults[0].cure == "remove the four numbers after the class"
    dataset = read_dataset(make(tmp_path, CORNER))
    assert dataset.faults == ()
    assert np.count_nonzero(read_pair(dataset, dataset.records[0])[1] == 2) == 100


@pytest.mark.parametrize("folder", ["", "labels/train/"])
def test_another_table_with_the_same_names_in_another_order_is_refused_and_both_cures_work(tmp_path, folder):
    table = make(tmp_path) / f"{folder}classes.txt"
    table.write_text("b\na\n")
    with pytest.raises(MaskwrightError, match=r"data\.yaml and .*classes\.txt give the same names to different ids"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path, ReadOptions(classes=table)).classes.names == ("background", "b", "a")
    table.write_text("a\nb\n")
    assert read_dataset(tmp_path).faults == ()
    table.unlink()
    assert read_dataset(tmp_path).classes.names == ("background", "a", "b")
