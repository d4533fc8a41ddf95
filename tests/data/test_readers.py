"""Readers: every kind of picture to the right array, and every kind of damage to the right error."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import psutil
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from maskwright.core.records import Fault
from maskwright.data.readers import DecodeError, image_size, is_lossy, read_image, read_mask
from maskwright.data.readers.arrays import MAX_PIXELS, channel_axis, exif_orientation, upright, upright_size

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = RGB[..., 0]
SMOOTH = np.ascontiguousarray(cv2.resize(RGB, (90, 60), interpolation=cv2.INTER_LINEAR))


def saved(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def fails(path: Path, kind: str, *words: str, reader=read_image) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        reader(path)
    assert caught.value.kind == kind
    assert str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.cure
    return caught.value


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tif", "webp"])
def test_rgb_keeps_every_pixel_and_its_order(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", RGB, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(read_image(path), RGB)
    assert image_size(path) == (6, 9)


def test_grey_stays_one_channel(tmp_path):
    for suffix in ("png", "tif", "pgm", "bmp"):
        np.testing.assert_array_equal(read_image(saved(tmp_path / f"a.{suffix}", GREY)), GREY[..., None])
    assert read_image(saved(tmp_path / "a.jpg", GREY)).shape == (6, 9, 1)


def test_jpeg_agrees_with_pillow(tmp_path):
    path = saved(tmp_path / "a.jpg", SMOOTH, quality=95)
    other = np.asarray(Image.open(path)).astype(int)
    assert np.abs(read_image(path).astype(int) - other).max() <= 2
    assert is_lossy(path)
    assert not is_lossy(saved(tmp_path / "a.png", SMOOTH))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_alpha_is_left_out(tmp_path, suffix):
    rgba = np.dstack([RGB, 255 - GREY // 2])
    path = saved(tmp_path / f"a.{suffix}", rgba, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(read_image(path), RGB)


def test_alpha_of_grey_is_left_out(tmp_path):
    for suffix in ("png", "tif"):
        Image.fromarray(np.dstack([GREY, RGB[..., 1]]), "LA").save(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}"), GREY[..., None])
    np.testing.assert_array_equal(read_image(saved(tmp_path / "t.png", GREY, transparency=0)), GREY[..., None])
    np.testing.assert_array_equal(read_image(saved(tmp_path / "c.png", RGB, transparency=(0, 0, 0))), RGB)
    palette = Image.fromarray(RGB).quantize(8)
    palette.save(tmp_path / "p.png", transparency=1)
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize(
    ("extra", "bands"), [(["unspecified"], 4), (["unassalpha"], 3), (["assocalpha"], 3), (["unspecified"] * 2, 5)]
)
@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_tiff_keeps_real_bands_and_leaves_alpha_out(tmp_path, extra, bands, layout):
    pixels = RNG.integers(0, 4000, (40, 60, 3 + len(extra)), dtype=np.uint16)
    stored = pixels if layout == "contig" else np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=layout, extrasamples=extra)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels[..., :bands])


def test_tiff_of_two_real_bands(tmp_path):
    pixels = RNG.integers(0, 255, (40, 60, 2), dtype=np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"]
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit_png_keeps_its_bits(tmp_path, channels):
    wide = RNG.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    bgr = wide[..., [2, 1, 0, 3][:channels]] if channels > 1 else wide
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), wide[..., :3])
    assert read_image(tmp_path / "a.png").dtype == np.uint16


def test_palette_and_one_bit_images_become_rgb(tmp_path):
    indices = (np.arange(54).reshape(6, 9) % 4).astype(np.uint8)
    picture = Image.fromarray(indices).convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3])
    picture.putdata(indices.ravel().tolist())
    table = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [1, 2, 3]], np.uint8)
    for name in ("a.png", "a.gif", "a.tif", "a.bmp"):
        picture.save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name), table[indices])
    picture.save(tmp_path / "clear.png", transparency=bytes([0, 128, 255, 255]))
    np.testing.assert_array_equal(read_image(tmp_path / "clear.png"), table[indices])
    Image.fromarray(GREY > 99).save(tmp_path / "bit.png")
    expected = np.repeat(((GREY > 99) * 255).astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(tmp_path / "bit.png"), expected)


def test_cmyk_becomes_rgb(tmp_path):
    Image.fromarray(SMOOTH).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - SMOOTH).mean() < 6
    Image.fromarray(SMOOTH).convert("CMYK").save(tmp_path / "a.tif")
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - SMOOTH).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_agrees_with_pillow(tmp_path, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "a.png", "a.webp", "a.tif"):
        options = {"lossless": True} if name == "a.webp" else {"quality": 100, "subsampling": 0}
        Image.fromarray(SMOOTH).save(tmp_path / name, exif=exif.tobytes(), **options)
        with Image.open(tmp_path / name) as picture:
            expected = np.asarray(ImageOps.exif_transpose(picture))
        seen = read_image(tmp_path / name)
        assert seen.shape == expected.shape
        assert image_size(tmp_path / name) == expected.shape[:2]
        assert np.abs(seen.astype(int) - expected).max() <= 3


@given(arrays.arrays(np.uint8, (3, 4, 2)), st.integers(1, 8))
def test_upright_size_is_the_size_of_upright(array, orientation):
    assert upright(array, orientation).shape[:2] == upright_size((3, 4), orientation)


@given(st.binary(max_size=80))
def test_damaged_exif_never_fails(block):
    assert 1 <= exif_orientation(block) <= 8
    assert 1 <= exif_orientation(b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + block) <= 8


def test_a_png_named_jpg_is_read_as_what_it_is(tmp_path):
    path = saved(tmp_path / "a.png", RGB).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(path), RGB)


def test_tiff_many_bands_in_any_order(tmp_path):
    bands = RNG.integers(0, 4000, (5, 40, 60), dtype=np.uint16)
    last = np.moveaxis(bands, 0, 2)
    tifffile.imwrite(tmp_path / "planes.tif", bands, planarconfig="separate")
    tifffile.imwrite(tmp_path / "pages.tif", bands)
    tifffile.imwrite(tmp_path / "plain.tif", bands, metadata=None)
    tifffile.imwrite(tmp_path / "contig.tif", last, planarconfig="contig")
    tifffile.imwrite(tmp_path / "guessed.tif", last)
    tifffile.imwrite(tmp_path / "imagej.tif", bands, imagej=True)
    for path in sorted(tmp_path.glob("*.tif")):
        np.testing.assert_array_equal(read_image(path), last, err_msg=path.name)
        assert image_size(path) == (40, 60)


def test_tiff_floats_and_odd_integers_become_float32(tmp_path):
    for dtype in (np.float16, np.float32, np.float64, np.int16, np.int32, np.uint32):
        values = np.arange(12).reshape(3, 4).astype(dtype)
        tifffile.imwrite(tmp_path / "a.tif", values)
        seen = read_image(tmp_path / "a.tif")
        assert seen.dtype == np.float32
        np.testing.assert_array_equal(seen[..., 0], np.arange(12).reshape(3, 4))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_compression(tmp_path, compression):
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.tif", RGB, compression=compression)), RGB)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.tif", GREY, compression=compression)).array, GREY)
    palette = Image.fromarray(GREY % 4).convert("P")
    palette.save(tmp_path / "p.tif", compression=compression)
    np.testing.assert_array_equal(read_mask(tmp_path / "p.tif").array, np.asarray(palette))


def test_tiff_of_many_compressed_bands_names_the_cure(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9, 6), np.uint8), planarconfig="contig")
    monkeypatch.setattr(
        tifffile.TiffPageSeries, "asarray", lambda *_: (_ for _ in ()).throw(ValueError("requires imagecodecs"))
    )
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    fails(tmp_path / "a.tif", "unreadable", "6 bands", "imagecodecs")


def test_tiff_of_a_stack_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5, 6, 7), np.uint8))
    fails(tmp_path / "a.tif", "unreadable", "stack")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((4, 5, 6), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    fails(tmp_path / "b.tif", "unreadable", "stack")


def test_white_is_zero_tiff_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], 255 - GREY)


def test_npy_in_any_order(tmp_path):
    last = RNG.normal(size=(20, 30, 4)).astype(np.float32)
    for array, expected in ((last, last), (np.moveaxis(last, 2, 0), last), (last[..., 0], last[..., :1])):
        np.save(tmp_path / "a.npy", array)
        seen = read_image(tmp_path / "a.npy")
        np.testing.assert_array_equal(seen, expected)
        seen += 1  # a copy of its own, not the file


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((5, 6, 3), 2),
        ((3, 50, 60), 0),
        ((20, 30, 4), 2),
        ((16, 16, 16), 2),
        ((145, 145, 200), 2),  # a square tile of many bands
        ((200, 145, 145), 0),
        ((64, 80, 40), 2),
        ((40, 64, 80), None),
        ((80, 64, 100), None),
    ],
)
def test_channel_axis_by_hand(shape, axis):
    assert channel_axis(shape) == axis


@pytest.mark.parametrize("channels", [2, 3, 4, 6])
def test_probabilities_of_classes_are_refused_and_the_cure_works(tmp_path, channels):
    ids = np.random.default_rng(0).integers(0, channels, (64, 80))
    shares = np.where(ids[..., None] == np.arange(channels), 0.9, 0.1 / (channels - 1)).astype(np.float32)
    np.save(tmp_path / "a.npy", shares)
    with pytest.raises(DecodeError, match=rf"fractions in {channels} channels.*numpy\.argmax\(ARRAY, axis=-1\)"):
        read_mask(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.argmax(shares, axis=-1))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.npy").array, ids)


def test_an_npy_whose_channels_may_be_first_or_last_is_refused_and_the_cure_works(tmp_path):
    cube = RNG.integers(0, 4000, (40, 64, 80), dtype=np.uint16)
    np.save(tmp_path / "a.npy", cube)
    fails(tmp_path / "a.npy", "unreadable", "40x64x80", "40 as well as 80", "planarconfig='separate'")
    tifffile.imwrite(tmp_path / "a.tif", cube, photometric="minisblack", planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.moveaxis(cube, 0, 2))
    assert image_size(tmp_path / "a.tif") == (64, 80)
    tifffile.imwrite(tmp_path / "b.tif", cube, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif"), cube)


@settings(max_examples=25, deadline=None)
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_png_masks_keep_every_value(tmp_path_factory, values):
    path = saved(tmp_path_factory.mktemp("m") / "m.png", values)
    np.testing.assert_array_equal(read_mask(path).indices(), values)


def test_masks_as_stored(tmp_path):
    ids = RNG.integers(0, 60000, (5, 6), dtype=np.uint16)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "w.png", ids)).array, ids)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "c.png", RGB)).array, RGB)
    assert read_mask(tmp_path / "c.png").indices() is None
    grey = np.repeat(GREY[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "g.png", grey)).indices(), GREY)
    np.testing.assert_array_equal(read_mask(tmp_path / "g.png").colors(), grey)
    rgba = np.dstack([RGB, GREY])
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "a.png", rgba)).array, RGB)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "b.png", GREY > 99)).array, GREY > 99)
    np.save(tmp_path / "n.npy", ids.astype(np.int64)[..., None])
    np.testing.assert_array_equal(read_mask(tmp_path / "n.npy").array, ids)
    np.save(tmp_path / "f.npy", np.array([[0.0, 2.0]]))
    np.testing.assert_array_equal(read_mask(tmp_path / "f.npy").array, [[0, 2]])
    tifffile.imwrite(tmp_path / "t.tif", ids)
    np.testing.assert_array_equal(read_mask(tmp_path / "t.tif").array, ids)


def test_palette_mask_gives_indices_and_colors(tmp_path):
    picture = Image.new("P", (3, 1))
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.putdata([2, 0, 1])
    picture.save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png")
    assert mask.array.tolist() == [[2, 0, 1]]
    assert mask.colors().tolist() == [[[0, 128, 0], [0, 0, 0], [128, 0, 0]]]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_pngs_of_few_bits_keep_their_values(tmp_path, bits):
    """Decoders stretch these to 0..255; a mask with class 3 in 4 bits must still say 3."""
    values = [1, 0, 1, 1] if bits == 1 else [3, 0, 1, 2]
    packed = sum(value << (bits * (3 - place)) for place, value in enumerate(values))
    row = (packed << (-4 * bits % 8)).to_bytes((4 * bits + 7) // 8, "big")

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00" + row))
    (tmp_path / "m.png").write_bytes(content + chunk(b"IEND", b""))
    assert read_mask(tmp_path / "m.png").array.tolist() == [values]


def test_fractions_are_no_mask(tmp_path):
    np.save(tmp_path / "m.npy", np.array([[0.5, 1.0]]))
    fails(tmp_path / "m.npy", "unreadable", "fractions", reader=read_mask)
    np.save(tmp_path / "s.npy", np.zeros((6, 8, 7), np.uint8))
    fails(tmp_path / "s.npy", "unreadable", "6 channels", reader=read_mask)


@pytest.mark.parametrize("reader", [read_image, read_mask])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "npy", "bmp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_cut_files_are_found(tmp_path, suffix, share, reader):
    path = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, SMOOTH)
    else:
        saved(path, SMOOTH)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DecodeError) as caught:
        reader(path)
    assert caught.value.kind in {"truncated", "unreadable"}
    assert suffix in {"bmp"} or share < 0.5 or caught.value.kind == "truncated"


def test_a_png_that_ends_within_its_palette_is_truncated(tmp_path):
    picture = Image.fromarray(np.zeros((8, 8), np.uint8)).convert("P")
    picture.putpalette([7] * 768)
    picture.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: content.index(b"PLTE") + 5])
    with pytest.raises(DecodeError, match="is truncated: its PNG header does not end: copy it again") as caught:
        read_mask(tmp_path / "a.png")
    assert caught.value.kind == "truncated"


def test_cut_jpeg_with_a_whole_thumbnail_is_found(tmp_path):
    """The thumbnail in the EXIF block ends with an end marker of its own."""
    thumb = saved(tmp_path / "t.jpg", RGB).read_bytes()
    content = saved(tmp_path / "a.jpg", SMOOTH).read_bytes()
    block = b"\xff\xe1" + struct.pack(">H", len(thumb) + 2) + thumb
    whole = content[:2] + block + content[2:]
    (tmp_path / "a.jpg").write_bytes(whole + b"\x00" * 40)
    assert read_image(tmp_path / "a.jpg").shape == SMOOTH.shape
    (tmp_path / "a.jpg").write_bytes(whole[:-30] + b"\x00" * 4000)
    fails(tmp_path / "a.jpg", "truncated")


def test_bytes_flipped_in_a_png_are_found(tmp_path):
    path = saved(tmp_path / "a.png", SMOOTH)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    fails(path, "unreadable")
    fails(path, "unreadable", reader=read_mask)


@pytest.mark.parametrize("reader", [read_image, read_mask, image_size])
def test_no_image_at_all(tmp_path, reader):
    fails(tmp_path / "gone.png", "unreadable", "does not exist", reader=reader)
    (tmp_path / "folder.png").mkdir()
    fails(tmp_path / "folder.png", "unreadable", "is a folder", reader=reader)
    (tmp_path / "empty.png").write_bytes(b"")
    fails(tmp_path / "empty.png", "unreadable", "0 bytes", reader=reader)
    (tmp_path / "text.png").write_text("not an image")
    fails(tmp_path / "text.png", "unreadable", "is not an image", reader=reader)
    for magic in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"BM", b"GIF89a", b"P6", b"\x93NUMPY"):
        (tmp_path / "head.png").write_bytes(magic + b"rubbish" * 9)
        fails(tmp_path / "head.png", "unreadable", reader=reader)


@pytest.mark.parametrize("header", [b"{'descr': (", b"{'descr': '|u1', 'fortran_order': False, 'shape': (4, 6y, }"])
def test_a_damaged_header_of_numpy_is_an_error_of_the_file(tmp_path, header):
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + bytes(24)
    )
    fails(tmp_path / "a.npy", "unreadable", "cannot be read as a npy array")


def test_a_frame_that_is_too_large_for_pillow_is_an_error_of_the_file(tmp_path):
    canvas = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0x80, 0, 0) + bytes(6)
    (tmp_path / "a.gif").write_bytes(
        canvas + b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x01\x2c\x00;"
    )
    fails(tmp_path / "a.gif", "unreadable", "cannot be read as GIF", "exceeds limit")


def test_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    fails(tmp_path / "a.npy", "unreadable")


def png_claiming(path: Path, width: int, height: int) -> Path:
    content = bytearray(saved(path, GREY).read_bytes())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("reader", [read_image, read_mask])
def test_bombs_are_refused_from_the_header(tmp_path, reader):
    fails(png_claiming(tmp_path / "a.png", 100_000, 100_000), "bomb", f"{MAX_PIXELS:,}", reader=reader)
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1), np.uint8)) | {"shape": (40_000, 40_000)}
    with (tmp_path / "a.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + 40_000 * 40_000)  # sparse: nothing is written
    fails(tmp_path / "a.npy", "bomb", reader=reader)


def test_what_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    path = png_claiming(tmp_path / "a.png", 20_000, 20_000)
    monkeypatch.setattr(psutil, "virtual_memory", type("Memory", (), {"available": 1 << 28}))
    fails(path, "bomb", "GiB")


def test_a_large_header_is_no_bomb_and_warns_nobody(tmp_path):
    assert image_size(png_claiming(tmp_path / "a.png", 20_000, 20_000)) == (20_000, 20_000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_no_data(tmp_path, bad):
    values = np.ones((4, 5), np.float32)
    values[1, 2] = bad
    expected = np.where(np.isfinite(values), values, np.nan)
    tifffile.imwrite(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], expected)
    np.save(tmp_path / "a.npy", values.astype(np.float64))
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy")[..., 0], expected)


def test_a_sum_that_overflows_is_no_nan(tmp_path):
    np.save(tmp_path / "a.npy", np.full((4, 5), 3e38, np.float32))
    assert read_image(tmp_path / "a.npy").max() == np.float32(3e38)


def test_complex_numbers_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4, 5), np.complex64))
    fails(tmp_path / "a.npy", "unreadable", "complex64")


def test_a_decode_error_becomes_a_fault(tmp_path):
    error = fails(tmp_path / "gone.png", "unreadable")
    assert error.fault("warning") == Fault(
        "unreadable", "warning", error.image.path, "gone.png does not exist", "check the path"
    )
