"""nnU-Net's raw data, Supervisely's masks, and cut-outs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.data.layouts import SIZE, labels, photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_label, read_pair
from maskwright.data.readers import DecodeError, read_image

LABELS = {"background": 0, "nut": 1, "bolt": 2}


def nnunet(root, channels=2, count=3, **about):
    """Write cases of `channels` grey files each; the file of channel k of case n holds 10 n + k."""
    for case in range(count):
        for channel in range(channels):
            write(root / f"imagesTr/case_{case}_{channel:04}.png", np.full(SIZE, 10 * case + channel, np.uint8))
        write(root / f"labelsTr/case_{case}.png", labels([0, 1, 2]))
    names = {str(channel): "x" for channel in range(channels)}
    text = {"channel_names": names, "labels": LABELS, "numTraining": count, "file_ending": ".png", **about}
    (root / "dataset.json").write_text(json.dumps(text))
    return root


def test_a_channel_of_another_size_is_an_error(tmp_path):
    nnunet(tmp_path)
    write(tmp_path / "imagesTr/case_0_0001.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(DecodeError, match=r"is 3x3 pixels, but the first channel, case_0_0000\.png, is 8x6"):
        read_image(read_dataset(tmp_path).records[0].image)


def test_test_images_with_and_without_labels(tmp_path):
    nnunet(tmp_path, channels=1)
    write(tmp_path / "imagesTs/case_9_0000.png", np.zeros(SIZE, np.uint8))
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("unlabelled", "note")
    write(tmp_path / "labelsTs/case_9.png", labels([0, 1]))
    dataset = read_dataset(tmp_path)
    assert {record.split for record in dataset.records} == {"train", "test"}
    assert dataset.faults == ()


def test_a_case_without_all_channels_is_an_error_once(tmp_path):
    nnunet(tmp_path)
    (tmp_path / "imagesTr/case_1_0001.png").unlink()
    (tmp_path / "imagesTr/stray.png").write_bytes((tmp_path / "imagesTr/case_0_0000.png").read_bytes())
    dataset = read_dataset(tmp_path)
    assert [record.image.path.name for record in dataset.records] == ["case_0_0000.png", "case_2_0000.png"]
    assert [(fault.kind, fault.severity, fault.path.name) for fault in dataset.faults] == [
        ("unpaired", "error", "stray.png"),
        ("channels", "error", "case_1_0000.png"),
        ("dataset-json", "warning", "dataset.json"),
    ]


def test_a_data_set_below_the_root(tmp_path):
    nnunet(tmp_path / "Dataset004_Plates")
    assert len(read_dataset(tmp_path).records) == 3
    nnunet(tmp_path / "Dataset005_Bolts")
    with pytest.raises(MaskwrightError, match=r"several data sets of nnU-Net .*: give the folder of one of them"):
        read_dataset(tmp_path)


def test_volumes_are_refused(tmp_path):
    for folder, name in (("imagesTr", "a_0000.nii.gz"), ("labelsTr", "a.nii.gz")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"x")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz"}))
    with pytest.raises(MaskwrightError, match=r"the files are \.nii\.gz\)\. Volumes are not read"):
        read_dataset(tmp_path)


# ---------------------------------------------------------------- Supervisely's masks


def supervisely(root, mask, colors=None):
    (root / "meta.json").write_text(json.dumps({"classes": [{"title": "nut"}, {"title": "bolt"}]}))
    if colors is not None:
        (root / "obj_class_to_machine_color.json").write_text(json.dumps(colors))
    for part in ("train", "val"):
        photo(root / part / "img" / "a.jpg")
        write(root / part / "masks_machine" / "a.jpg.png", mask)
        photo(root / part / "masks_human" / "a.jpg.png")
    return root


@pytest.mark.parametrize(
    "colors",
    [None, {"nut": [1, 1, 1], "bolt": [2, 2, 2]}, {"background": [0, 0, 0], "nut": [1, 1, 1], "bolt": [2, 2, 2]}],
)
def test_supervisely(tmp_path, colors):
    dataset = read_dataset(supervisely(tmp_path, labels([0, 1, 2]), colors))
    assert (dataset.format, dataset.faults) == ("supervisely-masks", ())
    assert dataset.classes.names == ("background", "nut", "bolt")
    assert [(record.id, record.split) for record in dataset.records] == [
        ("train/img/a.jpg", "train"),
        ("val/img/a.jpg", "val"),
    ]
    assert read_label(dataset, dataset.records[0], SIZE).tolist() == labels([0, 1, 2]).tolist()


def test_supervisely_in_real_colors(tmp_path):
    shown = np.array([[0, 0, 0], [250, 0, 0], [0, 9, 90]], np.uint8)[labels([0, 1, 2])]
    dataset = read_dataset(supervisely(tmp_path, shown, {"nut": [250, 0, 0], "bolt": [0, 9, 90]}))
    assert dataset.classes.names == ("background", "nut", "bolt")
    assert read_label(dataset, dataset.records[0], SIZE).tolist() == labels([0, 1, 2]).tolist()


# ---------------------------------------------------------------- cut-outs


def cut_outs(root, alpha):
    for seed in range(2):
        picture = np.random.default_rng(seed).integers(0, 256, (*SIZE, 4), dtype=np.uint8)
        picture[..., 3] = alpha
        write(root / f"{seed}.png", picture)
    return root


def test_alpha_is_cut_at_half_and_the_soft_share_is_told(tmp_path):
    alpha = labels([0, 127, 128, 255])
    dataset = read_dataset(cut_outs(tmp_path, alpha), ReadOptions(format="alpha"))
    image, label = read_pair(dataset, dataset.records[0])
    assert image.shape == (*SIZE, 3)
    assert label.tolist() == labels([0, 0, 1, 1]).tolist()
    assert "50.0% of the pixels are partly transparent, and foreground from 128 on" in dataset.layout


@pytest.mark.parametrize(("alpha", "what"), [(255, "opaque"), (0, "transparent")])
def test_alpha_that_marks_nothing_is_refused(tmp_path, alpha, what):
    with pytest.raises(MaskwrightError, match=f"every image is {what} everywhere"):
        read_dataset(cut_outs(tmp_path, alpha), ReadOptions(format="alpha"))


def test_alpha_takes_two_names(tmp_path):
    table = cut_outs(tmp_path, labels([0, 255])) / "names.txt"
    table.write_text("table\nnut\n")
    dataset = read_dataset(tmp_path, ReadOptions(format="alpha", classes=table))
    assert dataset.classes.names == ("table", "nut")
    table.write_text("nut\n")
    with pytest.raises(MaskwrightError, match="names 1 class, but alpha shows 2"):
        read_dataset(tmp_path, ReadOptions(format="alpha", classes=table))


def test_one_value_with_two_names_is_refused(tmp_path):
    nnunet(tmp_path, labels={"background": 0, "a": 1, "b": 1})
    with pytest.raises(MaskwrightError, match="gives id 1 to 'a' and 'b': change one"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("color", "what"), [([1, 1, 1], "id 1 to 'nut' and 'bolt'"), ([9, 0, 0], r"the colour \(9, 0, 0\) to 'nut' and")]
)
def test_supervisely_with_one_color_for_two_classes_is_refused(tmp_path, color, what):
    supervisely(tmp_path, np.zeros((*SIZE, 3), np.uint8), {"nut": color, "bolt": color})
    with pytest.raises(MaskwrightError, match=what):
        read_dataset(tmp_path)
