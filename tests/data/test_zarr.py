"""Images in Zarr stores: the same pixels whatever the axes, the version, the codec; and bad stores that say so."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.stores import array, group, ome_image

from maskwright.core.errors import MaskwrightError
from maskwright.core.pixel_size import UNIT_NAMES, PixelSize
from maskwright.core.records import ImageRef, Reading
from maskwright.data.readers import DecodeError, count_pages, image_size, read_image, read_mask, zarr_image, zarr_store
from maskwright.data.readers.pixel_size import pixel_size
from maskwright.data.readers.zarr_image import ZarrRows
from maskwright.data.readers.zarr_store import images_in, is_store

if TYPE_CHECKING:
    from pathlib import Path

RGB = np.random.default_rng(0).integers(0, 255, (100, 130, 3), dtype=np.uint8)
GREY = RGB[..., 0]
STACK = np.random.default_rng(1).integers(0, 65535, (2, 3, 4, 50, 70), dtype=np.uint16)  # t, c, z, y, x


def refused(path: Path, page: int | None = None) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        read_image(ImageRef(path, page))
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("axes", ["yx", "cyx", "yxc", "zyx", "tyx", "tczyx", "czyx", "tzyx", "tcyx", "xcy"])
def test_every_order_of_axes(tmp_path: Path, axes: str, version: int) -> None:
    whole = STACK[tuple(slice(None) if axis in axes else 0 for axis in "tczyx")]
    kept = [axis for axis in "tczyx" if axis in axes]
    path = ome_image(tmp_path / "a.zarr", [whole.transpose([kept.index(axis) for axis in axes])], axes, version)
    count = count_pages(path).number
    assert count == (2 if "t" in axes else 1) * (4 if "z" in axes else 1)
    assert image_size(path) == (50, 70)
    for page in range(count):
        t, z = divmod(page, 4) if "z" in axes else (page, 0)
        wanted = STACK[t, :, z] if "c" in axes else STACK[t, :1, z]
        found = read_image(ImageRef(path, page if count > 1 else None))
        np.testing.assert_array_equal(found, np.moveaxis(wanted, 0, 2))
        assert found.dtype == np.uint16


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "stored",
    [
        GREY,
        RGB,
        np.moveaxis(RGB, 2, 0),
        GREY > 100,
        GREY.astype(np.float32) / 7,
        GREY.astype(np.int64),
        GREY.astype(">u2"),
    ],
    ids=["grey", "rgb", "planes", "bool", "float", "int64", "big end first"],
)
def test_plain_arrays_are_read_as_npy_is(tmp_path: Path, stored: np.ndarray, version: int) -> None:
    np.save(tmp_path / "a.npy", stored)
    found, wanted = read_image(array(tmp_path / "a.zarr", stored, version)), read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype


def test_names_of_axes_decide(tmp_path: Path) -> None:
    stored = np.moveaxis(STACK[0, :, 0], 0, 2)  # 50x70x3
    named = array(tmp_path / "a.zarr", stored.transpose(1, 2, 0), 3, dimension_names=("X", "C", "Y"))
    np.testing.assert_array_equal(read_image(named), stored)
    old = array(tmp_path / "b.zarr", STACK[0, 0], 2)
    (old / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["z", "y", "x"]}))
    np.testing.assert_array_equal(read_image(ImageRef(old, 2))[..., 0], STACK[0, 0, 2])


@pytest.mark.parametrize(
    "settings",
    [
        {"compressors": None},
        {"compressors": {"name": "gzip", "configuration": {"level": 1}}},
        {"shards": (64, 64, 4), "chunks": (32, 32, 2)},
        {"chunks": (7, 130, 3)},
        {"chunks": (100, 9, 1)},
    ],
    ids=["raw", "gzip", "shards", "strips", "columns"],
)
def test_rows_are_those_of_the_whole_image(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = array(tmp_path / "a.zarr", RGB, **settings)
    np.testing.assert_array_equal(read_image(path), RGB)
    source = ZarrRows(ImageRef(path))
    assert (source.size, source.channels, source.dtype) == ((100, 130), 3, np.uint8)
    for start, stop in ((0, 5), (3, 40), (30, 90), (91, 100), (8, 9), (0, 100)):
        np.testing.assert_array_equal(source.rows(start, stop), RGB[start:stop])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 100)), min_size=1, max_size=8))
def test_any_rows_in_any_order(tmp_path: Path, asked: list[tuple[int, int]]) -> None:
    path = tmp_path / "a.zarr"
    source = ZarrRows(ImageRef(path if path.exists() else array(path, RGB, chunks=(16, 64, 3))))
    for start, length in asked:
        np.testing.assert_array_equal(source.rows(start, min(100, start + length)), RGB[start : start + length])


def test_no_chunk_is_decoded_twice_from_the_top_to_the_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, asked = ZarrRows(ImageRef(array(tmp_path / "a.zarr", RGB, chunks=(32, 64, 3)))), []
    whole = zarr_image._Stored.rows
    monkeypatch.setattr(
        zarr_image._Stored, "rows", lambda self, start, stop: asked.append((start, stop)) or whole(self, start, stop)
    )
    for start, stop in ((0, 20), (20, 50), (40, 100)):
        source.rows(start, stop)
    assert asked == [(32, 64), (64, 100)]  # the first row of chunks was kept since it was opened
    assert len(source._kept) <= 68


def test_what_the_training_called_no_data_counts(tmp_path: Path) -> None:
    path = array(tmp_path / "a.zarr", np.zeros((20, 20, 3), np.uint8))
    assert np.ma.getmaskarray(ZarrRows(ImageRef(path, reading=Reading(nodata=0))).rows(0, 20)).all()
    assert np.ma.getmaskarray(read_image(ImageRef(path, reading=Reading(nodata=0)))).all()


def test_levels_of_a_pyramid(tmp_path: Path) -> None:
    path = ome_image(tmp_path / "a.zarr", [RGB, RGB[::2, ::2]], "yxc")
    source = ZarrRows(ImageRef(path), 1)
    assert (source.levels, source.size) == ([(100, 130), (50, 65)], (50, 65))
    np.testing.assert_array_equal(source.rows(7, 40), RGB[::2, ::2][7:40])
    with pytest.raises(DecodeError, match="has no level 2, but levels 0 to 1"):
        ZarrRows(ImageRef(path), 2)
    other = ome_image(tmp_path / "b.zarr", [STACK[0, 0], STACK[0, 0, ::2]], "zyx")
    with pytest.raises(DecodeError, match="2x50x70 beside one of 4x50x70"):
        ZarrRows(ImageRef(other, 1), 1)


@pytest.mark.parametrize("version", [2, 3])
def test_the_size_of_a_pixel(tmp_path: Path, version: int) -> None:
    scales = [[1, 0.25, 0.25], [1, 0.5, 0.5]]
    levels = [np.moveaxis(RGB, 2, 0), np.moveaxis(RGB[::2, ::2], 2, 0)]
    path = ome_image(tmp_path / "a.zarr", levels, "cyx", version, scales=scales, unit="micrometer")
    assert pixel_size(ImageRef(path)) == PixelSize(0.25, "um")
    assert pixel_size(ImageRef(path), 1) == PixelSize(0.5, "um")
    for number, (unit, name) in enumerate(UNIT_NAMES.items()):
        path = ome_image(tmp_path / str(number), [GREY], "yx", version, scales=[[2, 2]], unit=name)
        assert pixel_size(ImageRef(path)) == PixelSize(2, unit)
    for name, unit, scale in (("b", None, [1, 1]), ("c", "parsec", [1, 1]), ("d", "meter", [1, 2])):
        assert pixel_size(ImageRef(ome_image(tmp_path / name, [GREY], "yx", scales=[scale], unit=unit))) is None
    assert pixel_size(ImageRef(array(tmp_path / "e.zarr", GREY))) is None


def held(path: Path, *words: str) -> list[str]:
    """Return the images in a store; `words` are those of the errors of its parts, in their order."""
    broken: list[DecodeError] = []
    found = images_in(path, broken)
    assert len(broken) == len(words)
    assert all(word in str(error) for word, error in zip(words, broken, strict=True))
    return [str(place) for place in found]


@pytest.mark.parametrize("version", [2, 3])
def test_the_images_of_plates_and_collections(tmp_path: Path, version: int) -> None:
    plate = group(tmp_path / "p.zarr", {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}}, version)
    for well, fields in (("A/1", "01"), ("B/2", "0")):
        group(plate / well, {"well": {"images": [{"path": field} for field in fields]}}, version)
        for field in fields:
            ome_image(plate / well / field, [GREY], "yx", version)
    assert held(plate) == ["A/1/0", "A/1/1", "B/2/0"]
    assert held(plate / "A/1") == ["0", "1"]
    assert held(plate / "A/1/0") == ["."]
    series = group(tmp_path / "s.zarr", {"bioformats2raw.layout": 3}, version)
    assert held(series, "without any image") == []
    for number in range(2):
        ome_image(series / str(number), [GREY], "yx", version)
    assert held(series) == ["0", "1"]
    group(series / "OME", {"series": ["1"]}, version)
    assert held(series) == ["1"]


def test_a_mask_in_a_store(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_mask(array(tmp_path / "a.zarr", GREY)).array, GREY)
    np.testing.assert_array_equal(read_mask(array(tmp_path / "b.zarr", RGB)).array, RGB)


@pytest.mark.parametrize("version", [2, 3])
def test_missing_chunks_are_the_fill_value(tmp_path: Path, version: int) -> None:
    path = array(tmp_path / "a.zarr", GREY, version, fill_value=9)
    shutil.rmtree(path / ("0" if version == 2 else "c/0"))
    found = read_image(path)[..., 0]
    assert (found[:64] == 9).all()
    np.testing.assert_array_equal(found[64:], GREY[64:])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("codec", ["auto", "gzip", "raw", "blosc"])
def test_a_cut_chunk_is_no_image(tmp_path: Path, version: int, codec: str) -> None:
    import numcodecs
    from zarr.codecs import BloscCodec, GzipCodec

    codecs = {"auto": "auto", "raw": None, "gzip": GzipCodec(), "blosc": BloscCodec()}
    old = {"auto": "auto", "raw": None, "gzip": numcodecs.GZip(), "blosc": numcodecs.Blosc()}
    path = array(tmp_path / "a.zarr", GREY, version, compressors=(codecs if version == 3 else old)[codec])
    chunk = path / ("1/0" if version == 2 else "c/1/0")
    chunk.write_bytes(chunk.read_bytes()[:-20])
    error = refused(path)
    assert error.kind in {"truncated", "unreadable"}
    assert "cannot be decoded in rows 0 to 99" in str(error)
    chunk.write_bytes(b"")
    assert refused(path).kind in {"truncated", "unreadable"}


@pytest.mark.parametrize("name", ["pickle", "numcodecs.pickle", "nonsense"])
@pytest.mark.parametrize("version", [2, 3])
def test_codecs_that_are_not_read(tmp_path: Path, name: str, version: int) -> None:
    path = array(tmp_path / "a.zarr", GREY, version)
    file = path / ("zarr.json" if version == 3 else ".zarray")
    metadata = json.loads(file.read_text())
    if version == 3:
        sharding = {"chunk_shape": [8, 8], "codecs": [{"name": name}], "index_codecs": []}
        metadata["codecs"] = [{"name": "sharding_indexed", "configuration": sharding}]
    else:
        metadata["filters"] = [{"id": name}]
    file.write_text(json.dumps(metadata))
    assert f"the codec '{name}', which is not read" in str(refused(path))


def test_nothing_in_a_store_is_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path.joinpath("harm").write_text, ("done",))

    path = tmp_path / "a.zarr"
    path.mkdir()
    metadata = {"zarr_format": 2, "shape": [4, 4], "chunks": [4, 4], "dtype": "|O", "compressor": None}
    metadata |= {"fill_value": 0, "order": "C", "filters": [{"id": "pickle"}]}
    (path / ".zarray").write_text(json.dumps(metadata))
    (path / "0.0").write_bytes(pickle.dumps(Harmful()))
    refused(path)
    metadata["filters"] = None
    (path / ".zarray").write_text(json.dumps(metadata))
    refused(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]", "U5", [("a", "u1"), ("b", "f4")]])
def test_values_that_are_no_numbers(tmp_path: Path, dtype: Any) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    described = np.dtype(dtype)
    kind: Any = described.str if described.names is None else [list(each) for each in described.descr]
    metadata = {"zarr_format": 2, "shape": [4, 4], "chunks": [4, 4], "dtype": kind, "compressor": None}
    (path / ".zarray").write_text(json.dumps(metadata | {"fill_value": None, "order": "C", "filters": None}))
    assert refused(path).kind == "unreadable"


@pytest.mark.parametrize(
    ("shape", "chunks", "message"),
    [
        ([10**9, 10**9], [1024, 1024], "claims to hold 1000000000x1000000000 pixels"),
        ([4000, 4000], [1, 1], "pixels in 16,000,000 chunks"),
        ([40000, 40000], [40000, 40000], "1,526 MiB each"),
        ([0, 5], [1, 1], "is 5x0 pixels"),
        ([30000, 30000], [1024, 1024], "GiB to decode"),
        ([10**6, 10**6, 5, 5], [1, 1, 5, 5], "1,000,000,000,000 pages"),
        ([10, 20, 30, 5], [1, 1, 30, 5], "whose axes have no names"),
        ([50, 60, 55], [50, 60, 55], "whose axes have no names"),
    ],
)
def test_what_claims_too_much(
    tmp_path: Path, shape: list[int], chunks: list[int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskwright.data.readers.arrays.free_memory", lambda: 1 << 30)
    path = tmp_path / "a.zarr"
    path.mkdir()
    metadata = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "|u1", "compressor": None}
    (path / ".zarray").write_text(json.dumps(metadata | {"fill_value": 0, "order": "C", "filters": None}))
    if len(shape) == 4 and shape[0] > 10:
        (path / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["t", "z", "y", "x"]}))
    assert message in str(refused(path))


def test_a_group_without_an_image(tmp_path: Path) -> None:
    path = group(tmp_path / "a.zarr", {}, 3)
    assert "without an image" in str(refused(path))
    array(path / "inner", GREY)
    assert f"name an array in it, such as {path / 'inner'}" in str(refused(path))
    np.testing.assert_array_equal(read_image(path / "inner")[..., 0], GREY)


@pytest.mark.parametrize("place", ["../b.zarr", "/etc", 7, "a\0b", "."])
def test_a_path_that_leaves_the_store(tmp_path: Path, place: Any) -> None:
    array(tmp_path / "b.zarr", GREY)
    path = group(tmp_path / "a.zarr", {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": place}]}]}, 2)
    assert "which is no path below it" in str(refused(path))
    plate = group(tmp_path / "p.zarr", {"plate": {"wells": [{"path": place}]}}, 2)
    assert held(plate, "no path below it") == []


@pytest.mark.parametrize("place", ["x" * 300, "x/" * 3000, "../b", "", ".", "./", "none", "A", 7, None])
def test_a_bad_well_hides_no_other(tmp_path: Path, place: Any) -> None:
    plate = group(tmp_path / "p.zarr", {"plate": {"wells": [{"path": place}, {"path": "B"}]}}, 2)
    group(plate / "A", {"well": {"images": []}}, 2)
    group(plate / "B", {"well": {"images": [{"path": "0"}]}}, 2)
    assert held(plate, "") == ["B/0"]


@pytest.mark.parametrize("place", ["x" * 256, "\u00e9" * 128, "x/" * 513, "\ud800"])
def test_names_that_no_file_system_takes(tmp_path: Path, place: str) -> None:
    well = group(tmp_path / "w.zarr", {"well": {"images": [{"path": place}]}}, 2)
    assert held(well, "") == []


def test_a_plate_in_a_plate_is_no_image(tmp_path: Path) -> None:
    plate = group(tmp_path / "p.zarr", {"plate": {"wells": [{"path": "A"}]}}, 2)
    group(plate / "A", {"plate": {"wells": [{"path": "B"}]}}, 2)
    assert held(plate) == ["A"]
    assert "is a Zarr group without an image" in str(refused(plate / "A"))


def test_what_is_a_store(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "file.zarr").write_bytes(b"x")
    (tmp_path / "other").mkdir()
    assert is_store(tmp_path / "empty.zarr")
    assert is_store(array(tmp_path / "plain", GREY))
    assert not is_store(tmp_path / "file.zarr")
    assert not is_store(tmp_path / "other")
    assert "has no Zarr metadata" in str(refused(tmp_path / "empty.zarr"))
    assert "is a folder and no Zarr store" in str(refused(tmp_path / "other"))


def test_pages_that_are_not_there(tmp_path: Path) -> None:
    path = ome_image(tmp_path / "a.zarr", [STACK[0, 0]], "zyx")
    assert "holds 4 pages (axes z)" in str(refused(path))
    assert "the store holds pages 0 to 3" in str(refused(path, 4))


def test_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = array(tmp_path / "a.zarr", GREY)
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    assert image_size(path) == (100, 130)  # the metadata need no package
    with pytest.raises(MaskwrightError, match=r'zarr is not installed: pip install "maskwright\[zarr\]"'):
        read_image(path)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_metadata_is_an_error_of_ours(tmp_path: Path, data: st.DataObject) -> None:
    version = data.draw(st.sampled_from([2, 3]))
    path = tmp_path / f"{version}.zarr"
    if not path.exists():
        ome_image(path, [GREY, GREY[::2, ::2]], "yx", version)
    names = ["zarr.json", "s0/zarr.json"] if version == 3 else [".zattrs", "s0/.zarray"]
    file = path / data.draw(st.sampled_from(names))
    whole = file.read_text()
    content = json.loads(whole)
    place, steps = content, data.draw(st.integers(0, 6))
    for _ in range(steps):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key]:
            place = place[key]
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    key = data.draw(st.sampled_from(keys))
    place[key] = data.draw(
        st.sampled_from(
            [None, -1, 0, 1e400, 10**30, "", ".", "x", "x" * 300, "../x", True, [], [[]], {}, {"a": 1}, [None], [-1, 5]]
        )
    )
    text = json.dumps(content)
    file.write_text(
        data.draw(st.sampled_from([text, text[: len(text) // 2], ""])) if data.draw(st.booleans()) else text
    )
    try:
        for level in (0, 1):
            ZarrRows(ImageRef(path), level).rows(0, 5)
        assert images_in(path, []) == [PurePosixPath()]
        pixel_size(ImageRef(path))
    except DecodeError:
        pass
    finally:
        file.write_text(whole)


def test_metadata_of_a_gigabyte_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zarr_store, "_LARGEST_JSON", 100)
    assert refused(array(tmp_path / "a.zarr", GREY)).kind == "bomb"
