"""A few ids of objects in each mask, in places where classes are expected."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.layouts import photo, write

from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_objects

SIZE = (40, 60)
CELLS = [(row, column) for row in (2, 15, 28) for column in (3, 15, 27, 39, 51)]


def kinds(root):
    return [fault.kind for fault in read_dataset(root).faults if fault.kind != "class-not-in-split"]


def disks(number, order, dtype=np.uint16):
    """Draw squares of 64 pixels at random places, with the ids in `order` from top to bottom."""
    places = np.sort(np.random.default_rng(number).permutation(len(CELLS))[: len(order)])
    mask = np.zeros(SIZE, dtype)
    for place, value in zip(places, order, strict=True):
        row, column = CELLS[place]
        mask[row : row + 8, column : column + 8] = value
    return mask


def shuffled(number, values):
    return np.random.default_rng(100 + number).permutation(np.arange(1, values + 1)).tolist()


def rows(values):
    return list(range(1, values + 1))


IDS = {
    "16 bits": lambda number: disks(number, shuffled(number, 3)),
    "16 bits, one or two": lambda number: disks(number, shuffled(number, 1 + number % 2)),
    "as many as objects": lambda number: disks(number, shuffled(number, 2 + number % 4), np.uint8),
    "row by row": lambda number: disks(number, rows(4), np.uint8),
}


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("beside", [False, True])
def test_few_ids_are_doubted_and_the_cures_work(tmp_path, name, beside):
    root, masks = tmp_path, "{}_masks.png" if beside else "masks/{}.png"
    for number in range(9):
        photo(root / ("" if beside else "images") / f"i{number}.png", number, SIZE)
        write(root / masks.format(f"i{number}"), IDS[name](number))
    classes = read_dataset(root).classes.names
    assert kinds(root) == ["ids-or-classes"]
    (root / "classes.txt").write_text("".join(f"{index},name-{index}\n" for index in range(len(classes))))
    assert kinds(root) == []
    (root / "classes.txt").unlink()
    if beside:
        for path in sorted(root.glob("*_masks.png")):
            path.rename(path.with_name(path.name.replace("_masks", "_instances")))
    else:
        (root / "masks").rename(root / "instances")
    dataset = read_dataset(root)
    assert dataset.faults == ()
    found = [[entry.area for entry in read_objects(dataset, record, SIZE)] for record in dataset.records]
    assert found == [[64] * int(IDS[name](number).max()) for number in range(9)]


def organs(number):
    """Three regions, each at nearly the same place in all masks."""
    mask = np.zeros(SIZE, np.uint16)
    for value, (row, column) in enumerate([(2, 8), (20, 6), (10, 38)][: 3 - (number == 4)], start=1):
        mask[row + number % 3 : row + 8, column : column + 9] = value
    return mask


def nested(number):
    """A disc, its cup and its centre, at another place in each mask."""
    mask = np.zeros(SIZE, np.uint16)
    row, column = 2 + number, 2 + 5 * number
    for value, inner in enumerate((0, 3, 5), start=1):
        mask[row + inner : row + 16 - inner, column + inner : column + 14 - inner] = value
    return mask


CLASSES = {
    "organs": organs,
    "nested": nested,
    "one of each class": lambda number: disks(number, shuffled(number, 3), np.uint8),
    "any of the classes": lambda number: disks(number, [1 + (number + step) % 4 for step in range(2)]),
    "several regions": lambda number: disks(number, [*shuffled(number, 3), 1]),
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_of_one_region_each_are_not_doubted(tmp_path, name):
    for number in range(9):
        photo(tmp_path / "images" / f"i{number}.png", number, SIZE)
        write(tmp_path / "masks" / f"i{number}.png", CLASSES[name](number))
    assert kinds(tmp_path) == []


def test_masks_of_classes_and_maps_of_objects_beside_their_images(tmp_path):
    for number in range(6):
        ids = disks(number, rows(4))
        photo(tmp_path / f"i{number}.png", number, SIZE)
        write(tmp_path / f"i{number}_mask.png", np.where(ids > 2, 2, ids > 0).astype(np.uint8))
        write(tmp_path / f"i{number}_instances.tif", ids)
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    found = [[entry.index for entry in read_objects(dataset, record, SIZE)] for record in dataset.records]
    assert found == [[1, 1, 2, 2]] * 6


def seventy(number):
    """Number 70 to 72 squares of 4 pixels, row by row."""
    count = 70 + number % 3
    ids = np.resize(np.arange(1, 151), (10, 15))
    return np.kron(np.where(ids <= count, ids, 0), np.pad(np.ones((2, 2)), ((1, 1), (1, 1)))).astype(np.uint8)


@pytest.mark.parametrize("ids_of", [IDS["as many as objects"], IDS["row by row"], seventy])
@pytest.mark.parametrize("channel", [0, 2])
def test_ids_in_one_channel_are_doubted_and_the_cures_work(tmp_path, ids_of, channel):
    objects = {f"i{number}": ids_of(number) for number in range(9)}
    for number, (image, ids) in enumerate(objects.items()):
        photo(tmp_path / f"images/{image}.png", number, SIZE)
        mask = np.zeros((*SIZE, 4), np.uint8)
        mask[..., channel], mask[..., 3] = ids, 255
        write(tmp_path / f"masks/{image}.png", mask)
    classes = read_dataset(tmp_path).classes.names
    assert len(classes) == 1 + max(map(np.max, objects.values()))
    assert kinds(tmp_path) == ["ids-or-classes"]
    (tmp_path / "classes.txt").write_text("".join(f"{index},name-{index}\n" for index in range(len(classes))))
    assert kinds(tmp_path) == []
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "masks").rename(tmp_path / "instances")
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    for record in dataset.records:
        found = sorted(entry.area for entry in read_objects(dataset, record, SIZE))
        assert found == sorted(np.unique(objects[record.image.path.stem], return_counts=True)[1][1:])
