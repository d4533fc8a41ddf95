"""PNM as stored, JPEGs with bytes behind their end, animations, and files that only have the name of an image."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from maskwright.data.readers import DecodeError, image_size, read_image, read_mask
from maskwright.data.readers.jpeg import end_of_image

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(5)
IDS = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
SMOOTH = np.asarray(Image.fromarray(RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((180, 120)))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("maxval", [2, 7, 254, 255])
def test_ids_of_a_pgm_are_as_stored_whatever_its_maxval(tmp_path: Path, maxval: int) -> None:
    binary = written(tmp_path / "b.pgm", b"P5\n# made by hand\n3 2\n%d\n" % maxval + IDS.tobytes())
    plain = written(tmp_path / "p.pgm", b"P2 3 2 # size\n%d\n0 1 2\n2 2 # more\n0\n" % maxval)
    for path in (binary, plain):
        np.testing.assert_array_equal(read_mask(path).array, IDS)
        assert read_mask(path).array.dtype == np.uint8
        np.testing.assert_array_equal(read_image(path)[..., 0], IDS)
        assert image_size(path) == (2, 3)


def test_sixteen_bits_of_a_pgm_are_as_stored(tmp_path: Path) -> None:
    values = np.array([[0, 300, 4095]], np.uint16)
    binary = written(tmp_path / "b.pgm", b"P5 3 1 4095\n" + values.astype(">u2").tobytes())
    plain = written(tmp_path / "p.pgm", b"P2 3 1 4095 0 300 4095")
    for path in (binary, plain):
        np.testing.assert_array_equal(read_image(path)[..., 0], values)
        np.testing.assert_array_equal(read_mask(path).array, values)
        assert read_image(path).dtype == np.uint16


def test_colours_of_a_ppm_are_as_stored(tmp_path: Path) -> None:
    rgb = RNG.integers(0, 100, (2, 3, 3), dtype=np.uint8)
    binary = written(tmp_path / "b.ppm", b"P6 3 2 99\n" + rgb.tobytes())
    plain = written(tmp_path / "p.ppm", b"P3 3 2 99 " + " ".join(map(str, rgb.ravel().tolist())).encode())
    for path in (binary, plain):
        np.testing.assert_array_equal(read_image(path), rgb)
        np.testing.assert_array_equal(read_mask(path).array, rgb)


def test_white_is_one_in_a_pbm_as_for_every_viewer(tmp_path: Path) -> None:
    white = RNG.integers(0, 2, (5, 11)).astype(bool)
    Image.fromarray(white).save(tmp_path / "b.pbm")
    ink = "\n".join("".join(map(str, row)) for row in (~white).astype(int).tolist())
    plain = written(tmp_path / "p.pbm", f"P1\n11 5\n{ink}\n".encode())
    for path in (tmp_path / "b.pbm", plain):
        np.testing.assert_array_equal(read_mask(path).array, white)
        np.testing.assert_array_equal(read_image(path), np.repeat(white[..., None] * 255, 3, axis=2))
        np.testing.assert_array_equal(read_mask(path).array, np.asarray(Image.open(path)))


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"P5 3 2 255\n12345", "truncated", "holds 5 of 6 values"),
        (b"P2 3 2 255\n1 2 3", "truncated", "holds 3 of 6 values"),
        (b"P4 9 2\n123", "truncated", "holds 3 of 4 values"),
        (b"P5 3 x 255\n123456", "unreadable", "header"),
        (b"P5 3 2 70000\n123456", "unreadable", "maxval 70000"),
        (b"P5 3 2 2\n\x00\x01\x02\x03\x00\x00", "unreadable", "holds the value 3, but its header allows 0 to 2"),
        (b"P2 3 1 9\n1 -2 3", "unreadable", "holds the value -2"),
        (b"P2 3 1 9\n1 two 3", "unreadable", "text"),
        (b"P5 0 2 9\n", "unreadable", "0x2 pixels"),
        (b"P5 100000 100000 9\n", "bomb", "100000x100000"),
    ],
)
def test_a_damaged_pnm_is_named(tmp_path: Path, content: bytes, kind: str, words: str) -> None:
    for reader in (read_image, read_mask):
        with pytest.raises(DecodeError, match=words) as caught:
            reader(written(tmp_path / "a.pgm", content))
        assert caught.value.kind == kind


def jpeg(**options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(SMOOTH).save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


JPEGS = {
    "baseline": jpeg(),
    "progressive": jpeg(progressive=True),
    "restarts": jpeg(restart_marker_blocks=1),
    "comment": jpeg(comment=b"\xff\xd9\xff\xda" * 9),
}
BEHIND = {
    "padding": bytes(4096),
    "another picture": jpeg(),
    "half a picture": jpeg()[:900],
    "a video": b"\x00\x00\x00\x1cftypmp42" + RNG.integers(0, 256, 200_000, dtype=np.uint8).tobytes(),
    "markers": b"\xff\xda\x00\x02\xff\xd9\xff\xda",
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("behind", BEHIND)
def test_bytes_behind_a_jpeg_hide_nothing_and_mean_nothing(tmp_path: Path, kind: str, behind: str) -> None:
    whole = JPEGS[kind]
    assert end_of_image(whole) == len(whole)
    plain = read_image(written(tmp_path / "plain.jpg", whole))
    np.testing.assert_array_equal(read_image(written(tmp_path / "more.jpg", whole + BEHIND[behind])), plain)
    assert end_of_image(whole + BEHIND[behind]) == len(whole)


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9, 0.999])
def test_a_cut_jpeg_is_found_even_with_bytes_behind_it(tmp_path: Path, kind: str, share: float) -> None:
    cut = JPEGS[kind][: int(len(JPEGS[kind]) * share)]
    for behind in (b"", BEHIND["padding"]):
        with pytest.raises(DecodeError) as caught:
            read_image(written(tmp_path / "a.jpg", cut + behind))
        assert caught.value.kind in {"truncated", "unreadable"}


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_is_refused_and_one_frame_is_not(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(np.roll(SMOOTH, 20 * number, 1)) for number in range(3)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    for reader in (read_image, read_mask):
        with pytest.raises(DecodeError, match="an animation of 3 frames, but an image is one: save each frame as"):
            reader(tmp_path / f"a.{suffix}")
    frames[0].save(tmp_path / f"b.{suffix}")
    assert read_image(tmp_path / f"b.{suffix}").shape == SMOOTH.shape


@pytest.mark.parametrize(
    ("content", "what", "cure"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git LFS pointer", "git lfs pull"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ", "AppleDouble", "remove it"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC photograph", "convert it to PNG, JPEG or TIFF"),
        (b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00", "AVIF image", "convert it"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00", "video", "save its frames"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000", "convert it"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page", "download it again"),
        (b"  <svg xmlns='http://www.w3.org/2000/svg'/>", "SVG", "export it"),
        (b"%PDF-1.7\n", "PDF", "export its pages"),
        (b"\x00" * 128 + b"DICM", "DICOM", "convert it"),
        (b"hello there", "is not an image: it starts with b'hello th'", "save it as one of"),
    ],
)
def test_what_only_has_the_name_of_an_image_is_called_what_it_is(
    tmp_path: Path, content: bytes, what: str, cure: str
) -> None:
    path = written(tmp_path / "a.jpg", content)
    for reader in (read_image, read_mask, image_size):
        with pytest.raises(DecodeError) as caught:
            reader(path)
        assert what in caught.value.message
        assert cure in caught.value.cure
