"""A fault is named by its cause, and its cure works."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from tests.data.layouts import SIZE, labels, pairs, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label
from maskwright.data.survey import survey


def faults(root):
    return [fault for fault in survey(read_dataset(root)).dataset.faults if fault.severity == "error"]


def test_a_transposed_mask(tmp_path):
    pairs(tmp_path, [0, 1, 2], count=4)
    write(tmp_path / "masks/01.png", labels([0, 1, 2]).T.copy())
    (fault,) = faults(tmp_path)
    assert fault.message == "01.png is 6x8 pixels, but its image 01.jpg is 8x6"
    assert fault.cure.startswith("transpose or rotate the mask so that it fits its image")
    write(tmp_path / "masks/01.png", labels([0, 1, 2]))
    assert faults(tmp_path) == []


def test_red_and_blue_exchanged(tmp_path):
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 128, 64]], np.uint8)
    pairs(tmp_path, [0, 1], count=4)
    for number in range(4):
        write(tmp_path / f"masks/{number:02}.png", colors[labels([0, 1, 2])])
    (tmp_path / "classes.csv").write_text("name,r,g,b\nback,0,0,0\ncar,255,0,0\ntree,0,128,64\n")
    painted = np.ascontiguousarray(colors[labels([0, 1, 2])][..., ::-1])
    write(tmp_path / "masks/02.png", painted)
    (fault,) = faults(tmp_path)
    assert fault.cure.startswith("if its red and blue channels are exchanged, as in files that OpenCV wrote, exchange ")
    write(tmp_path / "masks/02.png", np.ascontiguousarray(painted[..., ::-1]))
    assert faults(tmp_path) == []
    dataset = read_dataset(tmp_path)
    assert (read_label(dataset, dataset.records[2], SIZE) == labels([0, 1, 2])).all()

    painted[0, 0] = 9  # one more colour, which no exchange explains
    write(tmp_path / "masks/02.png", painted)
    (fault,) = faults(tmp_path)
    assert "channels" not in fault.cure


def test_an_archive(tmp_path):
    pairs(tmp_path / "in", [0, 1])
    packed = tmp_path / "out" / "data.zip"
    packed.parent.mkdir()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted((tmp_path / "in").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "in"))
    with pytest.raises(MaskwrightError, match=r"data\.zip is an archive: unpack it, and give the folder"):
        read_dataset(packed)
    with pytest.raises(MaskwrightError, match=r"holds no images, but an archive, data\.zip: unpack it"):
        read_dataset(packed.parent)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(packed.parent)
    assert len(read_dataset(packed.parent).records) == 3
