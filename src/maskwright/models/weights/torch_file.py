"""Files of `torch.save` (`.pth`, `.pt`, `.bin`): the tensors in them, without unpickling. Knows no network.

Two formats are read. The present one is a zip archive, stored and not compressed: `NAME/data.pkl` is the pickle,
`NAME/data/KEY` a storage, `NAME/byteorder` how its numbers lie. The one before torch 1.6, in which most of what
torchvision publishes still is, is five pickles in a row (magic number, version, system, the object, the keys of its
storages) and then the storages, each after the number of its elements. `pickle_reader` reads the pickles as data.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import sys
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

import torch

from maskwright.core.errors import MaskwrightError
from maskwright.models.weights.pickle_reader import ForeignError, Storage, View, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    NotImplementedError,  # a zip of another kind
    RuntimeError,  # an encrypted one, or sizes that torch does not take
    OverflowError,
    MemoryError,
)
_NESTED = "a state dict, or a dictionary that holds one and only one"


def read_torch_file(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file of `torch.save`, by name.

    Raises:
        MaskwrightError: damaged, or more than tensors by name.
    """
    with _explained(path), path.open("rb") as file:
        if file.read(len(_ZIP)) == _ZIP:
            with zipfile.ZipFile(file) as archive:
                return _zipped(archive, path.stat().st_size)
        return _legacy(io.BytesIO(path.read_bytes()))


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say of what was raised which file it is about, which rule it breaks and what helps."""
    try:
        yield
    except ForeignError as error:
        raise MaskwrightError(
            f"{path} holds {error}, and nothing in a file of weights is run here: only {_NESTED} beside plain values, "
            "is read, as data. Where you trust the file, load it with torch, and save model.state_dict() alone, with "
            "safetensors.torch.save_file"
        ) from None
    except OSError as error:
        raise MaskwrightError(f"{path} cannot be read: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise MaskwrightError(
            f"{path} is no whole file of torch.save ({error}): it was cut off on its way, or is something else. Copy "
            "or download it again"
        ) from None


def _zipped(archive: zipfile.ZipFile, size: int) -> dict[str, Tensor]:
    entries = {entry.filename: entry for entry in archive.infolist()}
    roots = [name.removesuffix("data.pkl") for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ValueError("there is no data.pkl in it")
    root = roots[0]
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise ForeignError("compressed parts, as torch.save never writes")  # a few bytes may become any number
    if sum(entry.file_size for entry in entries.values()) > size:
        raise ForeignError("parts that lie on top of one another")  # the same bytes may be read any number of times
    tree, _ = parse(io.BytesIO(archive.read(root + "data.pkl")))
    order = archive.read(root + "byteorder").decode() if root + "byteorder" in entries else "little"
    if order not in {"little", "big"}:
        raise ForeignError(f"numbers in the byte order {order[:20]!r}")
    return _tensors(_state_dict(tree), lambda storage: archive.read(f"{root}data/{storage.key}"), order)


def _legacy(stream: BinaryIO) -> dict[str, Tensor]:
    magic, _ = parse(stream)
    version, _ = parse(stream)
    if magic != _MAGIC or version != _VERSION:
        raise ValueError("it does not begin as one")
    parse(stream)  # of the machine that wrote it: the storages are little-endian on any
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
    return _tensors(_state_dict(tree), lambda storage: raw.pop(storage.key), "little")


def _state_dict(tree: Any) -> dict[str, View]:
    """Return the one dictionary of tensors by name that `tree` is, or holds: checkpoints carry other things beside."""
    inner = tree.values() if isinstance(tree, dict) else ()
    found = [entry for entry in (tree, *inner) if _is_state_dict(entry)]
    if len(found) != 1:
        raise ForeignError(f"{len(found) or 'no'} dictionaries of tensors by name")
    return found[0]


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(name, str) and isinstance(entry, View) for name, entry in value.items())
    )


def _tensors(views: dict[str, View], read: Callable[[Storage], bytes], order: str) -> dict[str, Tensor]:
    """Make the tensors; those that shared a storage still do."""
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
    """Cut a tensor out of its storage, and never beyond: `as_strided` takes the numbers at their word."""
    numbers = (view.offset, *view.size, *view.stride)
    if len(view.size) != len(view.stride) or min(numbers) < 0 or max(numbers) > _LARGEST:
        raise ValueError(f"{name} has a size or a stride that cannot be")
    if 0 in view.size:  # wherever it may begin
        return flat.new_empty(0).as_strided(view.size, view.stride)
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.size, view.stride, strict=True))
    if last >= flat.numel():
        raise ValueError(f"{name} reaches beyond its storage")
    if math.prod(view.size) > flat.numel():
        raise ForeignError(f"{name}, which repeats its few numbers as a tensor of the size {list(view.size)}")
    return flat.as_strided(view.size, view.stride, view.offset)
