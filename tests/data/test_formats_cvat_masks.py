"""CVAT's masks (Segmentation mask 1.1), which are laid out as Pascal VOC: lists, names, and what is missing."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from tests.data.layouts import SIZE, labels, photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label

LABELMAP = "# label:color_rgb:parts:actions\r\nnut:48,112,32::\r\nbackground:0,0,0::\r\nbolt:176,112,32::\r\n"
COLORS = np.array([[48, 112, 32], [0, 0, 0], [176, 112, 32]], np.uint8)
LISTS = "ImageSets/Segmentation"


def export(root, names, lists, encoding="utf-8"):
    """Write images and masks of these names, and lists of any lines."""
    (root / LISTS).mkdir(parents=True)
    for seed, name in enumerate(names):
        photo(root / f"JPEGImages/{name}.jpg", seed)
        write(root / f"SegmentationClass/{name}.png", COLORS[labels([1, 0, 2])])
        write(root / f"SegmentationObject/{name}.png", COLORS[labels([1, 0, 2])])
    for name, lines in lists.items():
        (root / LISTS / f"{name}.txt").write_text("".join(f"{line}\r\n" for line in lines), encoding=encoding)
    (root / "labelmap.txt").write_text(LABELMAP, encoding="utf-8")
    return root


def splits(dataset):
    assert dataset.format == "voc"
    assert dataset.classes.names == ("nut", "background", "bolt")
    for record in dataset.records:
        assert read_label(dataset, record, SIZE).tolist() == labels([1, 0, 2]).tolist()
    return {record.id.removeprefix("JPEGImages/"): record.split for record in dataset.records}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("frame_0", "frame_0"),
        ("frame no 0", "frame no 0  "),
        ("cam 1/frame 0", "cam 1/frame 0"),
        ("cam1/frame", "cam1/frame.jpg"),
        ("cam1/frame", "cam1\\frame"),
        ("cam1/frame", "frame"),
        ("frame", "/JPEGImages/frame.jpg /SegmentationClass/frame.png"),
        ("2008_7", "2008_7  -1"),
        ("v1.5", "v1.5"),
        ("Frame", "frame"),
        (unicodedata.normalize("NFC", "Gerät"), unicodedata.normalize("NFD", "Gerät")),
    ],
)
def test_lines_of_lists(tmp_path, name, line):
    dataset = read_dataset(export(tmp_path, [name], {"default": [line]}))
    assert splits(dataset) == {f"{name}.jpg": None}
    assert dataset.faults == ()


def test_lists_of_any_name_keep_their_split(tmp_path):
    dataset = read_dataset(export(tmp_path, ["a", "b", "c"], {"Train": ["a"], "Validation": ["b"], "default": ["c"]}))
    assert splits(dataset) == {"a.jpg": "train", "b.jpg": "val", "c.jpg": None}


def test_one_name_in_two_folders(tmp_path):
    dataset = read_dataset(export(tmp_path, ["a/0", "b/0"], {"default": ["a/0", "b/0"]}))
    assert (list(splits(dataset)), dataset.faults) == (["a/0.jpg", "b/0.jpg"], ())


def test_without_lists_every_mask_counts(tmp_path):
    export(tmp_path, ["a", "b"], {})
    assert list(splits(read_dataset(tmp_path))) == ["a.jpg", "b.jpg"]


def test_names_that_do_not_fit_are_shown(tmp_path):
    export(tmp_path, ["a"], {"default": ["z"]})
    with pytest.raises(MaskwrightError, match=r"1 in JPEGImages/ \(a\), 1 in .* 1 name listed \(z\)"):
        read_dataset(tmp_path)
    (tmp_path / LISTS / "default.txt").unlink()  # "or remove the lists"
    assert len(read_dataset(tmp_path).records) == 1


def test_two_images_of_one_name_are_an_error(tmp_path):
    export(tmp_path, ["a", "b"], {"default": ["a", "b"]})
    photo(tmp_path / "JPEGImages/a.png")
    dataset = read_dataset(tmp_path)
    assert list(splits(dataset)) == ["b.jpg"]
    assert [(fault.kind, fault.severity) for fault in dataset.faults] == [
        ("ambiguous", "error"),
        ("unpaired", "warning"),
    ]
