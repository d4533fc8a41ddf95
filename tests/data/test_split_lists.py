"""Lists and tables beside plain folders that tell the split."""

from __future__ import annotations

import json

import pytest
from tests.data.layouts import labels, pairs, photo, write

from maskwright.data.formats import read_dataset

SPLIT = {f"images/{number:02}.jpg": split for number, split in enumerate(["train", "train", "val", "test"])}
NAMES = list(SPLIT)


def write_lists(root, texts):
    pairs(root, [0, 1], count=4)
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    return read_dataset(root)


def splits(dataset):
    return {record.id: record.split for record in dataset.records}


FORMS = {
    "stems": {"train.txt": "00\n01\n", "val.txt": "02\n", "test.txt": "03\n"},
    "paths, Windows": {
        "train.txt": ".\\images\\00.jpg\r\nimages\\01.jpg\r\n",
        "val.txt": "images/02.jpg\r\n",
        "test.txt": "03.jpg \r\n",
    },
    "pairs": {
        "train.txt": "images/00.jpg masks/00.png\nimages/01.jpg masks/01.png\n",
        "validation.txt": "images/02.jpg,masks/02.png\n",
        "test.txt": "# the rest\n/images/03.jpg\tmasks/03.png\n",
    },
    "a folder of lists": {"splits/train.txt": "00\n01", "splits/val.txt": "02", "splits/test.txt": "C:\\data\\03.jpg"},
    "a table": {"splits.csv": "filename,split\n00.jpg,train\n01.jpg,train\n02.jpg,valid\n03.jpg,test\n"},
    "a table without a header": {"split.csv": "00;train\n01;train\n02;val\n03;test\n"},
    "a table of more": {
        "metadata.csv": "id,set,age,image\n7,Train,31,00.jpg\n8,Train,40,01.jpg\n9,Val,2,02.jpg\n10,Test,5,03.jpg\n"
    },
    "JSON of lists": {"split.json": json.dumps({"train": ["00", "01"], "val": ["02"], "test": ["03"]})},
    "JSON of names": {
        "splits.json": json.dumps({"fold": dict(zip(["00", "01", "02", "03"], SPLIT.values(), strict=True))})
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_the_lists_are_followed(tmp_path, form):
    dataset = write_lists(tmp_path, FORMS[form])
    assert splits(dataset) == SPLIT
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("split-list", "note")
    assert fault.message.endswith(": 2 train, 1 val, 1 test")


UNFOLLOWED = {
    "one part only": ({"train.txt": "00\n01\n"}, "they name only one part, train"),
    "two lists for a part": (
        {"a/train.txt": "00\n01\n", "b/train.txt": "00\n", "val.txt": "02\n03\n"},
        "several of them are for one part and differ",
    ),
    "other names": ({"train.txt": "x\n", "val.txt": "y\n"}, "fewer than two of them name images of this folder"),
}


@pytest.mark.parametrize("case", UNFOLLOWED)
def test_lists_that_are_not_followed_are_told(tmp_path, case):
    texts, why = UNFOLLOWED[case]
    dataset = write_lists(tmp_path, texts)
    assert splits(dataset) == dict.fromkeys(NAMES)
    assert dataset.faults[-1].severity == "warning"
    assert why in dataset.faults[-1].message


def test_a_name_in_two_lists_is_told(tmp_path):
    dataset = write_lists(tmp_path, {"train.txt": "00\n01\n02\n", "val.txt": "02\n03\n"})
    assert splits(dataset) == dict(zip(NAMES, ["train", "train", "train", "val"], strict=True))
    assert [fault.kind for fault in dataset.faults if fault.severity == "warning"] == ["split-overlap"]


def test_names_without_an_image_and_images_in_no_list_are_told(tmp_path):
    dataset = write_lists(tmp_path, {"train.txt": "00\ngone\n", "val.txt": "02\n"})
    assert splits(dataset) == {"images/00.jpg": "train", "images/02.jpg": "val"}
    said = " ".join(fault.message for fault in dataset.faults if fault.severity == "warning")
    assert "1 of 2 names in train.txt, gone, does not match exactly one image with a mask" in said
    assert "2 images, such as images/01.jpg, are in no list, and not used" in said


def test_folders_that_tell_the_split_come_first(tmp_path):
    for split, name in (("train", "a"), ("val", "b")):
        photo(tmp_path / f"images/{split}/{name}.jpg")
        write(tmp_path / f"masks/{split}/{name}.png", labels([0, 1]))
    (tmp_path / "train.txt").write_text("b\n")
    (tmp_path / "val.txt").write_text("a\n")
    dataset = read_dataset(tmp_path)
    assert splits(dataset) == {"images/train/a.jpg": "train", "images/val/b.jpg": "val"}
    assert [(fault.kind, fault.severity) for fault in dataset.faults] == [("split-list", "note")]


@pytest.mark.parametrize(
    "text", ["name,price\na,3\n", "", "split\ntrain\nval\n", "id,split,set\n00,train,val\n01,val,train\n"]
)
def test_other_tables_mean_nothing(tmp_path, text):
    dataset = write_lists(tmp_path, {"data.csv": text, "split.json": "[]"})
    assert (splits(dataset), dataset.faults) == (dict.fromkeys(NAMES), ())
