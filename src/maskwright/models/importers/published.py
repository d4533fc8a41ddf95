"""Locates weights and their description: a file, a folder, or a repository of the hub. Knows no library.

Two files are read, both as data: `config.json`, and `model.safetensors` or a given file of `torch.save`
(`weights.torch_file`). Code next to them is never run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.models.backbones import hub
from maskwright.models.weights import read_network

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from torch import Tensor

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_ENCODERS = {"encoder", "backbone"}
LARGEST_JSON = 1 << 24  # a larger file is not a description


@dataclass(frozen=True)
class Published:
    """Weights with their description.

    Attributes:
        config: the description.
        tensors: by the library's names.
        origin: where they come from, for messages.
        place: folder or repository where other files are looked up.
        notes: what was done to read the weights.
    """

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    origin: str
    place: str | Path
    notes: tuple[str, ...]

    def other(self, name: str) -> dict[str, Any]:
        """Return another JSON file of the same place; empty if there is none."""
        try:
            path = self.place / name if isinstance(self.place, Path) else hub.published_file(self.place, name)
        except hub.NoSuchFile:
            return {}
        return read_json(path) if path.is_file() else {}


def find(name: str, weights: Path | None, known: AbstractSet[str]) -> Published:
    """Find weights and description.

    Args:
        name: folder, or repository OWNER/NAME on the hub.
        weights: a file of safetensors or `torch.save`; its description is the `config.json` next to it, or that of
            `name`.
        known: names of tensors of which the network has one, such as its last layer (`read_network`).

    Raises:
        MaskwrightError: either is missing, or the hub is unreachable.
    """
    folder = Path(name)
    if weights is not None:
        tensors, notes = _whole_network(weights, known)
        place = next((place for place in (weights.parent, folder) if (place / CONFIG).is_file()), None)
        if place is None and not _is_repository(name):
            raise MaskwrightError(
                f"{weights} has no {CONFIG} next to it to describe the network: put the one that was saved with it "
                "there, or name the folder or repository that contains it, as in smp:FOLDER"
            )
        config = read_json(hub.published_file(name, CONFIG) if place is None else place / CONFIG)
        return Published(config, tensors, str(weights), name if place is None else place, notes)
    if folder.is_dir():
        config = read_json(folder / CONFIG)
        tensors, notes = _whole_network(folder / WEIGHTS, known)
        return Published(config, tensors, name, folder, notes)
    if not _is_repository(name):
        raise MaskwrightError(
            f"{name} is neither a folder nor a repository OWNER/NAME of the hub: give a folder with {CONFIG} and "
            f"{WEIGHTS}, or a file with `weights`"
        )
    config = read_json(hub.published_file(name, CONFIG))
    tensors, notes = _whole_network(hub.published_file(name, WEIGHTS), known)
    return Published(config, tensors, name, name, notes)


def _whole_network(path: Path, known: AbstractSet[str]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Read the weights of a network, and refuse those of its encoder alone: the rest would stay random.

    Raises:
        MaskwrightError: as `read_network`; or there is no more than an encoder.
    """
    tensors, notes = read_network(path, known)
    if known.isdisjoint(tensors) and all(_ENCODERS & set(name.split(".")) for name in tensors):
        raise MaskwrightError(
            f"{path} holds the weights of an encoder alone; the decoder and the last layer are missing: give the file "
            "of the whole network, or start training from this one with `weights` and `backbone`"
        )
    return tensors, notes


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        MaskwrightError: missing, or not a JSON object.
    """
    if not path.is_file():
        raise MaskwrightError(f"{path} does not exist: give the folder that save_pretrained wrote, with {path.name}")
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError("too long for a description")
        found = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise MaskwrightError(f"{path} is not a valid description ({error}): copy the file again") from None
    if not isinstance(found, dict):
        raise MaskwrightError(f"{path} does not contain a JSON object: copy the file again")
    return found


def _is_repository(name: str) -> bool:
    owner, slash, model = name.partition("/")
    return bool(slash and owner and model) and "/" not in model and not name.startswith(".")
