"""How much the chunks of a Zarr array unpack to, known before zarr-python unpacks them. Knows no pixel and no image.

Metadata give the shape of a chunk, but a file can be made that unpacks to gigabytes. Blosc, LZ4 and Zstandard write the
size into a header. Streams of gzip, zlib, bz2 and LZMA do not: they are unpacked piece by piece, and forgotten, until
they end or are too long. Both happen in the store, from which zarr-python gets its bytes.

Zstandard: RFC 8878, section 3.1.1. Blosc: README_CHUNK_FORMAT.rst of c-blosc 1. LZ4: numcodecs, which puts the size
before the block. Shards: "sharding codec" of version 1.0 at https://zarr-specs.readthedocs.io.
"""

from __future__ import annotations

import asyncio
import bz2
import gzip
import io
import lzma
import math
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.data.readers.zarr_store import METADATA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_COMPRESSORS = frozenset({"blosc", "gzip", "zlib", "zstd", "bz2", "lzma", "lz4"})
_CHECKSUMS = frozenset({"crc32c", "fletcher32"})
"""They follow what they are of; others come before it, and hide its header."""
_SHARDS = "sharding_indexed"
_INDEX_CODECS = (["bytes"], ["bytes", "crc32c"])
_STEP = 1 << 20
_DEFLATE = 1032
"""A byte of deflate unpacks to at most so many (https://zlib.net/zlib_tech.html)."""
_ZSTD, _ZSTD_SKIPPED, _ZSTD_BLOCK = 0xFD2FB528, 0x184D2A50, 1 << 17
_MISSING = (1 << 64) - 1
"""Of a shard, the place of a chunk that is not there."""


class TooLargeError(Exception):
    """A chunk unpacks to too much, or in a way that hides to how much; the message continues "the image"."""


class Chain(NamedTuple):
    """How the chunks of an array are compressed.

    Attributes:
        compressor: name in `_COMPRESSORS`; None for none.
        settings: of the compressor, as the metadata give them.
        index_first: whether the index of a shard comes before its chunks; None without shards.
        index_checked: whether a checksum follows the index.
    """

    compressor: str | None
    settings: Mapping[str, Any]
    index_first: bool | None = None
    index_checked: bool = False


def chain_of(metadata: Mapping[str, Any]) -> Chain:
    """Return how an array is compressed.

    Args:
        metadata: of `.zarray` (version 2) or `zarr.json` (version 3).

    Raises:
        TooLargeError: in a way that hides how much chunks unpack to.
    """
    if "codecs" not in metadata:
        compressor = metadata.get("compressor")
        return _chain([*(metadata.get("filters") or []), *([] if compressor is None else [compressor])])
    outer = metadata["codecs"]
    names = [_name(codec) for codec in outer]
    if _SHARDS not in names:
        return _chain(outer)
    shards = _settings(outer[names.index(_SHARDS)])
    index = [_name(codec) for codec in shards["index_codecs"]]
    if index not in _INDEX_CODECS or _COMPRESSORS & set(names) or _SHARDS in map(_name, shards["codecs"]):
        raise TooLargeError("is stored in shards whose index is compressed, or that are parts of others")
    first = shards.get("index_location", "end") == "start"
    return _chain(shards["codecs"])._replace(index_first=first, index_checked=len(index) > 1)


def _chain(codecs: list[Any]) -> Chain:
    """Return the compressor, which must be the only one, and the last codec but for checksums."""
    names = [_name(codec) for codec in codecs]
    found = [place for place, name in enumerate(names) if name in _COMPRESSORS]
    if not found:
        return Chain(None, {})
    after = set(names[found[0] + 1 :]) - _CHECKSUMS
    if after:
        raise TooLargeError(f"is compressed by {names[found[0]]}, and then encoded by {', '.join(sorted(after))}")
    return Chain(names[found[0]], _settings(codecs[found[0]]))


def _name(codec: Any) -> str:
    name = codec if isinstance(codec, str) else codec.get("id", codec.get("name"))
    return str(name).removeprefix("numcodecs.")


def _settings(codec: Any) -> Mapping[str, Any]:
    """Return the settings of a codec: version 3 keeps them apart from its name."""
    found: Mapping[str, Any] = {} if isinstance(codec, str) else codec.get("configuration", codec)
    return found


def bounded_store(folder: Path, chain: Chain) -> Any:
    """Return a store of one array for zarr-python; a chunk that unpacks to too much raises TooLargeError.

    Its `bound` must be called before chunks are read.

    Args:
        folder: of the array.
        chain: of the array.
    """
    from zarr.storage import LocalStore

    class Bounded(LocalStore):
        """See `bounded_store`."""

        most, in_shard = 0, 0

        def bound(self, chunk: tuple[int, ...], shard: tuple[int, ...] | None, itemsize: int) -> None:
            """Take the shapes of chunks and of shards; filters may store numbers as wider ones, of 8 bytes."""
            self.most = math.prod(chunk) * max(itemsize, 8) + _STEP
            self.in_shard = 0 if shard is None else math.prod(shard) // max(1, math.prod(chunk))

        async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
            """Return the bytes of a file, or of a range of it."""
            found = await super().get(key, prototype, byte_range)
            if found is not None and key.rpartition("/")[2] not in METADATA:
                await asyncio.to_thread(self._check, found.to_bytes(), byte_range)
            return found

        def _check(self, data: bytes, byte_range: Any) -> None:
            for part in _chunks_in(data, byte_range, chain, self.in_shard):
                if _is_longer(part, chain, self.most):
                    most = f"{self.most / 2**20:,.0f} MiB, more than its shape can need"
                    raise TooLargeError(f"has a chunk of {len(part):,} bytes that unpacks to over {most}")

    return Bounded(folder, read_only=True)


def _chunks_in(data: bytes, byte_range: Any, chain: Chain, in_shard: int) -> Iterator[bytes]:
    """Yield the chunks that were read: one, or all of a shard, or none if it was the index of one."""
    if chain.index_first is None:
        yield data
        return
    size = 16 * in_shard + (4 if chain.index_checked else 0)
    if byte_range is None:
        index = data[:size] if chain.index_first else data[-size:]
        places = np.frombuffer(index[: 16 * in_shard], "<u8").reshape(-1, 2)
        for start, length in places[places[:, 0] != _MISSING].tolist():
            yield data[start : start + length]
    elif not hasattr(byte_range, "suffix") and (byte_range.start, byte_range.end) != (0, size):
        yield data


def _is_longer(data: bytes, chain: Chain, most: int) -> bool:
    """Tell whether a chunk unpacks to more than `most` bytes; what is no such stream does not unpack at all."""
    if chain.compressor == "blosc":
        return len(data) >= 16 and _number(data[4:8]) > most
    if chain.compressor == "lz4":
        return len(data) >= 4 and _number(data[:4]) > most
    if chain.compressor == "zstd":
        return _zstd_length(data) > most
    if chain.compressor is None or (chain.compressor in {"gzip", "zlib"} and len(data) * _DEFLATE <= most):
        return False
    return _unpacks_beyond(_STREAMS[chain.compressor](data, chain.settings), most)


def _unpacks_beyond(pieces: Iterator[bytes], most: int) -> bool:
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > most:
            return True
    return False


def _read(stream: io.BufferedIOBase) -> Iterator[bytes]:
    while piece := stream.read(_STEP):
        yield piece


def _zlib(data: bytes, _settings: Mapping[str, Any]) -> Iterator[bytes]:
    stream = zlib.decompressobj()
    while data and not stream.eof:
        yield stream.decompress(data, _STEP)
        data = stream.unconsumed_tail


def _lzma(data: bytes, settings: Mapping[str, Any]) -> Iterator[bytes]:
    form, filters = settings.get("format", lzma.FORMAT_XZ), settings.get("filters")
    return _read(lzma.LZMAFile(io.BytesIO(data), format=form, filters=filters))


_STREAMS: dict[str, Callable[[bytes, Mapping[str, Any]], Iterator[bytes]]] = {
    "gzip": lambda data, _: _read(gzip.GzipFile(fileobj=io.BytesIO(data))),
    "zlib": _zlib,
    "bz2": lambda data, _: _read(bz2.BZ2File(io.BytesIO(data))),
    "lzma": _lzma,
}


def _zstd_length(data: bytes) -> int:
    """Return what the frames of Zstandard unpack to: as they say, or if one does not, at most, from their blocks."""
    said, blocks, place = 0, 0, 0
    known = True
    while len(data) - place >= 8:
        magic = _number(data[place : place + 4])
        if magic & ~0xF == _ZSTD_SKIPPED:
            place += 8 + _number(data[place + 4 : place + 8])
            continue
        if magic != _ZSTD:
            break
        described = data[place + 4]
        alone, flag = described >> 5 & 1, described >> 6
        place += 5 + (1 - alone) + (0, 1, 2, 4)[described & 3]
        width = (alone, 2, 4, 8)[flag]
        said += _number(data[place : place + width]) + (256 if width == 2 else 0)
        known = known and width > 0
        place += width
        last = False
        while not last and place + 3 <= len(data):
            header = _number(data[place : place + 3])
            last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            blocks += _ZSTD_BLOCK if kind == 2 else size
            place += 3 + (1 if kind == 1 else size)
        place += 4 * (described >> 2 & 1)  # the checksum
    return said if known else blocks


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
