"""Files of `torch.save` (`.pth`, `.pt`, `.bin`): the tensors in them, without unpickling. Knows no network.

Two formats are read. The current one is an uncompressed zip archive: `NAME/data.pkl` is the pickle, `NAME/data/KEY` a
storage, `NAME/byteorder` the byte order. The format before torch 1.6, which most of torchvision's published weights
still use, is five pickles in a row (magic number, version, system, the object, the keys of its storages) followed by
the storages, each preceded by its number of elements. `pickle_reader` reads the pickles as data.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import torch

from maskwright.core.errors import MaskwrightError
from maskwright.models.weights.pickle_reader import Foreign, ForeignError, Storage, View, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

_ZIP = b"PK\x03\x04"
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_LARGEST = 2**63 - 1
_DAMAGED = (
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    LookupError,
    EOFError,
    NotImplementedError,  # another kind of zip
    RuntimeError,  # an encrypted zip, or sizes that torch rejects
    OverflowError,
    MemoryError,
)
_DEEPEST = 8

Choose = Callable[[Sequence[str]], Mapping[str, str] | None]
"""Given all names in a file, returns those to read and what to call them, or None if it cannot tell."""


def read_torch_file(path: Path, choose: Choose) -> dict[str, Tensor]:
    """Read the tensors of a file of `torch.save`, by name.

    The name of a tensor in dictionaries within dictionaries is their keys, joined by dots.

    Args:
        path: of the file.
        choose: called with the names of all tensors. If it returns None, the file must contain one dictionary of
            tensors, which is read whole and by its own names.

    Raises:
        MaskwrightError: damaged, or with contents other than named tensors.
    """
    with _explained(path), path.open("rb") as file:
        if file.read(len(_ZIP)) == _ZIP:
            with zipfile.ZipFile(file) as archive:
                return _zipped(archive, path.stat().st_size, choose)
        return _legacy(io.BytesIO(path.read_bytes()), choose)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what is raised inside into an error that names the file, the rule it breaks and the cure."""
    try:
        yield
    except ForeignError as error:
        raise MaskwrightError(
            f"{path} contains {error}, and maskwright runs no code from a file of weights: it reads only a state dict, "
            "alone or in a dictionary. If you trust the file, load it with torch, and save model.state_dict() alone "
            "with safetensors.torch.save_file"
        ) from None
    except OSError as error:
        raise MaskwrightError(f"{path} cannot be read: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise MaskwrightError(
            f"{path} is not a complete file of torch.save ({error}): it was truncated, or has another format. Copy "
            "or download it again"
        ) from None


def _zipped(archive: zipfile.ZipFile, size: int, choose: Choose) -> dict[str, Tensor]:
    entries = {entry.filename: entry for entry in archive.infolist()}
    roots = [name.removesuffix("data.pkl") for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ValueError("it contains no data.pkl")
    root = roots[0]
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise ForeignError("compressed parts, which torch.save never writes")  # few bytes could expand to any number
    if sum(entry.file_size for entry in entries.values()) > size:
        raise ForeignError("overlapping parts")  # the same bytes could be read any number of times
    tree, _ = parse(io.BytesIO(archive.read(root + "data.pkl")))
    order = archive.read(root + "byteorder").decode() if root + "byteorder" in entries else "little"
    if order not in {"little", "big"}:
        raise ForeignError(f"numbers in the byte order {order[:20]!r}")
    return _tensors(_chosen(tree, choose), lambda storage: archive.read(f"{root}data/{storage.key}"), order)


def _legacy(stream: BinaryIO, choose: Choose) -> dict[str, Tensor]:
    magic, _ = parse(stream)
    if isinstance(magic, Foreign):
        raise ForeignError(magic.text)  # a pickle, but not of torch.save
    version, _ = parse(stream)
    if magic != _MAGIC or version != _VERSION:
        raise ValueError("its start is wrong")
    parse(stream)  # the system that wrote it, unused: storages are little-endian on every system
    tree, storages = parse(stream)
    keys, _ = parse(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("it has no list of storages")
    raw: dict[str, bytes] = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        if count != storages[key].numel:
            raise ValueError(f"the storage {key} has {count} elements and should have {storages[key].numel}")
        raw[key] = stream.read(count * _dtype(storages[key]).itemsize)
    return _tensors(_chosen(tree, choose), lambda storage: raw.pop(storage.key), "little")


def _chosen(tree: Any, choose: Choose) -> dict[str, View]:
    """Return the tensors to read, by the names to give them."""
    if isinstance(tree, Foreign):
        raise ForeignError(f"{tree.text} as a whole")
    found = {f"{room}{key}": (room, entry) for room, key, entry in _entries(tree, "", set())}
    views = {name: entry for name, (_, entry) in found.items() if isinstance(entry, View)}
    foreign = {name: (room, entry.text) for name, (room, entry) in found.items() if isinstance(entry, Foreign)}
    if not views:
        raise ForeignError(next((text for _, text in foreign.values()), "no dictionaries of named tensors"))
    names = choose(list(views)) or _only(views, found)
    rooms = {found[name][0] for name in names}
    for room, text in foreign.values():
        if room in rooms:
            raise ForeignError(text)
    return {ours: views[name] for name, ours in names.items()}


def _only(views: Mapping[str, View], found: Mapping[str, tuple[str, Any]]) -> dict[str, str]:
    """Take the one dictionary of tensors; beside an inner one, tensors in the outermost are counters and the like."""
    rooms = {found[name][0] for name in views}
    inner = rooms - {""} or rooms
    if len(inner) > 1:
        raise ForeignError(f"{len(inner)} dictionaries of named tensors ({', '.join(sorted(inner))})")
    (room,) = inner
    return {name: name.removeprefix(room) for name in views if found[name][0] == room}


def _entries(tree: Any, room: str, seen: set[int]) -> Iterator[tuple[str, str, Any]]:
    """Yield room, key and value of every entry of dictionaries within dictionaries, each dictionary once."""
    if not isinstance(tree, dict) or id(tree) in seen or room.count(".") > _DEEPEST:
        return
    seen.add(id(tree))
    for key, entry in tree.items():
        yield room, key, entry
        yield from _entries(entry, f"{room}{key}.", seen)


def _tensors(views: dict[str, View], read: Callable[[Storage], bytes], order: str) -> dict[str, Tensor]:
    """Create the tensors; tensors that shared a storage still share it."""
    flat = {storage: _flat(storage, read(storage), order) for storage in {view.storage for view in views.values()}}
    return {name: _viewed(name, view, flat[view.storage]) for name, view in views.items()}


def _dtype(storage: Storage) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, storage.dtype)
    return dtype


def _flat(storage: Storage, raw: bytes, order: str) -> Tensor:
    dtype = _dtype(storage)
    if len(raw) != storage.numel * dtype.itemsize:
        raise ValueError(f"the storage {storage.key} has {len(raw)} bytes and should have {storage.numel} elements")
    if not raw:
        return torch.empty(0, dtype=dtype)
    flat = torch.frombuffer(bytearray(raw), dtype=dtype)
    if order != sys.byteorder:
        flat.untyped_storage().byteswap(dtype)
    return flat


def _viewed(name: str, view: View, flat: Tensor) -> Tensor:
    """Return the tensor that a view describes, checked against its storage: `as_strided` itself does not check."""
    numbers = (view.offset, *view.size, *view.stride)
    if len(view.size) != len(view.stride) or min(numbers) < 0 or max(numbers) > _LARGEST:
        raise ValueError(f"{name} has an invalid size or stride")
    if 0 in view.size:  # wherever it may begin
        return flat.new_empty(0).as_strided(view.size, view.stride)
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.size, view.stride, strict=True))
    if last >= flat.numel():
        raise ValueError(f"{name} extends beyond its storage")
    if math.prod(view.size) > flat.numel():
        raise ForeignError(f"{name}, which repeats its few numbers as a tensor of size {list(view.size)}")
    return flat.as_strided(view.size, view.stride, view.offset)
