"""The formats on parts of public data sets, which lie beside a developer's checkout only."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from maskwright.core.classes import IGNORE
from maskwright.core.records import Shapes
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label, read_objects, read_pair

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real data beside the checkout is absent")


def test_camvid():
    dataset = read_dataset(DATA / "camvid")
    assert dataset.format == "folder"
    assert dataset.layout.startswith("train/ + trainannot/, val/ + valannot/: masks of class ids")
    assert dataset.classes.names[0] == "sky"
    assert dataset.classes.names[-1] == "bicyclist"
    assert len(dataset.classes) == 11
    assert dataset.value_to_index == {value: value for value in range(11)} | {11: IGNORE, 255: IGNORE}
    assert Counter(record.split for record in dataset.records) == {"train": 367, "val": 101}
    assert dataset.faults == ()
    image, label = read_pair(dataset, dataset.records[0])
    assert (image.shape, label.shape) == ((360, 480, 3), (360, 480))


def test_cracks():
    dataset = read_dataset(DATA / "cracks")
    assert dataset.classes.names == ("background", "foreground")
    assert len(dataset.records) == 118
    assert {record.split for record in dataset.records} == {None}
    assert np.unique(read_pair(dataset, dataset.records[0])[1]).tolist() == [0, 1]


@pytest.mark.parametrize(("name", "count"), [("nuclei", 206), ("pedestrians", 116)])
def test_instances(name, count):
    dataset = read_dataset(DATA / name)
    assert dataset.classes.names == ("background", "object")
    assert len(dataset.records) == count
    assert "one id per object" in dataset.layout
    record = dataset.records[0]
    label = read_pair(dataset, record)[1]
    areas = [entry.area for entry in read_objects(dataset, record, label.shape)]
    assert sum(areas) == np.count_nonzero(label == 1)


def test_coco_tiny():
    dataset = read_dataset(DATA / "coco-tiny")
    assert dataset.format == "coco"
    assert len(dataset.classes) == 81
    assert dataset.classes.names[:2] == ("background", "person")
    assert dataset.value_to_index[90] == 80
    assert Counter(record.split for record in dataset.records) == {"train": 50, "val": 50}
    crowded = [
        record
        for record in dataset.records
        if isinstance(record.annotation, Shapes) and any(shape.index == IGNORE for shape in record.annotation.shapes)
    ]
    assert len(crowded) >= 8
    for record in crowded[:3]:
        image, label = read_pair(dataset, record)
        assert (label == IGNORE).any()
        np.testing.assert_array_equal(label, read_label(dataset, record, image.shape[:2]))
