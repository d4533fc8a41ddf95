"""TIFF: the same picture whatever the compression; bands are never rows; colours are what a viewer shows."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.data.tiff_by_hand import packed, write_tiff

from maskwright.core.records import ImageRef
from maskwright.data.readers import DecodeError, Pages, count_pages, image_size, read_image, read_mask

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(11)
BITS = RNG.integers(0, 2, (20, 37)).astype(bool)
GREY = RNG.integers(0, 256, (20, 37), dtype=np.uint8)
WIDE = RNG.integers(0, 65536, (20, 37), dtype=np.uint16)
LOSSLESS = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"]
FAX = ["group3", "group4", "tiff_ccitt"]


@pytest.mark.parametrize("compression", [*LOSSLESS, *FAX])
@pytest.mark.parametrize("photometric", [0, 1])
def test_what_is_white_is_one_whatever_the_compression(tmp_path: Path, compression: str, photometric: int) -> None:
    """Pillow stores the picture as it looks: inverted for WhiteIsZero."""
    path = tmp_path / "a.tif"
    Image.fromarray(BITS).save(path, compression=compression, tiffinfo={262: photometric})
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].photometric == photometric
    np.testing.assert_array_equal(read_mask(path).array, BITS)
    np.testing.assert_array_equal(read_image(path), np.repeat(BITS[..., None] * 255, 3, axis=2))
    if compression not in FAX:
        Image.fromarray(GREY).save(path, compression=compression, tiffinfo={262: photometric})
        np.testing.assert_array_equal(read_mask(path).array, GREY)
        np.testing.assert_array_equal(read_image(path)[..., 0], GREY)


@pytest.mark.parametrize("compression", LOSSLESS)
def test_sixteen_bits_of_white_is_zero(tmp_path: Path, compression: str) -> None:
    """Pillow stores these as they are, whatever it says about white."""
    Image.fromarray(WIDE).save(tmp_path / "a.tif", compression=compression, tiffinfo={262: 0})
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], 65535 - WIDE)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif").array, 65535 - WIDE)


def test_a_later_page_of_white_is_zero(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY + number) for number in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw", tiffinfo={262: 0})
    for number in range(3):
        np.testing.assert_array_equal(read_mask(ImageRef(tmp_path / "a.tif", number)).array, GREY + number)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("photometric", [0, 1])
def test_few_bits(tmp_path: Path, bits: int, compression: int, photometric: int) -> None:
    stored = RNG.integers(0, 2**bits, (5, 9))
    data = packed(stored, bits)
    tags = {258: bits, 259: compression, 262: photometric}
    write_tiff(tmp_path / "a.tif", zlib.compress(data) if compression == 8 else data, stored.shape, tags)
    most = 2**bits - 1
    seen = most - stored if photometric == 0 else stored
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif").array, seen)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], seen * (255 // most))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_more_than_eight_bits_are_not_stretched(tmp_path: Path, bits: int) -> None:
    stored = RNG.integers(0, 2**bits, (5, 8))
    write_tiff(tmp_path / "a.tif", packed(stored, bits), stored.shape, {258: bits})
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif").array, stored)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], stored)


def test_bits_that_nothing_unpacks_are_refused(tmp_path: Path) -> None:
    stored = RNG.integers(0, 64, (5, 8))
    write_tiff(tmp_path / "a.tif", packed(stored, 6), stored.shape, {258: 6})
    with pytest.raises(DecodeError, match=r"1 bands of 6 bits .* needs imagecodecs: run pip install imagecodecs"):
        read_mask(tmp_path / "a.tif")


@pytest.mark.parametrize("alpha", [1, 2])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_colours_are_not_multiplied_by_alpha(tmp_path: Path, alpha: int, compression: str) -> None:
    rgba = RNG.integers(0, 256, (20, 37, 4), dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.tif", compression=compression, tiffinfo={338: alpha})
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), rgba[..., :3])


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint32, np.float32])
def test_numbers_keep_their_sign_in_every_compression(tmp_path: Path, dtype: type) -> None:
    values = (RNG.normal(size=(20, 37)) * 60).astype(dtype)
    tifffile.imwrite(tmp_path / "plain.tif", values)
    unsigned = values.view(np.dtype(f"u{values.itemsize}")) if values.dtype.kind == "i" else values
    assert cv2.imwrite(str(tmp_path / "lzw.tif"), unsigned, [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    data = bytearray((tmp_path / "lzw.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "lzw.tif") as tiff:
        tag = tiff.pages[0].tags["SampleFormat"]
        data[tag.valueoffset] = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    (tmp_path / "lzw.tif").write_bytes(data)
    for name in ("plain.tif", "lzw.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name)[..., 0], values.astype(np.float32), err_msg=name)


@pytest.mark.parametrize("bands", [2, 8, 40, 200])
def test_planes_are_bands_and_never_rows(tmp_path: Path, bands: int) -> None:
    cube = RNG.integers(0, 4000, (bands, 64, 80), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "separate.tif", cube, photometric="minisblack", planarconfig="separate")
    tifffile.imwrite(tmp_path / "bare.tif", cube, photometric="minisblack", planarconfig="separate", metadata=None)
    tifffile.imwrite(
        tmp_path / "deflate.tif", cube, photometric="minisblack", planarconfig="separate", compression="zlib"
    )
    last = np.moveaxis(cube, 0, 2)
    tifffile.imwrite(tmp_path / "contig.tif", last, photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(tmp_path / "tiled.tif", last, photometric="minisblack", planarconfig="contig", tile=(16, 16))
    tifffile.imwrite(tmp_path / "big.tif", last, photometric="minisblack", planarconfig="contig", bigtiff=True)
    tifffile.imwrite(tmp_path / "named.tif", cube, imagej=True, metadata={"axes": "CYX"})
    for path in sorted(tmp_path.glob("*.tif")):
        np.testing.assert_array_equal(read_image(path), last, err_msg=path.name)
        assert image_size(path) == (64, 80), path.name
        if path.stem != "named":
            assert count_pages(path) == Pages(1), path.name


def test_forty_pages_without_a_name_are_no_bands(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 64, 80), np.uint16), metadata=None)
    assert count_pages(tmp_path / "a.tif") == Pages(40)
    with pytest.raises(DecodeError, match="a stack of 40 pages"):
        read_image(tmp_path / "a.tif")


def test_colours_of_a_mask_need_eight_bits(tmp_path: Path) -> None:
    low = RNG.integers(0, 256, (5, 6, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", low, photometric="rgb")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif").array, low)
    tifffile.imwrite(tmp_path / "a.tif", low * 257, photometric="rgb")
    with pytest.raises(DecodeError, match=r"colours of type uint16 beyond 0 to 255: save it as PNG"):
        read_mask(tmp_path / "a.tif")


def test_ycbcr_is_converted_and_cielab_refused(tmp_path: Path) -> None:
    smooth = np.asarray(Image.fromarray(RNG.integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize((64, 48)))
    for compression in (None, "tiff_lzw", "jpeg"):
        Image.fromarray(smooth).convert("YCbCr").save(tmp_path / "a.tif", compression=compression)
        assert np.abs(read_image(tmp_path / "a.tif").astype(int) - smooth).mean() < 3, compression
    Image.fromarray(smooth).convert("LAB").save(tmp_path / "a.tif")
    with pytest.raises(DecodeError, match="CIELab colours, not RGB: save it as RGB"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("kept", [8, 20, 150, 250])
def test_a_file_that_was_cut_off_is_named_with_a_cure(tmp_path: Path, kept: int) -> None:
    tifffile.imwrite(tmp_path / "whole.tif", GREY, compression="zlib", rowsperstrip=4)
    (tmp_path / "a.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:kept])
    with pytest.raises(DecodeError, match=r"a\.tif .*: copy it again from its source, or remove it") as caught:
        read_mask(tmp_path / "a.tif")
    assert "list index" not in caught.value.message
    if kept == 8:
        assert caught.value.message == "holds no page: it is damaged, or was cut off"
