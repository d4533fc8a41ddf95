"""COCO: run-length codes along rows are refused by their shapes where no box tells it; right ones never are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco
from tests.data.layouts import photo

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.formats.coco_runs import require_columns
from maskwright.data.formats.outlines.shapes import Drawing
from maskwright.data.labels import read_objects
from maskwright.data.readers import read_image
from maskwright.ops import rle

if TYPE_CHECKING:
    from collections.abc import Iterable

DATA = Path(__file__).parents[2].parent / "shared" / "data"
FILE = Path("instances.json")
SIZE = (40, 60)


def blank(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.zeros(size, bool)


def box(top: int, bottom: int, left: int, right: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = blank(size)
    mask[top:bottom, left:right] = True
    return mask


def disc(row: float, column: float, radius: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    rows, columns = np.indices(size)
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def columns(mask: np.ndarray) -> dict[str, Any]:
    return rle.encode(mask)


def rows(mask: np.ndarray) -> dict[str, Any]:
    return rle.encode(mask.T) | {"size": list(mask.shape)}


def refused(codes: Iterable[dict[str, Any]]) -> bool:
    drawings = [Drawing("nut", rle=code, area=1.0, name=f"id {place}") for place, code in enumerate(codes, 1)]
    try:
        require_columns(FILE, drawings)
    except MaskwrightError:
        return True
    return False


def save(root: Path, codes: list[dict[str, Any]], size: tuple[int, int] = SIZE) -> Path:
    photo(root / "a.png", size=size)
    annotations = [
        {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": code}
        for number, code in enumerate(codes, 1)
    ]
    images = [{"id": 1, "file_name": "a.png", "height": size[0], "width": size[1]}]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "nut"}]}
    (root / FILE).write_text(json.dumps(document))
    return root


@pytest.mark.parametrize("compressed", [False, True])
def test_codes_along_rows_are_refused_and_the_cure_works(tmp_path, compressed):
    mask = disc(20, 30, 9)
    flat = mask.ravel().astype(np.int8)
    runs = {"size": list(SIZE), "counts": np.diff([0, *(np.flatnonzero(np.diff(flat)) + 1), flat.size]).tolist()}
    code = runs | {"counts": coco.frPyObjects(runs, *SIZE)["counts"].decode()} if compressed else runs
    words = (
        r"instances\.json: 2 of 3 run-length codes that were compared are torn if the runs follow columns, as those of "
        r"COCO do, and whole if they follow rows, such as id 1: write the runs again, column by column"
    )
    single = columns(box(5, 6, 7, 8))  # tells nothing
    with pytest.raises(MaskwrightError, match=words):
        read_dataset(save(tmp_path, [code, code, single]))
    dataset = read_dataset(save(tmp_path, [columns(mask), single]))
    assert dataset.faults == ()
    found = read_objects(dataset, dataset.records[0], SIZE)
    assert sorted(entry.area for entry in found) == [1, mask.sum()]


def test_a_few_codes_along_rows_beside_right_ones_are_read():
    assert not refused([rows(disc(20, 30, 9))] + 2 * [columns(disc(20, 30, 9))])


def test_all_of_a_long_file_counts():
    some = [columns(box(3, 4, 3, 4))] * 5000 + [rows(disc(20, 30, 9))] * 50
    assert refused(some)
    assert not refused(some[:5000])


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(box(0, 40, 10, 13), id="across the whole height"),
        pytest.param(box(10, 13, 0, 60), id="across the whole width"),
        pytest.param(box(0, 40, 0, 60), id="everything"),
        pytest.param(~box(2, 38, 2, 58), id="frame"),
        pytest.param(box(0, 40, 5, 25) & ~box(10, 30, 5, 25), id="above and below"),
        pytest.param(np.indices(SIZE)[0] % 4 < 2, id="stripes along rows"),
        pytest.param(np.indices(SIZE)[1] % 4 < 2, id="stripes down columns"),
        pytest.param(np.indices(SIZE)[1] % 4 < 1, id="thin stripes down columns"),
        pytest.param(np.indices(SIZE).sum(0) % 6 < 3, id="slanted stripes"),
        pytest.param(np.indices(SIZE).sum(0) % 2 < 1, id="chessboard"),
        pytest.param((np.indices(SIZE) % 4 == 0).all(0), id="dots"),
        pytest.param(np.indices((480, 500))[0] // 20 == np.indices((480, 500))[1] - 100, id="steep line"),
        pytest.param(np.indices((480, 640))[0] // 160 == np.indices((480, 640))[1] - 100, id="steeper line"),
        pytest.param(box(0, 256, 100, 103, (256, 1600)), id="across the height of a wide image"),
        pytest.param(np.random.default_rng(0).random(SIZE) < 0.1, id="noise"),
        pytest.param(blank(), id="nothing"),
    ],
)
def test_right_codes_of_odd_shapes_are_not_refused(mask):
    assert not refused([columns(mask)] * 3)
    assert not refused([columns(np.ascontiguousarray(mask.T))] * 3)


sides = st.integers(12, 70)


@given(st.lists(st.tuples(sides, sides, st.floats(0, 1), st.floats(0, 1), st.floats(1, 20), st.booleans()), max_size=4))
def test_discs_and_boxes_are_never_refused(shapes):
    masks = []
    for height, width, down, across, radius, rounded in shapes:
        row, column, size = down * height, across * width, (height, width)
        edges = [max(0, round(value)) for value in (row - radius, row + radius, column - radius, column + radius)]
        masks.append(disc(row, column, radius, size) if rounded else box(*edges, size=size))
    assert not refused(map(columns, masks))


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (100, 300), (256, 320), (480, 640), (640, 427), (500, 495)])
@pytest.mark.parametrize("share", [0.15, 0.3, 0.45])
def test_discs_along_rows_are_refused(size, share):
    assert refused([rows(disc(size[0] * 0.49, size[1] * 0.52, share * min(size), size))])


def test_square_images_tell_nothing():
    assert not refused([rows(disc(30, 20, 9, (60, 60)))])


@pytest.mark.skipif(not DATA.exists(), reason="no ../shared/data")
@pytest.mark.parametrize("name", ["coco-tiny", "nuclei", "pedestrians"])
def test_real_objects(name):
    dataset = read_dataset(DATA / name)
    for record in dataset.records[::15]:
        size = read_image(record.image).shape[:2]
        objects = read_objects(dataset, record, size)
        whole = [rle.decode(rle.encode(entry.mask, size, (entry.top, entry.left))) for entry in objects]
        assert not refused(map(columns, whole)), record.id
        assert not any(refused([columns(mask)]) for mask in whole), record.id
        if size[0] != size[1] and any(mask.sum() > 100 for mask in whole):
            assert refused(map(rows, whole)), record.id
