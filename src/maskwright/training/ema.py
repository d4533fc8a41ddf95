"""The exponential moving average of the weights: the model that is validated and saved."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


class EMA:
    """The moving average `model`, a copy of the trained model.

    The decay starts small and rises to its full value, so that the random initial weights are soon forgotten:
    min(decay, (1 + step) / (10 + step)).

    Args:
        model: the trained model.
        decay: EMA decay per step, 0..1; 0 copies the weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards `model` after its step number `step` (0-based).

        Running statistics of norms are averaged like weights; counters are copied.
        """
        share = 1.0 - min(self.decay, (1 + step) / (10 + step)) if self.decay else 1.0
        mine = self.model.state_dict()
        theirs = model.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in floats], [theirs[name] for name in floats], share)
        for name, value in mine.items():
            if not value.is_floating_point():
                value.copy_(theirs[name])
