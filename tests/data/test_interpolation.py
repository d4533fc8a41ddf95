"""Maps of object ids that were interpolated, and maps that only look similar."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.data.layouts import photo, write

from maskwright.data.formats import read_dataset
from maskwright.data.interpolation import interpolated
from maskwright.data.labels import read_objects
from maskwright.data.readers import DecodeError

SIZE = (48, 64)
RESIZED = [
    (cv2.INTER_LINEAR, 0.5),
    (cv2.INTER_LINEAR, 2),
    (cv2.INTER_AREA, 0.6),
    (cv2.INTER_CUBIC, 0.6),
    (cv2.INTER_CUBIC, 3),
]


def ids_of(number=0):
    ids = np.zeros(SIZE, np.uint8)
    for key in range(1, 9):
        centre = (8 + 16 * ((key - 1) % 4), 12 + 22 * ((key - 1) // 4))
        cv2.ellipse(ids, centre, (7, 9), 20 * key + number, 0, 360, 25 * key, -1)
    return ids


def colors_of(ids):
    colors = np.random.default_rng(3).integers(30, 256, (256, 3), np.uint8)
    colors[0] = 0
    return colors[ids]


def numbers(colors):
    red, green, blue = np.moveaxis(colors.astype(np.uint32), 2, 0)
    return red | green << 8 | blue << 16


@pytest.mark.parametrize(("how", "scale"), RESIZED)
def test_resized_maps_are_found(how, scale):
    for picture, colors in ((ids_of(), False), (colors_of(ids_of()), True)):
        soft, sharp = (
            cv2.resize(picture, None, fx=scale, fy=scale, interpolation=kind) for kind in (how, cv2.INTER_NEAREST_EXACT)
        )
        soft, sharp = (numbers(soft), numbers(sharp)) if colors else (soft, sharp)
        assert interpolated(soft, colors=colors)
        assert not interpolated(sharp, colors=colors)


def test_golden_rows():
    row = np.array([[0, 0, 0, 2, 4, 6, 9, 9]])  # 3 of 4 steps go on, through 3 of 5 ids
    assert interpolated(row, colors=False)
    assert interpolated(row.T, colors=False)
    assert not interpolated(np.array([[0, 0, 0, 4, 9, 9]]), colors=False)  # 1 of 3 ids
    assert not interpolated(np.array([[0, 0, 9, 9, 4, 4]]), colors=False)
    assert not interpolated(np.array([[0, 9, 0, 9, 0, 9]]), colors=False)
    assert not interpolated(np.zeros((1, 1), int), colors=False)


def test_maps_that_look_similar_are_not_found():
    noise = np.random.default_rng(0).integers(0, 1000, (80, 80))
    assert not interpolated(noise, colors=False)
    assert not interpolated(noise * 65_537 % 0xFFFFFF, colors=True)
    ids = ids_of().astype(np.int32)
    rims = (ids > 0) & (cv2.erode((ids > 0).view(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    assert not interpolated(np.where(rims, 1, ids), colors=False)  # one id for all rims
    assert not interpolated(np.where(rims, -1, ids), colors=False)


def test_a_resized_map_is_an_error_and_the_cure_works(tmp_path):
    for number in range(3):
        photo(tmp_path / "images" / f"i{number}.png", number, (96, 128))

    def saved(how):
        for number in range(3):
            write(tmp_path / "instances" / f"i{number}.png", cv2.resize(ids_of(number), (128, 96), interpolation=how))
        return read_dataset(tmp_path)

    dataset = saved(cv2.INTER_LINEAR)
    words = r"ids, most of them only at edges, as interpolation makes: .* resize it by the nearest neighbour only"
    for record in dataset.records:
        with pytest.raises(DecodeError, match=words):
            list(read_objects(dataset, record, (96, 128)))
    dataset = saved(cv2.INTER_NEAREST_EXACT)
    assert [len(list(read_objects(dataset, record, (96, 128)))) for record in dataset.records] == [8, 8, 8]
