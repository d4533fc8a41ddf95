"""Milliseconds and weights of the parts of a network. Knows no architecture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from maskwright.inference.engine import TorchEngine

REPEATS = 5
LEVELS = 2


@dataclass(frozen=True)
class PartTime:
    """One part of a network.

    Attributes:
        name: of the module, with dots.
        milliseconds: of one pass of a tile.
        parameters: weights, of the network as it is trained.
    """

    name: str
    milliseconds: float
    parameters: int


def part_times(engine: TorchEngine, tile: NDArray[np.uint8], trained: nn.Module) -> list[PartTime]:
    """Time the parts of a network by hooks.

    Args:
        engine: with the network.
        tile: prepared, uint8 (h, w, channels).
        trained: the network before the engine folded its batch normalisations: with the same modules by name, on any
            device. Its weights are counted.

    Returns:
        The modules that ran two levels below the network, in its order. A module that does not run itself (a list, or
        one whose children the network calls) stands for its children.
    """
    seconds: dict[str, list[float]] = {}
    started: dict[str, float] = {}
    hooks = []
    for name, module in engine.segmenter.named_modules():

        def before(_module: Any, _inputs: Any, name: str = name) -> None:
            _wait(engine.device)
            started[name] = time.perf_counter()

        def after(_module: Any, _inputs: Any, _output: Any, name: str = name) -> None:
            _wait(engine.device)
            seconds.setdefault(name, []).append(time.perf_counter() - started[name])

        hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        for _ in range(1 + REPEATS):
            engine.forward(tile[None])
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for name in _ran(engine.segmenter, set(seconds), "", LEVELS):
        calls = round(len(seconds[name]) / (1 + REPEATS))  # a module that runs several times in a pass counts as often
        found.append(PartTime(name, 1000 * median(seconds[name]) * calls, _weights(trained, name)))
    return found


def _ran(network: nn.Module, names: set[str], prefix: str, levels: int) -> list[str]:
    """Return the names of modules some levels below a module; those that did not run themselves are looked into."""
    found = []
    for key, child in network.named_children():
        name = f"{prefix}{key}"
        wraps = len(list(child.children())) == 1
        inner = (
            _ran(child, names, f"{name}.", levels if wraps else levels - 1) if levels > 1 or name not in names else []
        )
        if inner:
            found += inner
        elif name in names:
            found.append(name)
    return found


def _weights(network: nn.Module, name: str) -> int:
    return sum(weight.numel() for key, weight in network.named_parameters() if key.startswith(f"{name}."))


def _wait(device: torch.device) -> None:
    """Let a GPU finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
