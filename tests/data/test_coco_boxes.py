"""COCO: boxes that contradict the outlines; the box of a run-length code against that of its pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco
from tests.data.layouts import photo

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.survey import survey
from maskwright.ops import rle

SIZE = (40, 60)
BOX = (30, 4, 38, 14)  # left, top, right, bottom


def corners(box):
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


def runs(order):
    mask = np.zeros(SIZE, np.uint8)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 1
    flat = mask.ravel(order)
    edges = np.flatnonzero(np.diff(flat)) + 1
    return {"size": list(SIZE), "counts": np.diff([0, *edges, flat.size]).tolist()}


def faults(root, segmentation, box=BOX, objects=2):
    photo(root / "a.png", size=SIZE)
    told = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    entry = {"image_id": 1, "category_id": 1, "iscrowd": 0}
    right = {"segmentation": [corners((2, 20, 20, 36))], "bbox": [2, 20, 18, 16]}
    annotations = [{"id": 1, "segmentation": segmentation, "bbox": told} | entry, {"id": 2} | entry | right]
    images = [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}]
    document = {"images": images, "annotations": annotations[:objects], "categories": [{"id": 1, "name": "nut"}]}
    (root / "instances.json").write_text(json.dumps(document))
    return [fault for fault in read_dataset(root).faults if fault.kind == "bad-outline"]


@pytest.mark.parametrize("compressed", [False, True])
def test_run_lengths_along_rows_are_refused_and_the_cure_works(tmp_path, compressed):
    def code(order):
        found = runs(order)
        return found | {"counts": coco.frPyObjects(found, *SIZE)["counts"].decode()} if compressed else found

    words = r"instances\.json: 1 of 1 run-length code with a box fits it only if the runs follow rows, id 1, but those"
    with pytest.raises(MaskwrightError, match=rf"{words} of COCO follow columns: write the runs again, column by"):
        faults(tmp_path, code("C"))
    assert faults(tmp_path, code("F")) == []


def test_a_code_of_another_size_is_reported_once(tmp_path):
    larger = {"size": [2 * SIZE[0], 2 * SIZE[1]], "counts": [2 * SIZE[0] * 50 + 10, 20, 4 * SIZE[0] * SIZE[1]]}
    larger["counts"][2] -= sum(larger["counts"][:2])
    assert faults(tmp_path, larger) == []
    (found,) = (fault for fault in survey(read_dataset(tmp_path)).dataset.faults if fault.severity == "error")
    assert (found.kind, found.path.name) == ("size-mismatch", "a.png")
    assert found.message == "a.png has a run-length code of 120x80 pixels in instances.json, but is 60x40"


EXCHANGED = [[side for x, y in zip(corners(BOX)[::2], corners(BOX)[1::2], strict=True) for side in (y, x)]]


def test_outlines_with_x_and_y_exchanged_are_refused_and_the_cures_work(tmp_path):
    words = r"instances\.json: 1 of 1 outline with a box fits it only with x and y exchanged, id 1: write x before y in"
    with pytest.raises(MaskwrightError, match=words):
        faults(tmp_path, EXCHANGED, objects=1)
    assert faults(tmp_path, [corners(BOX)], objects=1) == []
    with pytest.raises(MaskwrightError, match=words):  # here the boxes are wrong
        faults(tmp_path, [corners(BOX)], (4, 30, 14, 38), objects=1)


@pytest.mark.parametrize(
    "segmentation",
    [
        [corners(tuple(side / 2 for side in BOX))],
        EXCHANGED,
        [corners((0, 0, 8, 10))],
    ],
)
def test_an_outline_elsewhere_than_the_box_is_reported(tmp_path, segmentation):
    (fault,) = faults(tmp_path, segmentation)
    assert (fault.severity, fault.path.name) == ("warning", "instances.json")
    assert fault.message.startswith("1 of 2 objects with a box has an outline elsewhere, id 1, with x from ")
    assert fault.message.endswith("but bbox [30, 4, 8, 10]; the outlines are used")


@pytest.mark.parametrize(
    ("segmentation", "box"),
    [
        ([corners(BOX)], BOX),
        (runs("F"), BOX),
        ([corners(BOX)], (27, 1, 41, 16)),  # a loose box
        ([corners(BOX)], (30, 4, 68, 18)),  # two corners
        ([[30, 4, 32, 4, 31, 5]], (31, 6, 33, 8)),  # a few pixels
        ([corners(BOX)], (0, 0, 0, 0)),  # not known
    ],
)
def test_boxes_that_fit_are_not_reported(tmp_path, segmentation, box):
    assert faults(tmp_path, segmentation, box) == []


@given(arrays.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_the_box_of_a_run_length_code(mask):
    rows, columns = np.nonzero(mask)
    expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if mask.any() else None
    assert rle.box(rle.encode(mask)) == expected
