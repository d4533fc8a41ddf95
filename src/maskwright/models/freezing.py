"""Freezes a backbone for part of a training: no gradient, no update, no moving statistics. Knows no optimiser.

Whether it is frozen depends on the step alone, so that a resumed training does what an uninterrupted one does. While
its weights require no gradient, autograd stores nothing for it and stops at the decoder, which saves the time. The
optimiser always holds its weights, and skips those without a gradient: no step, no decay, no momentum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskwright.models.segmenter import Segmenter


def until_step(freeze: str) -> float:
    """Return the first step that trains the backbone: 0 for all steps, infinity for none.

    Args:
        freeze: `optim.freeze` of a plan.
    """
    number = freeze.partition("=")[2]
    return int(number) if number else {"none": 0, "backbone": math.inf}[freeze]


class Freezer:
    """Keeps the backbone of a segmenter frozen while the step is below `until`.

    Create it after LoRA and before the training: weights that require no gradient at that time stay frozen.

    Args:
        segmenter: whose backbone.
        freeze: `optim.freeze` of a plan.

    Attributes:
        until: the first step that trains the backbone.
        frozen: whether it is frozen now.
    """

    def __init__(self, segmenter: Segmenter, freeze: str) -> None:
        self.until = until_step(freeze)
        self.frozen = False
        self._backbone = segmenter.backbone
        self._weights = [weight for weight in self._backbone.parameters() if weight.requires_grad]

    def at(self, step: float) -> bool:
        """Freeze or unfreeze as a step requires, and return whether that was a change.

        Args:
            step: 0-based; infinity for after the training.
        """
        wanted = step < self.until
        changed = wanted != self.frozen
        self.frozen = wanted
        if changed:
            for weight in self._weights:
                weight.requires_grad_(not wanted)
        return changed

    def rest(self) -> None:
        """Put a frozen backbone back into evaluation mode, after the network was put into training mode."""
        if self.frozen:
            self._backbone.eval()
