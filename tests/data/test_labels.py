"""Labels: values, colours and sizes that do not fit are told; JPEG masks are snapped; objects are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from tests.data.layouts import labels, palette_mask, photo, write

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, ImageRef, MaskFile, Record, Shape, Shapes
from maskwright.data.labels import read_label, read_objects, read_pair
from maskwright.data.readers import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (6, 8)
NAMES = Classes.named([f"c{number}" for number in range(12)])
COLORS = {(0, 0, 0): 0, (250, 0, 0): 1, (0, 0, 240): 2, (9, 9, 9): IGNORE}


def dataset(root: Path, mask: Path, kind: str = "index", **tables: object) -> Dataset:
    image = photo(root / "image.png")
    values = {value: value for value in range(12)} | {255: IGNORE}
    record = Record("image.png", ImageRef(image), MaskFile(ImageRef(mask), kind))
    return Dataset(root, "folder", "", NAMES, (record,), **({"value_to_index": values} | tables))


def fails(data: Dataset, kind: str, *words: str, size: tuple[int, int] = SIZE) -> None:
    with pytest.raises(DecodeError) as caught:
        read_label(data, data.records[0], size)
    assert caught.value.kind == kind
    for word in words:
        assert word in str(caught.value)


def test_values_become_indices(tmp_path):
    for dtype in (np.uint8, np.uint16, np.int32, np.int64):
        path = tmp_path / "m.npy"
        np.save(path, labels([0, 11, 255, 3]).astype(dtype))
        data = dataset(tmp_path, path, value_to_index={0: 5, 11: 2, 255: IGNORE, 3: 0})
        image, label = read_pair(data, data.records[0])
        assert label.dtype == np.uint8
        assert image.shape == (*SIZE, 3)
        np.testing.assert_array_equal(label, labels([5, 2, IGNORE, 0]))


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.uint16, (3, 4), elements=st.integers(0, 900)))
def test_any_table_is_a_plain_look_up(tmp_path_factory, values):
    root = tmp_path_factory.mktemp("m")
    np.save(root / "m.npy", values)
    table = {value: value % 251 for value in range(901)}
    data = dataset(root, root / "m.npy", value_to_index=table)
    np.testing.assert_array_equal(read_label(data, data.records[0], (3, 4)), values % 251)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_a_value_that_no_table_knows(tmp_path, dtype):
    np.save(tmp_path / "m.npy", labels([0, 37]).astype(dtype))
    data = dataset(tmp_path, tmp_path / "m.npy")
    fails(
        data,
        "unknown-label",
        "m.npy holds label 37 (24 pixels)",
        "the known labels are 0..11, 255:",
        "`read.map` 37=ignore",
    )
    data = dataset(tmp_path, tmp_path / "m.npy", value_to_index={value: value for value in range(12)})
    fails(data, "unknown-label", "known labels are 0..11", "in classes.txt, one id,name per line, among them 37,NAME")


@pytest.mark.parametrize("value", [-1, 70_000])
def test_values_far_outside(tmp_path, value):
    np.save(tmp_path / "m.npy", np.full(SIZE, value))
    fails(dataset(tmp_path, tmp_path / "m.npy"), "unknown-label", f"label {value} (48 pixels)")


def test_a_mask_one_pixel_smaller(tmp_path):
    data = dataset(tmp_path, write(tmp_path / "m.png", labels([0, 1], (5, 8))))
    words = r"m\.png is 8x5 pixels, but its image image\.png is 8x6: save the mask at"
    with pytest.raises(DecodeError, match=words) as caught:
        read_pair(data, data.records[0])
    assert caught.value.kind == "size-mismatch"


def test_a_mask_in_the_other_orientation_names_the_tag(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    path = write(tmp_path / "m.png", labels([0, 1]))
    data = dataset(tmp_path, path)
    record = Record("turned.jpg", ImageRef(tmp_path / "turned.jpg"), MaskFile(ImageRef(path), "index"))
    with pytest.raises(DecodeError, match="EXIF orientation"):
        read_pair(data, record)
    straight = write(tmp_path / "u.png", labels([0, 1], (8, 6)))
    upright = Record("turned.jpg", record.image, MaskFile(ImageRef(straight), "index"))
    assert read_pair(data, upright)[0].shape == (8, 6, 3)


def test_colors_become_indices(tmp_path):
    table = np.array([[0, 0, 0], [250, 0, 0], [0, 0, 240], [9, 9, 9]], np.uint8)
    plain = labels([0, 1, 2, 3])
    expected = labels([0, 1, 2, IGNORE])
    tifffile.imwrite(tmp_path / "m.tif", table[plain], photometric="rgb")
    for path in (
        write(tmp_path / "m.png", table[plain]),
        write(tmp_path / "a.png", np.dstack([table[plain], plain])),
        palette_mask(tmp_path / "p.png", plain, [tuple(color) for color in table.tolist()]),
        write(tmp_path / "n.npy", table[plain]),
        tmp_path / "m.tif",
    ):
        data = dataset(tmp_path, path, "color", color_to_index=COLORS)
        np.testing.assert_array_equal(read_label(data, data.records[0], SIZE), expected, err_msg=path.name)


def test_a_color_that_no_table_knows(tmp_path):
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[2, 3] = (1, 2, 3)
    data = dataset(tmp_path, write(tmp_path / "m.png", picture), "color", color_to_index=COLORS)
    fails(data, "unknown-color", "the colour 1,2,3 (1 pixel)", "is not one of the 4 known colours", "NAME,1,2,3")


def test_a_color_picture_among_index_masks(tmp_path):
    data = dataset(tmp_path, photo(tmp_path / "m.png", 5))
    fails(data, "unknown-label", "is a colour image")


def test_grey_saved_as_rgb_is_an_index_mask(tmp_path):
    grey = np.repeat(labels([0, 7])[..., None], 3, axis=2)
    data = dataset(tmp_path, write(tmp_path / "m.png", grey))
    np.testing.assert_array_equal(read_label(data, data.records[0], SIZE), labels([0, 7]))


def test_jpeg_masks_are_snapped(tmp_path):
    plain = np.kron(labels([0, 1, 2, 2], (4, 8)), np.ones((20, 20), np.uint8))
    table = np.array([[0, 0, 0], [250, 0, 0], [0, 0, 240]], np.uint8)
    path = write(tmp_path / "m.jpg", table[plain], quality=80, subsampling=0)
    data = dataset(tmp_path, path, "color", color_to_index={(0, 0, 0): 0, (250, 0, 0): 1, (0, 0, 240): 2})
    assert (read_label(data, data.records[0], plain.shape) == plain).mean() > 0.97
    path = write(tmp_path / "g.jpg", plain * 100, quality=80)
    data = dataset(tmp_path, path, value_to_index={0: 0, 100: 1, 200: 2})
    assert (read_label(data, data.records[0], plain.shape) == plain).mean() > 0.99


@pytest.mark.parametrize("table", [{0: 0, 1: 1, 2: 2}, {0: 0, 1: IGNORE, 200: 1}])
def test_a_jpeg_of_ids_beside_each_other_is_an_error(tmp_path, table):
    path = write(tmp_path / "m.jpg", np.kron(labels([0, 1], (4, 8)), np.ones((20, 20), np.uint8)))
    fails(dataset(tmp_path, path, value_to_index=table), "jpeg-mask", "changes one id into another", size=(80, 160))
    empty = dataset(tmp_path, write(tmp_path / "e.jpg", np.zeros((80, 160), np.uint8)), value_to_index=table)
    assert not read_label(empty, empty.records[0], (80, 160)).any()


def test_a_photograph_saved_as_jpeg_is_no_mask(tmp_path):
    smooth = np.full((40, 40, 3), 255, np.uint8)
    data = dataset(tmp_path, write(tmp_path / "m.jpg", smooth), "color", color_to_index=COLORS)
    fails(data, "unknown-color", "lossily compressed", "100%", size=(40, 40))


def test_instances(tmp_path):
    ids = np.zeros(SIZE, np.uint16)
    ids[0, 0] = ids[5, 7] = 300  # one object in two places
    ids[2:4, 3:6] = 7
    ids[1, 1] = 65535
    data = dataset(tmp_path, write(tmp_path / "m.png", ids), "instance", value_to_index={65535: IGNORE})
    label = read_label(data, data.records[0], SIZE)
    np.testing.assert_array_equal(label, np.where(ids == 65535, IGNORE, ids != 0))
    objects = [(entry.index, entry.mask.shape, entry.area) for entry in read_objects(data, data.records[0], SIZE)]
    assert objects == [(1, (2, 3), 6), (1, SIZE, 2)]


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.uint8, (5, 6), elements=st.integers(0, 4)))
def test_objects_have_the_pixels_of_their_ids(tmp_path_factory, ids):
    ids[2, 3] = 0  # where there is none, an id that surrounds the others is refused
    root = tmp_path_factory.mktemp("m")
    data = dataset(root, write(root / "m.png", ids), "instance", value_to_index={})
    areas = [entry.area for entry in read_objects(data, data.records[0], (5, 6))]
    assert areas == [int((ids == value).sum()) for value in range(1, 5) if (ids == value).any()]
    for mask in (entry.mask for entry in read_objects(data, data.records[0], (5, 6))):
        assert mask[0].any()
        assert mask[-1].any()
        assert mask[:, 0].any()
        assert mask[:, -1].any()


def test_index_masks_know_no_objects(tmp_path):
    data = dataset(tmp_path, write(tmp_path / "m.png", labels([0, 1])))
    assert list(read_objects(data, data.records[0], SIZE)) == []


def test_shapes_outside_and_without_corners_paint_nothing(tmp_path):
    image = photo(tmp_path / "image.png")
    away = (50.0, 50.0, 60.0, 50.0, 60.0, 60.0)
    above = (-9.0, -9.0, -5.0, -9.0, -5.0, -5.0)
    shapes = Shapes(tmp_path / "a.json", (Shape(1, (away,)), Shape(1), Shape(1, (above,))))
    record = Record("image.png", ImageRef(image), shapes)
    data = Dataset(tmp_path, "coco", "", NAMES, (record,))
    assert read_label(data, record, SIZE).max() == 0
    assert list(read_objects(data, record, SIZE)) == []


def test_no_annotation(tmp_path):
    record = Record("image.png", ImageRef(photo(tmp_path / "image.png")))
    data = Dataset(tmp_path, "folder", "", NAMES, (record,))
    with pytest.raises(MaskwrightError, match="has no annotation"):
        read_pair(data, record)
    assert list(read_objects(data, record, SIZE)) == []
