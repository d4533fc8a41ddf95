"""Memory that the parts of a network need for a tile, in bytes of tensors. Knows no architecture.

PyTorch hands every operation to a mode that is switched on (`TorchDispatchMode`). The bytes of each new tensor are
added, and taken away when nothing holds it any more. So the count holds for any device, and is the same every time. It
does not see the scratch memory within one operation, which the libraries of the device take and give back.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from maskwright.models.dispatch import DispatchMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.inference.engine import TorchEngine

WHOLE = ""
"""Stands for the whole network among the names of its parts."""


@dataclass(frozen=True)
class PartMemory:
    """Memory of one part of a network while it computes a tile.

    Attributes:
        weights: bytes of its parameters and buffers, as the network is used.
        most: largest number of bytes of tensors while it runs, weights not included: its own, its input, and what
            other parts have left for later.
    """

    weights: int
    most: int


class _Live(DispatchMode):
    """Counts the bytes of the tensors that operations make and something still holds.

    Attributes:
        running: names of the parts that run now.
        most: name -> largest number of bytes while it ran.
    """

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()
        self.running: list[str] = []
        self.most: dict[str, int] = {}
        self._now = 0
        self._known = weakref.WeakSet(tensor.untyped_storage() for tensor in known)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and add the bytes of its results."""
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor):
                self._add(tensor)
        for name in self.running:
            self.most[name] = max(self.most.get(name, 0), self._now)
        return found

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self._now += size
        weakref.finalize(storage, self._take, size)

    def _take(self, size: int) -> None:
        self._now -= size


def part_memory(engine: TorchEngine, tile: NDArray[np.uint8], names: Sequence[str]) -> dict[str, PartMemory]:
    """Count the bytes of tensors while the parts of a network compute a tile.

    Args:
        engine: with the network.
        tile: prepared, uint8 (h, w, channels).
        names: of modules of the network, with dots.

    Returns:
        Each name and `WHOLE` -> its memory; 0 at most for a part that runs no operation.
    """
    network = engine.segmenter
    live = _Live([*network.parameters(), *network.buffers()])
    hooks = []
    for name in (WHOLE, *names):
        module = network.get_submodule(name)

        def before(_module: Any, _inputs: Any, name: str = name) -> None:
            live.running.append(name)

        def after(_module: Any, _inputs: Any, _output: Any, name: str = name) -> None:
            live.running.remove(name)

        hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        with live:
            engine.forward(tile[None])
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: PartMemory(
            sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers())), live.most.get(name, 0)
        )
        for name in (WHOLE, *names)
        for module in [network.get_submodule(name)]
    }
