"""Public data sets as they are downloaded, with what lies beside the masks."""

from __future__ import annotations

import numpy as np
from tests.data.layouts import labels, pairs, photo, write

from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label


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


def test_a_view_of_labelme_is_no_mask(tmp_path):
    for number in range(3):
        folder = tmp_path / f"p{number}_json"
        photo(folder / "img.png", number)
        write(folder / "label.png", labels([0, 1, 2]))
        photo(folder / "label_viz.png", 10 + number)
    dataset = read_dataset(tmp_path)
    assert [record.annotation.path.name for record in dataset.records] == ["label.png"] * 3
    assert dataset.faults == ()


def test_the_roads_of_massachusetts(tmp_path):
    for number in range(3):
        photo(tmp_path / f"train/sat/{number}.tiff", number)
        write(tmp_path / f"train/map/{number}.tif", labels([0, 255]))
    dataset = read_dataset(tmp_path)
    assert (len(dataset.records), dataset.classes.names, dataset.faults) == (3, ("background", "foreground"), ())


def test_coco_stuff_counts_from_0_and_its_table_from_1(tmp_path):
    quarters = np.array([[0, 1], [255, 2]], np.uint8).repeat(20, axis=0).repeat(20, axis=1)
    names = ["unlabeled", "person", "sky", "grass"]
    for number in range(3):
        photo(tmp_path / f"images/train2017/{number}.jpg", number, (40, 40))
        write(tmp_path / f"stuffthingmaps/train2017/{number}.png", quarters)
    (tmp_path / "labels.txt").write_text("".join(f"{number}: {name}\n" for number, name in enumerate(names)))
    (fault,) = [fault for fault in read_dataset(tmp_path).faults if fault.severity == "warning"]
    assert fault.kind == "white-ignored"
    assert fault.cure.endswith("; if it is 'unlabeled', subtract 1 from each id in labels.txt")

    (tmp_path / "labels.txt").write_text("".join(f"{number - 1}: {name}\n" for number, name in enumerate(names)))
    dataset = read_dataset(tmp_path)
    assert (dataset.classes.names, dataset.faults) == (("person", "sky", "grass"), ())
    found = read_label(dataset, dataset.records[0], (40, 40))
    assert [int(found[place]) for place in ((0, 0), (0, 39), (39, 39), (39, 0))] == [0, 1, 2, 255]


def test_a_table_of_hugging_face_is_named_and_the_cure_works(tmp_path):
    pairs(tmp_path, [0, 1, 2])
    (tmp_path / "id2label.json").write_text('{"0": "back", "1": "car", "2": "tree"}')
    (fault,) = read_dataset(tmp_path).faults
    assert fault.message == "id2label.json lists the classes of the masks, but is not read under this name"
    assert fault.cure.startswith("rename it to classes.json")
    (tmp_path / "id2label.json").rename(tmp_path / "classes.json")
    dataset = read_dataset(tmp_path)
    assert (dataset.classes.names, dataset.faults) == (("back", "car", "tree"), ())
