"""A backbone that stands still for a while: no gradient, no update, no moving statistics. Knows no optimiser.

Whether it stands still is a function of the step alone, so that a resumed training does what the whole one did. While
its weights want no gradient, autograd keeps nothing of it and goes back no further than the decoder: that is the time
saved. The optimiser holds its weights all along and passes over what has no gradient: no step, no decay, no momentum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskwright.models.segmenter import Segmenter


def until_step(freeze: str) -> float:
    """Return the step from which on the backbone is trained: 0 from the first, infinity never.

    Args:
        freeze: `optim.freeze` of a plan.
    """
    number = freeze.partition("=")[2]
    return int(number) if number else {"none": 0, "backbone": math.inf}[freeze]


class Freezer:
    """Holds the backbone of a segmenter still while the step is below `until`.

    Made after LoRA and before the training: what wants no gradient by then never will.

    Args:
        segmenter: whose backbone.
        freeze: `optim.freeze` of a plan.

    Attributes:
        until: step from which on the backbone is trained.
        frozen: whether it stands still now.
    """

    def __init__(self, segmenter: Segmenter, freeze: str) -> None:
        self.until = until_step(freeze)
        self.frozen = False
        self._backbone = segmenter.backbone
        self._weights = [weight for weight in self._backbone.parameters() if weight.requires_grad]

    def at(self, step: float) -> bool:
        """Freeze or thaw as a step wants it, and say whether that was a change.

        Args:
            step: 0-based; infinity for what comes after all.
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
