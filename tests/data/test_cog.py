"""Cloud-optimised GeoTIFF: the layout that the standard asks for, pixels as given, and where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from maskwright.data import cog
from maskwright.data.cog import ASCII, DOUBLE, SHORT, Tag, write_cog
from maskwright.data.readers.geotiff import Georeference, georeference
from maskwright.ops.rows import ArrayRows

if TYPE_CHECKING:
    from pathlib import Path

PALETTE = np.arange(768, dtype=np.uint16).reshape(256, 3).astype(np.uint8)
KEYS = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)
PLACE = (
    Tag(33550, DOUBLE, (0.5, 0.5, 0.0)),
    Tag(33922, DOUBLE, (0.0, 0.0, 0.0, 500000.0, 5300000.0, 0.0)),
    Tag(34735, SHORT, KEYS),
    Tag(34737, ASCII, "WGS 84 / UTM zone 33N|"),
)


def faults(path: Path) -> list[str]:
    """Check what GDAL's validator of cloud-optimised GeoTIFF checks."""
    found = []
    with tifffile.TiffFile(path) as tiff:
        pages = list(tiff.pages)
        if pages[0].offset != (16 if tiff.is_bigtiff else 8):
            found.append("the first directory is not at the start")
        if [page.offset for page in pages] != sorted(page.offset for page in pages):
            found.append("directories are not in order")
        firsts = [page.dataoffsets[0] for page in pages]
        if firsts != sorted(firsts, reverse=True):
            found.append("tiles of larger images come before those of smaller ones")
        if min(firsts) < max(page.offset for page in pages):
            found.append("tiles come before directories")
        for page in pages:
            if not page.is_tiled:
                found.append("no tiles")
            if list(page.dataoffsets) != sorted(page.dataoffsets):
                found.append("tiles are not in order")
        if [page.subfiletype for page in pages] != [0] + [1] * (len(pages) - 1):
            found.append("an overview is not called so")
        if max(pages[-1].shape) > 512:
            found.append("no overview is small enough")
    return found


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (513, 300), (1800, 2300), (9000, 70)])
@pytest.mark.parametrize("big", [False, True])
def test_layout_and_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], big: bool) -> None:
    if big:
        monkeypatch.setattr(cog, "_LARGEST_CLASSIC", 0)
    labels, path = np.random.default_rng(0).integers(0, 5, size, dtype=np.uint8), tmp_path / "a.tif"
    write_cog(path, ArrayRows(labels), PALETTE, "said", PLACE)
    assert faults(path) == []
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff == big
        for number, page in enumerate(tiff.pages):
            np.testing.assert_array_equal(page.asarray(), labels[:: 2**number, :: 2**number])
        page = tiff.pages[0]
        assert page.description == "said"
        assert (page.colormap.T >> 8).astype(np.uint8).tolist() == PALETTE.tolist()
        place = georeference(page)
    assert place is not None
    assert place.epsg == 32633
    assert place.transform == (0.5, 0, 500000, 0, -0.5, 5300000)


def test_the_judge_sees_a_plain_tiff(tmp_path: Path) -> None:
    labels = np.zeros((1100, 1100), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(labels, tile=(512, 512), subifds=0)
        tiff.write(labels[::2, ::2], tile=(512, 512), subfiletype=1)
    assert len(faults(tmp_path / "a.tif")) >= 2


def test_pixels_named_by_their_centres_and_rotated_ones() -> None:
    keys = (1, 1, 0, 1, 1025, 0, 1, 2)
    tie, scale = (2.0, 3.0, 0.0, 100.0, 200.0, 0.0), (10.0, 20.0, 0.0)
    point = Georeference({33550: scale, 33922: tie, 34735: keys})
    # Centre of pixel (2, 3) at (100, 200): corner of pixel (0, 0) at 100 - 2.5 * 10 and 200 + 3.5 * 20.
    assert point.transform == (10, 0, 75, 0, -20, 270)
    assert point.epsg is None
    assert not point.is_rotated
    matrix = (3.0, 4.0, 0.0, 7.0, 4.0, -3.0, 0.0, 8.0, *(0.0,) * 8)
    turned = Georeference({34264: matrix})
    assert turned.transform == (3, 4, 7, 4, -3, 8)
    assert turned.is_rotated
    assert Georeference({34735: keys}).transform is None


@pytest.mark.parametrize(
    "tags",
    [
        {33550: (10.0, 20.0, 0.0), 33922: (2.0, 4.0, 0.0, 100.0, 200.0, 0.0)},
        {34264: (3.0, 4.0, 0.0, 7.0, 4.0, -3.0, 0.0, 8.0, *(0.0,) * 8)},
    ],
)
@pytest.mark.parametrize("keys", [(1, 1, 0, 1, 1025, 0, 1, 1), (1, 1, 0, 1, 1025, 0, 1, 2)], ids=["area", "point"])
def test_an_overview_lies_at_the_same_place(tags: dict[int, tuple[float, ...]], keys: tuple[int, ...]) -> None:
    tags = {**tags, 34735: keys}
    whole = Georeference(tags).transform
    half = Georeference(tags).at_level(2, 4).transform
    assert whole is not None
    assert half is not None
    for column, row in ((0, 0), (40, 20), (8, 100)):
        for first in (0, 3):
            large = whole[first] * column + whole[first + 1] * row + whole[first + 2]
            small = half[first] * column / 4 + half[first + 1] * row / 2 + half[first + 2]
            assert large == pytest.approx(small)


@pytest.mark.parametrize(
    ("tag", "kept"),
    [
        ((34737, 1, 3, b"caf\xe9|", True), {33550, 34735, 34737}),  # text in bytes, as many programs write it
        ((34737, 3, 2, (7, 9), True), {33550, 34735}),
        ((33550, 2, 0, "wide", True), {34735}),
        ((33550, 12, 1, 2.5, True), {33550, 34735}),  # of one number
        ((34735, 12, 4, (1.0, 1.0, 0.0, 0.5), True), {33550}),
    ],
)
def test_tags_of_another_type_are_none_of_a_map(tmp_path: Path, tag: tuple[object, ...], kept: set[int]) -> None:
    usual = {33550: (33550, 12, 3, (2.0, 2.0, 0.0), True), 34735: (34735, 3, 4, (1, 1, 0, 0), True)}
    tags = {**usual, tag[0]: tag}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((32, 32), np.uint8), extratags=list(tags.values()))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        place = georeference(tiff.pages[0])
    assert place is not None
    assert {*place.tags} == kept
    copied = [Tag(code, cog_kind(values), values) for code, values in place.tags.items()]
    write_cog(tmp_path / "b.tif", ArrayRows(np.zeros((32, 32), np.uint8)), np.zeros((256, 3), np.uint8), "", copied)


def cog_kind(values: object) -> int:
    return ASCII if isinstance(values, str) else SHORT if isinstance(values[0], int) else DOUBLE  # type: ignore[index]
