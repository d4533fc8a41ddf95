"""Weights in files: read as data, compared with a network by name and shape, then loaded. Never runs a pickle."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from maskwright.core.errors import MaskwrightError
from maskwright.models.weights.parts import part_of
from maskwright.models.weights.torch_file import read_torch_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from maskwright.models.weights.parts import Part
    from maskwright.models.weights.torch_file import Choose

CARD_KEY = "maskwright"
PARALLEL = "module."
COUNTER = "num_batches_tracked"
PICKLES = {".pt", ".pth", ".bin", ".ckpt", ".pkl", ".tar"}
_OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS: get the file itself, with `git lfs pull`",
    b"<": "a web page: download the file again, and look at the page if it is the same",
    b"{": "JSON text: download the file again, and look at the text if it is the same",
}


class MisfitError(MaskwrightError):
    """Weights that do not fit the network."""


def read_network(path: Path, known: Collection[str], least: int = 1) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Read the weights of one network from a file that may hold more, or hold it wrapped (`weights.parts`).

    Args:
        path: of a safetensors file, or a file of `torch.save`.
        known: names of tensors in the network; some are enough.
        least: this many of them must be in the file under one prefix; otherwise all names are taken as they are.

    Returns:
        the tensors by the network's names, numbers as float32; and notes on what was done.

    Raises:
        MaskwrightError: as `read_tensors`, or several networks that fit.
    """
    found: list[Part] = []

    def choose(names: Sequence[str]) -> Mapping[str, str] | None:
        part = part_of(names, known, str(path), least)
        found.extend([part] if part else [])
        return part.names if part else None

    tensors = read_tensors(path, choose)
    numbers = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return numbers, found[0].notes if found else ()


def read_tensors(path: Path, choose: Choose = lambda _: None) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, or of a file of `torch.save`, onto the CPU, by name.

    Args:
        path: of the file.
        choose: see `torch_file`. If it returns None, the prefix `module.` of data parallelism is removed if all names
            have it.

    Raises:
        MaskwrightError: missing, truncated, in another format, more than named tensors, or with NaN values.
    """
    path = Path(path)
    if _of_torch_save(path):
        tensors = read_torch_file(path, choose)
    else:
        with _opened(path) as file:
            names = list(file.keys())
            tensors = {ours: file.get_tensor(name) for name, ours in (choose(names) or _as_is(names)).items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.isnan().any():
            raise MaskwrightError(
                f"{path}: {name} contains NaN values, probably because the training diverged: use the weights of an "
                "earlier step, or train again"
            )
    parallel = bool(tensors) and all(name.startswith(PARALLEL) for name in tensors)
    return {name.removeprefix(PARALLEL) if parallel else name: tensor for name, tensor in tensors.items()}


def _as_is(names: Sequence[str]) -> dict[str, str]:
    return {name: name for name in names}


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file, and none of its tensors.

    Raises:
        MaskwrightError: missing, a file of torch.save, truncated, or not a safetensors file.
    """
    with _opened(path) as file:
        return file.metadata() or {}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file, or explain why it cannot be opened."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise MaskwrightError(f"{path} {what}: give the path of a file")
    if _of_torch_save(path):
        raise MaskwrightError(
            f"{path} is a pickle written by torch.save, not a maskwright model file: give a model.safetensors that "
            "maskwright train wrote, or convert another library's weights with maskwright import"
        )
    try:
        with open_safetensors(path) as file:
            yield file
    except SafetensorError as error:
        raise MaskwrightError(
            f"{path} is not a complete safetensors file ({error}): it was truncated, or has another format. "
            "Copy it again, or train again"
        ) from None
    except OSError as error:
        raise MaskwrightError(f"{path} cannot be read: {error.strerror or error}") from None


@contextlib.contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file. The library refuses names that are not UTF-8, so such a file is opened by descriptor."""
    with contextlib.ExitStack() as stack:
        name = os.fsencode(path)
        if name != name.decode(errors="ignore").encode():
            name = b"/dev/fd/%d" % stack.enter_context(path.open("rb")).fileno()
        yield stack.enter_context(safe_open(os.fsdecode(name), framework="pt", device="cpu"))


def _of_torch_save(path: Path) -> bool:
    """Recognise by name, or by first bytes, a file of `torch.save`: a bare pickle, or a zip archive around one.

    Raises:
        MaskwrightError: it is text, which a download or a clone left instead of the file.
    """
    _refuse_text(path)
    if path.suffix.lower() in PICKLES:
        return path.is_file()
    with contextlib.suppress(OSError), path.open("rb") as file:
        start = file.read(4)
        # The length field of safetensors may start with 0x80 too; its header then begins at byte 8, and is JSON.
        return start == b"PK\x03\x04" or (start[:1] == b"\x80" and file.read(5)[4:] != b"{")
    return False


def _refuse_text(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("rb") as file:
        start = file.read(64)
        what = next((what for begins, what in _OTHERS.items() if start.lstrip().startswith(begins)), None)
        if what is not None and b"\0" not in start:
            raise MaskwrightError(f"{path} contains no weights, but {what}")


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load `tensors` into `module`; all names and shapes must match, save the counters that old files lack.

    Raises:
        MaskwrightError: a name or shape differs; the first few are named.
    """
    check_fits(module, tensors, source)
    counters = {name: tensor for name, tensor in module.state_dict().items() if name.endswith(COUNTER)}
    module.load_state_dict({**counters, **tensors})


def check_fits(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Compare `tensors` with those of `module`, which may be on the meta device.

    Raises:
        MisfitError: a name or shape differs; the first few are named.
    """
    problems = _differences(module.state_dict(), tensors)
    if problems:
        raise MisfitError(
            f"{source} does not fit the network ({few(problems)}): it belongs to another architecture, other options "
            "or another number of channels. Give the file of this architecture"
        )


def is_whole_model(path: Path) -> bool:
    """Whether a file is a bundle (a whole segmenter) rather than backbone weights.

    Raises:
        MaskwrightError: missing, truncated, or not a file of weights.
    """
    return not _of_torch_save(path) and CARD_KEY in read_metadata(path)


def _differences(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """List the differences between `given` and `wanted`, shapes first."""
    shapes = [
        f"{name} is {list(given[name].shape)} and should be {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    missing = [f"{name} is missing" for name in wanted if name not in given and not name.endswith(COUNTER)]
    unknown = [f"{name} is unknown" for name in given if name not in wanted]
    return shapes + missing + unknown


def few(items: Iterable[str], count: int = 3) -> str:
    """Join the first few, and say how many more there are."""
    listed = list(items)
    more = f" and {len(listed) - count} more" if len(listed) > count else ""
    return "; ".join(listed[:count]) + more
