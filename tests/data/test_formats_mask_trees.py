"""The trees of mask files in docs/data.md, written file by file: each is recognised, and its pixels are right."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pytest
from tests.data.layouts import SIZE, photo, write
from tests.data.trees import trees

from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_objects, read_pair

SECTION = "Layouts of mask files"
NUT = np.zeros(SIZE, np.uint8)
NUT[1:3, 1:5] = 1
BOLT = np.zeros(SIZE, np.uint8)
BOLT[4:6, 2:5] = 1
BOTH = (NUT + 2 * BOLT).astype(np.uint8)

TEXTS = {
    "classes.txt": "background\nnut\nbolt\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nnut:200,0,0::\nbackground:0,0,0::\nbolt:0,90,0::\n",
    "default.txt": "cam 1/a\ncam 1/b\n",
    "dataset.json": '{"channel_names": {"0": "grey", "1": "infrared"}, "numTraining": 2, "file_ending": ".png", '
    '"labels": {"background": 0, "nut": 1, "bolt": 2}}',
    "meta.json": '{"classes": [{"title": "nut"}, {"title": "bolt"}], "tags": []}',
}
# Tree -> the names of its classes, and the pixels of each in its first image.
EXPECTED = {
    "folder": ({"background": 34, "nut": 8, "bolt": 6}, {"train", "val"}),
    "layers": ({"background": 34, "bolt": 6, "nut": 8}, {None}),
    "layers (objects)": ({"background": 34, "object": 14}, {None}),
    "voc": ({"nut": 8, "background": 34, "bolt": 6}, {None}),
    "nnunet": ({"background": 34, "nut": 8, "bolt": 6}, {None}),
    "cell-tracking": ({"background": 34, "object": 14}, {None}),
    "supervisely-masks": ({"background": 34, "nut": 8, "bolt": 6}, {None}),
    "cityscapes": ({"road": 34, "person": 8, "car": 6}, {"train", "val"}),
    "alpha": ({"background": 40, "foreground": 8}, {None}),
    "folder (objects)": ({"class-0": 34, "class-1": 8, "class-2": 6}, {None}),
}
# Folder, or end of a name -> what stands for background, nut and bolt.
CODED = {
    "SegmentationClass": np.array([[0, 0, 0], [200, 0, 0], [0, 90, 0]], np.uint8),
    "SegmentationObject": np.array([0, 1, 2], np.uint8),
    "instances": np.array([0, 1, 2], np.uint8),
    "SEG": np.array([0, 1, 2], np.uint16),
    "TRA": np.array([0, 4, 7], np.uint16),
    "labelIds": np.array([7, 24, 26], np.uint8),
    "instanceIds": np.array([7, 24_000, 26_000], np.uint16),
}
# Tree -> class index and pixels of each object of its first image.
OBJECTS = {
    "layers (objects)": [(1, 8), (1, 6)],
    "cell-tracking": [(1, 8), (1, 6)],
    "voc": [(0, 8), (2, 6)],
    "folder (objects)": [(1, 8), (2, 6)],
    "cityscapes": [(11, 8), (13, 6)],
}


def mask(entry: PurePosixPath) -> np.ndarray | None:
    """Return what a mask file of a tree holds; None for an image."""
    places = {*entry.parent.parts, entry.stem.rpartition("_")[2]}
    if "nut" in places or entry.stem == "0b61":
        return NUT * 255
    if "bolt" in places or entry.stem in {"77d3", "3c02"}:
        return BOLT * 255
    coded = next((values for place, values in CODED.items() if place in places), None)
    if coded is not None:
        return coded[BOTH]
    return BOTH if places & {"masks", "labelsTr", "masks_machine"} else None


def cut_out(seed: int) -> np.ndarray:
    picture = np.random.default_rng(seed).integers(0, 256, (*SIZE, 4), dtype=np.uint8)
    picture[..., 3] = NUT * 200
    return picture


def test_every_format_of_masks_has_a_tree():
    assert set(trees(SECTION)) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_tree_is_read(tmp_path, name):
    for seed, entry in enumerate(map(PurePosixPath, trees(SECTION)[name])):
        path = tmp_path / entry
        shown = mask(entry)
        if entry.name in TEXTS:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(TEXTS[entry.name], encoding="utf-8")
        elif name == "alpha":
            write(path, cut_out(seed))
        elif shown is not None:
            write(path, shown)
        elif name == "nnunet":
            write(path, np.full(SIZE, seed, np.uint8))
        else:
            photo(path, seed)
    dataset = read_dataset(tmp_path, ReadOptions(format="alpha") if name == "alpha" else None)
    pixels, splits = EXPECTED[name]
    assert (dataset.format, dataset.faults) == (name.partition(" ")[0], ())
    assert set(pixels) <= set(dataset.classes.names)
    assert {record.split for record in dataset.records} == splits
    assert len(dataset.records) == 2
    image, label = read_pair(dataset, dataset.records[0])
    assert image.shape == (*SIZE, 2 if name == "nnunet" else 3)
    counts = np.bincount(label.ravel(), minlength=len(dataset.classes)).tolist()
    shown = {key: count for key, count in zip(dataset.classes.names, counts, strict=True) if count}
    assert shown == pixels
    found = [(entry.index, entry.area) for entry in read_objects(dataset, dataset.records[0], SIZE)]
    assert found == OBJECTS.get(name, [])
