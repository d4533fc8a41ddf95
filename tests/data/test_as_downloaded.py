"""Public data sets as they are downloaded, with what lies beside the masks."""

from __future__ import annotations

import numpy as np
from tests.data.layouts import labels, pairs, photo, write

from maskwright.data.formats import read_dataset


def test_a_colour_copy_of_the_masks_is_no_image(tmp_path):
    """KITTI: image_2/ holds the photographs, semantic_rgb/ the masks of semantic/ in colours."""
    for number in range(4):
        name = f"{number:06}_10.png"
        photo(tmp_path / "training/image_2" / name, number)
        write(tmp_path / "training/semantic" / name, labels([7, 26]))
        write(tmp_path / "training/semantic_rgb" / name, np.stack([labels([0, 9])] * 3, axis=2))
        write(tmp_path / "training/instance" / name, labels([7, 26]).astype(np.uint16) * 256)
    dataset = read_dataset(tmp_path)
    assert {record.image.path.parent.name for record in dataset.records} == {"image_2"}
    assert {record.annotation.path.parent.name for record in dataset.records} == {"semantic"}
    assert dataset.classes.names == ("class-7", "class-26")


def test_a_test_set_without_any_mask_can_only_be_predicted(tmp_path):
    pairs(tmp_path, [0, 1, 2])
    for number in range(2):
        photo(tmp_path / f"images/test/t{number}.png", 20 + number)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path) == ("unlabelled", "note", tmp_path / "images/test")
    assert fault.message == "2 images in images/test/ have no masks, and can only be predicted"

    write(tmp_path / "masks/test/t0.png", labels([0, 1, 2]))
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path) == ("unpaired", "error", tmp_path / "images/test/t1.png")
    (tmp_path / "masks/test/t0.png").rename(tmp_path / "masks/test/other.png")  # it has masks, under other names
    severities = [(fault.severity, fault.path.name) for fault in read_dataset(tmp_path).faults]
    assert severities == [("error", "t0.png"), ("error", "t1.png"), ("warning", "other.png")]
