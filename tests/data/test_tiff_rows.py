"""Rows of a TIFF are the rows of the whole image, however it is stored; what cannot be read in parts says so."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskwright.core.records import ImageRef, Reading
from maskwright.data.readers import DecodeError, read_image, tiff_rows
from maskwright.data.readers.tiff_rows import TiffRows

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(0).integers(0, 255, (100, 130, 3), dtype=np.uint8)
GREY = RGB[..., 0]
NODATA = [(42113, "s", 0, "7", True)]
STORED: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "one strip": (RGB, {"rowsperstrip": 100}),
    "strips": (RGB, {"rowsperstrip": 7}),
    "compressed strips": (RGB, {"rowsperstrip": 7, "compression": "zlib", "predictor": True}),
    "tiles": (RGB, {"tile": (32, 48)}),
    "compressed tiles": (RGB, {"tile": (32, 48), "compression": "zlib", "bigtiff": True}),
    "big end first": (RGB.astype(np.uint16), {"rowsperstrip": 9, "byteorder": ">"}),
    "big end first, tiles": (RGB.astype(np.uint16), {"tile": (32, 32), "byteorder": ">"}),
    "alpha": (np.dstack([RGB, GREY]), {"tile": (32, 32), "extrasamples": ["unassalpha"]}),
    "planes": (np.moveaxis(RGB, 2, 0).copy(), {"planarconfig": "separate", "tile": (32, 32)}),
    "planes in strips": (np.moveaxis(RGB, 2, 0).copy(), {"planarconfig": "separate"}),
    "white is 0": (GREY, {"photometric": "miniswhite", "tile": (32, 32)}),
    "palette": (GREY, {"photometric": "palette", "colormap": np.arange(768, dtype=np.uint16).reshape(3, 256) * 85}),
    "floats without data": (GREY.astype(np.float32), {"photometric": "minisblack", "extratags": NODATA}),
    "integers without data": (GREY, {"photometric": "minisblack", "tile": (32, 32), "extratags": NODATA}),
    "one bit": (GREY > 100, {"photometric": "minisblack"}),
}


def written(path: Path, array: np.ndarray, **settings: Any) -> Path:
    tifffile.imwrite(path, array, **({"photometric": "rgb"} | settings))
    return path


@pytest.mark.parametrize("name", STORED)
def test_rows_are_those_of_the_whole_image(tmp_path: Path, name: str) -> None:
    array, settings = STORED[name]
    path = written(tmp_path / "a.tif", array, **settings)
    whole, source = read_image(path), TiffRows(ImageRef(path))
    assert (*source.size, source.channels) == whole.shape
    assert source.dtype == whole.dtype
    for start, stop in ((0, 5), (3, 40), (30, 90), (91, 100), (8, 9)):
        rows, wanted = source.rows(start, stop), whole[start:stop]
        np.testing.assert_array_equal(np.ma.getmaskarray(rows), np.ma.getmaskarray(wanted))
        np.testing.assert_array_equal(np.ma.filled(rows, 0), np.ma.filled(wanted, 0))
    source.close()


@pytest.mark.parametrize("name", STORED)
def test_columns_are_those_of_the_whole_image(tmp_path: Path, name: str) -> None:
    array, settings = STORED[name]
    path = written(tmp_path / "a.tif", array, **settings)
    whole, source = read_image(path), TiffRows(ImageRef(path))
    for columns in (range(130), range(32, 64), range(31, 97), range(129, 130)):
        part = source.part(columns)
        assert (part.size, part.channels, part.dtype) == ((100, len(columns)), whole.shape[2], whole.dtype)
        for start, stop in ((0, 5), (3, 40), (91, 100)):
            rows, wanted = part.rows(start, stop), whole[start:stop, columns.start : columns.stop]
            np.testing.assert_array_equal(np.ma.getmaskarray(rows), np.ma.getmaskarray(wanted))
            np.testing.assert_array_equal(np.ma.filled(rows, 0), np.ma.filled(wanted, 0))
    source.close()


def test_tiles_beside_the_columns_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.tif", RGB, tile=(32, 32), compression="zlib")
    source, decoded = TiffRows(ImageRef(path)), []
    whole = tiff_rows._Segments._decode

    def counting(segments: tiff_rows._Segments, index: int, place: np.ndarray) -> None:
        decoded.append(index)
        whole(segments, index, place)

    monkeypatch.setattr(tiff_rows._Segments, "_decode", counting)
    source.part(range(40, 96)).rows(32, 64)
    source.close()
    assert decoded == [6, 7]  # five tiles a row


def test_what_the_training_called_no_data_counts(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", np.zeros((20, 20, 3), np.uint8))
    source = TiffRows(ImageRef(path, reading=Reading(nodata=0)))
    assert np.ma.getmaskarray(source.rows(0, 20)).all()
    source.close()


def test_no_tile_is_decoded_twice_from_the_top_to_the_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.tif", RGB, tile=(32, 32), compression="zlib")
    source, decoded = TiffRows(ImageRef(path)), []
    whole = tiff_rows._Segments._decode

    def counting(segments: tiff_rows._Segments, index: int, place: np.ndarray) -> None:
        decoded.append(index)
        whole(segments, index, place)

    monkeypatch.setattr(tiff_rows._Segments, "_decode", counting)
    source.rows(0, 20)
    source.rows(20, 50)
    source.rows(40, 100)
    source.close()
    assert sorted(decoded) == list(range(5, 20))  # the first row of tiles was kept since it was opened


@pytest.mark.parametrize(
    ("settings", "limit", "message"),
    [
        ({"extratags": [(274, "H", 1, 6, True)]}, None, "has the orientation 6"),
        ({"compression": "zlib", "rowsperstrip": 100}, 1000, "each of which must be decoded whole"),
    ],
)
def test_what_cannot_be_read_by_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], limit: int | None, message: str
) -> None:
    if limit is not None:
        monkeypatch.setattr(tiff_rows, "_LARGEST_SEGMENT", limit)
    with pytest.raises(DecodeError, match=message):
        TiffRows(ImageRef(written(tmp_path / "a.tif", RGB, **settings)))


def test_a_cut_file_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", RGB, rowsperstrip=10)
    path.write_bytes(path.read_bytes()[:-2000])
    with (
        closing(TiffRows(ImageRef(path))) as source,
        pytest.raises(DecodeError, match="ends before its last pixels") as caught,
    ):
        source.rows(0, 100)
    assert caught.value.kind == "truncated"


def test_a_stack_is_no_scan(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", np.zeros((5, 40, 40), np.uint8), photometric="minisblack")
    with pytest.raises(DecodeError, match="5 pages"):
        TiffRows(ImageRef(path))


def test_jpeg_of_both_kinds(tmp_path: Path) -> None:
    smooth = np.asarray(Image.fromarray(RGB[:20, :26]).resize((260, 200)))
    path = tmp_path / "rgb.tif"
    Image.fromarray(smooth).save(path, compression="jpeg", quality=95)  # with the colours as RGB
    with closing(TiffRows(ImageRef(path))) as source, Image.open(path) as whole:
        np.testing.assert_array_equal(source.rows(0, 200), np.asarray(whole))
    path = tmp_path / "ycbcr.tif"
    Image.fromarray(smooth).convert("YCbCr").save(path, compression="jpeg", quality=95)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].photometric.name == "YCBCR"
    with closing(TiffRows(ImageRef(path))) as source:
        assert np.abs(source.rows(0, 200).astype(int) - smooth).mean() < 2


def test_levels_of_a_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    place = [
        (33550, "d", 3, (0.5, 0.5, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 100.0, 200.0, 0.0), True),
        (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32633), True),
    ]
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(RGB, tile=(32, 32), photometric="rgb", subifds=1, extratags=place)
        tiff.write(RGB[::2, ::2], tile=(32, 32), photometric="rgb", subfiletype=1)
    with closing(TiffRows(ImageRef(path), 1)) as source:
        assert (source.levels, source.size) == ([(100, 130), (50, 65)], (50, 65))
        np.testing.assert_array_equal(source.rows(7, 40), RGB[::2, ::2][7:40])
        assert source.place is not None
        assert source.place.transform == (1, 0, 100, 0, -1, 200)
    with pytest.raises(DecodeError, match="has no level 2, but levels 0 to 1"):
        TiffRows(ImageRef(path), 2)
