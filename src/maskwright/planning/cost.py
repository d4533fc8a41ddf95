"""What a training step costs: seconds and bytes, scaled to any crop and batch. Measures nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.core.plan import Plan

    Measure = Callable[[Plan], "StepCost"]
    """Measures a step of a plan on this machine: `training.measure.step_cost`, or a substitute in tests."""


@dataclass(frozen=True)
class StepCost:
    """What training costs with one network, precision and optimiser.

    Attributes:
        pixel_seconds: forward and backward passes of all objectives, per training pixel.
        update_seconds: of the optimiser and the averaged weights, per step.
        pixel_bytes: of activations kept for the backward pass, per pixel of a micro-batch.
        spent_seconds: time that the measurement took.
        crop_seconds: of making the crops, per training pixel, where that does not overlap with the steps.
        busy: wall time of a step divided by the time that our threads computed; 1 on an idle machine.
    """

    pixel_seconds: float
    update_seconds: float
    pixel_bytes: float
    spent_seconds: float = 0.0
    crop_seconds: float = 0.0
    busy: float = 1.0

    def undisturbed(self) -> StepCost:
        """Return the cost on an idle machine, for decisions that a temporary load must not change."""
        passes, update, crops = (
            seconds / self.busy for seconds in (self.pixel_seconds, self.update_seconds, self.crop_seconds)
        )
        return replace(self, pixel_seconds=passes, update_seconds=update, crop_seconds=crops, busy=1.0)

    def seconds(self, plan: Plan) -> float:
        """Return the seconds of one step of `plan`."""
        return pixels(plan) * (self.pixel_seconds + self.crop_seconds) + self.update_seconds

    def activation_bytes(self, plan: Plan) -> float:
        """Return the bytes of activations of one micro-batch of `plan`: `optim.accumulate` splits the batch."""
        return pixels(plan) * self.pixel_bytes / min(plan.optim.accumulate, plan.sampling.batch)


def pixels(plan: Plan) -> int:
    """Return the training pixels of one step."""
    return plan.sampling.batch * math.prod(plan.sampling.crop)
