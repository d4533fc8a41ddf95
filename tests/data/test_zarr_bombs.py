"""Chunks of a few kilobytes that unpack to megabytes: refused before they are unpacked, whatever packed them."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.stores import array

from maskwright.core.records import ImageRef
from maskwright.data.readers import DecodeError, read_image
from maskwright.data.readers.zarr_chunks import Chain, _is_longer, _zstd_length
from maskwright.data.readers.zarr_image import ZarrRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

numcodecs = pytest.importorskip("numcodecs")

GREY = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
BOMB = 64 << 20
CODECS = {
    "blosc": numcodecs.Blosc(),
    "gzip": numcodecs.GZip(9),
    "zlib": numcodecs.Zlib(9),
    "zstd": numcodecs.Zstd(1),
    "bz2": numcodecs.BZ2(1),
    "lzma": numcodecs.LZMA(preset=0),
    "lz4": numcodecs.LZ4(),
}


@pytest.fixture(scope="module")
def zeros() -> np.ndarray:
    return np.zeros(BOMB, np.uint8)


def frame(length: int, block: int = 1 << 17) -> bytes:
    """Return a frame of Zstandard that does not say its length: a byte for each block, and how often it is repeated."""
    starts = range(0, length, block)
    blocks = [(block << 3 | 2 | (start + block >= length)).to_bytes(3, "little") + b"\0" for start in starts]
    return bytes.fromhex("28b52ffd0058") + b"".join(blocks)


def peak_of(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def assert_refused(run: Callable[[], object]) -> None:
    """Assert that a chunk is refused, and that its content was never held."""

    def refused() -> None:
        with pytest.raises(DecodeError, match="unpacks to over 1 MiB, more than its shape can need") as caught:
            run()
        assert caught.value.kind == "bomb"

    assert peak_of(refused) < BOMB / 4


@pytest.mark.parametrize("name", CODECS)
def test_a_bomb_of_each_compressor(tmp_path: Path, zeros: np.ndarray, name: str) -> None:
    path = array(tmp_path / "a.zarr", GREY, 2, compressors=CODECS[name])
    np.testing.assert_array_equal(read_image(path)[..., 0], GREY)
    (path / "0/0").write_bytes(CODECS[name].encode(zeros))
    assert (path / "0/0").stat().st_size < BOMB / 50
    assert_refused(lambda: read_image(path))


@pytest.mark.parametrize("name", ["BloscCodec", "GzipCodec", "ZstdCodec"])
def test_a_bomb_in_version_3(tmp_path: Path, zeros: np.ndarray, name: str) -> None:
    from zarr import codecs

    path = array(tmp_path / "a.zarr", GREY, compressors=getattr(codecs, name)())
    np.testing.assert_array_equal(read_image(path)[..., 0], GREY)
    (path / "c/0/0").write_bytes(CODECS[name.removesuffix("Codec").lower()].encode(zeros))
    assert_refused(lambda: read_image(path))


@pytest.mark.parametrize("place", ["start", "end"])
def test_a_bomb_in_a_shard(tmp_path: Path, place: str) -> None:
    """Of which a part is read, and all."""
    path = array(tmp_path / "a.zarr", GREY, shards=(64, 64), chunks=(32, 32))
    metadata = json.loads((path / "zarr.json").read_text())
    (shards,) = metadata["codecs"]
    shards["configuration"] |= {"index_location": place, "index_codecs": shards["configuration"]["index_codecs"][:1]}
    (path / "zarr.json").write_text(json.dumps(metadata))
    bomb = frame(BOMB)
    start = 64 if place == "start" else 0
    index = np.full((4, 2), (1 << 64) - 1, "<u8")
    index[1] = start, len(bomb)
    (path / "c/0/0").write_bytes(index.tobytes() + bomb if start else bomb + index.tobytes())
    assert_refused(lambda: read_image(path))
    assert_refused(lambda: ZarrRows(ImageRef(path)))


@pytest.mark.parametrize("place", ["start", "end"])
def test_shards_are_read(tmp_path: Path, place: str) -> None:
    shards = {"shape": (64, 64), "index_location": place}
    path = array(tmp_path / "a.zarr", GREY, shards=shards, chunks=(32, 32))
    np.testing.assert_array_equal(read_image(path)[..., 0], GREY)
    np.testing.assert_array_equal(ZarrRows(ImageRef(path)).rows(3, 40)[..., 0], GREY[3:40])


def test_filters_may_store_wider_numbers(tmp_path: Path) -> None:
    filters = [numcodecs.AsType(encode_dtype="f8", decode_dtype="u1")]
    path = array(tmp_path / "a.zarr", GREY, 2, filters=filters, compressors=numcodecs.Zstd())
    np.testing.assert_array_equal(read_image(path)[..., 0], GREY)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ([{"id": "zlib", "level": 1}], "is compressed by zlib, and then encoded by zstd"),
        ([{"id": "gzip", "level": 1}, {"id": "shuffle", "elementsize": 1}], "then encoded by shuffle, zstd"),
    ],
)
def test_a_bomb_in_a_packet_is_not_opened(tmp_path: Path, filters: list[Any], words: str) -> None:
    path = array(tmp_path / "a.zarr", GREY, 2)
    metadata = json.loads((path / ".zarray").read_text())
    (path / ".zarray").write_text(json.dumps(metadata | {"filters": filters}))
    with pytest.raises(DecodeError, match=words):
        read_image(path)


@pytest.mark.parametrize("change", [{"index_codecs": [{"name": "bytes"}, {"name": "gzip"}]}, {"codecs": "itself"}])
def test_shards_that_hide_what_they_hold(tmp_path: Path, change: dict[str, Any]) -> None:
    path = array(tmp_path / "a.zarr", GREY, shards=(64, 64), chunks=(32, 32))
    metadata = json.loads((path / "zarr.json").read_text())
    shards = metadata["codecs"][0]["configuration"]
    shards |= {"codecs": json.loads(json.dumps(metadata["codecs"]))} if "codecs" in change else change
    (path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(DecodeError, match="whose index is compressed, or that are parts of others"):
        read_image(path)


@given(content=st.binary(min_size=1, max_size=5000), repeat=st.integers(1, 200))
def test_what_a_chunk_holds_is_not_too_much(content: bytes, repeat: int) -> None:
    content *= repeat
    for name, codec in CODECS.items():
        packed = codec.encode(content)
        assert not _is_longer(packed, Chain(name, {}), len(content))
        if len(packed) * 1032 > len(content):  # the others are so short that nobody looks
            assert _is_longer(packed, Chain(name, {}), len(content) - 1) or len(content) == 1


@given(lengths=st.lists(st.integers(1, 300_000), min_size=1, max_size=3), unknown=st.booleans())
def test_frames_of_zstandard(lengths: list[int], unknown: bool) -> None:
    frames = [numcodecs.Zstd().encode(bytes(length)) for length in lengths]
    if not unknown:
        assert _zstd_length(b"".join(frames)) == sum(lengths)
        return
    blocks = b"".join([*frames, frame(200, 50)])
    assert sum(lengths) + 200 <= _zstd_length(blocks) <= sum(lengths) + 200 + len(lengths) * (1 << 18)
    assert len(numcodecs.Zstd().decode(frame(200, 50))) == 200
