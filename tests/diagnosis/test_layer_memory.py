"""Memory of the parts of a network: by hand, and that nothing stays behind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskwright.diagnosis.layer_memory import WHOLE, PartMemory, part_memory

SIDE = 8
PLANE = 4 * SIDE * SIDE
"""Bytes of one channel of the tile."""


class Network(nn.Module):
    """Widens 1 channel to 4, keeps these while it narrows them to 2, and joins both."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(1, 4, 1, bias=False)
        self.narrow = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 1, bias=False))
        self.idle = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        wide = self.wide(x)
        narrow = self.narrow(wide)
        return self.idle(torch.cat([wide, narrow], 1))


def engine_of(network: nn.Module) -> Any:
    def forward(tiles: np.ndarray) -> Tensor:
        with torch.no_grad():
            return network(torch.from_numpy(tiles).permute(0, 3, 1, 2).float().contiguous())

    return SimpleNamespace(segmenter=network, forward=forward)


def test_bytes_of_each_part_by_hand() -> None:
    network = Network()
    found = part_memory(engine_of(network), np.zeros((SIDE, SIDE, 1), np.uint8), ["wide", "narrow", "idle"])
    assert found["wide"] == PartMemory(4 * 4, (1 + 4) * PLANE)
    # The input, what was widened, what is above 0 of it, and what is narrowed from that.
    assert found["narrow"] == PartMemory(4 * 8, (1 + 4 + 4 + 2) * PLANE)
    # What is above 0 is gone by then; what is joined has come.
    assert found[WHOLE] == PartMemory(4 * 12, (1 + 4 + 2 + 6) * PLANE)
    assert found["idle"] == PartMemory(0, 0)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_weights_are_no_tensors_of_the_tile() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 1, bias=False))
    found = part_memory(engine_of(network), np.zeros((SIDE, SIDE, 1), np.uint8), [])
    assert found[WHOLE].weights == PLANE
    assert found[WHOLE].most < 2 * PLANE  # a view of the weights is not counted
