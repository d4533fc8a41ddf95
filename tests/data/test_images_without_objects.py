"""One mask file per object: how an image without objects is stated."""

from __future__ import annotations

import numpy as np
from tests.data.layouts import photo, write

from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_objects

SIZE = (20, 30)


def disc(place):
    mask = np.zeros(SIZE, np.uint8)
    mask[4:10, 8 * place + 1 : 8 * place + 7] = 255
    return mask


def tree(root):
    for number in range(4):
        photo(root / f"case{number}" / "images" / f"case{number}.png", number, SIZE)
        (root / f"case{number}" / "masks").mkdir()
        for place in range(3 * (number > 0)):
            write(root / f"case{number}" / "masks" / f"{'xyz'[place]}{number}f.png", disc(place))
    return root


def test_the_cure_of_an_empty_folder_works(tmp_path):
    tree(tmp_path)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("unpaired", "error")
    assert fault.message.endswith("case0.png has no mask")
    assert fault.cure.endswith("; a black mask says that an image shows nothing")
    write(tmp_path / "case0" / "masks" / "none.png", np.zeros(SIZE, np.uint8))
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    assert [len(list(read_objects(dataset, record, SIZE))) for record in dataset.records] == [0, 3, 3, 3]


def test_a_blank_file_beside_others_is_still_reported(tmp_path):
    write(tree(tmp_path) / "case1" / "masks" / "w1f.png", np.zeros(SIZE, np.uint8))
    assert ("empty-object", "warning") in [(fault.kind, fault.severity) for fault in read_dataset(tmp_path).faults]
