"""Progress of the training: steps done, share done 0..1, and the time spent. Knows no model.

The learning rate follows `progress`, not the step count, so that the number of steps may be corrected on the way
(a laptop that throttles, a machine that gets busy) without a jump: each step moves progress by an equal share of what
is left. Without a time budget nothing is ever corrected and progress is exactly step/total.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskwright.core.plan import OptimPlan


CORRECTIONS = 50
"""How often the number of steps is corrected over a training."""


@dataclass
class Schedule:
    """The state of the schedule; all of it is saved with a checkpoint.

    Attributes:
        total: steps the training will have.
        step: steps done.
        progress: share of the training done, 0..1.
        budget_seconds: for the steps alone, from the first to the last; None when the steps are fixed.
        reserved_seconds: of the whole budget, for what follows the steps.
        spent_seconds: on the steps so far, over all resumptions.
        marks: [steps, seconds] at the start and at each correction, without those that no correction needs any more.
    """

    total: int
    step: int = 0
    progress: float = 0.0
    budget_seconds: float | None = None
    reserved_seconds: float = 0.0
    spent_seconds: float = 0.0
    marks: list[tuple[int, float]] = field(default_factory=lambda: [(0, 0.0)])

    @property
    def done(self) -> bool:
        """Whether the last step is done."""
        return self.step >= self.total

    def advance(self) -> None:
        """Count one step."""
        if self.budget_seconds is None:
            self.progress = (self.step + 1) / self.total
        else:
            self.progress += (1.0 - self.progress) / max(self.total - self.step, 1)
        self.step += 1

    def due(self, *, alone: bool = True) -> bool:
        """Say whether to correct `total` now: a fiftieth of the steps or the time went by since, or one step is left.

        Args:
            alone: one process; several correct by their steps only, which they count alike, unlike their seconds.
        """
        if self.budget_seconds is None:
            return False
        step, seconds = self.marks[-1]
        late = alone and self.spent_seconds - seconds >= self.budget_seconds / CORRECTIONS
        return late or self.step - step >= max(self.total // CORRECTIONS, 5) or self.step + 1 == self.total

    def retime(self) -> None:
        """Correct `total` so that the steps left fill the seconds left: at least one, but none once the last is done.

        What a step will take, with all that it brings along (validation, checkpoints), is what it took over the last
        as many seconds as are left. So a stall early on, which the rest will outweigh, hardly moves the schedule, and a
        machine that slows down late is noticed.
        """
        if self.budget_seconds is None or self.done:
            return
        left = self.budget_seconds - self.spent_seconds
        while len(self.marks) > 1 and self.marks[1][1] <= self.spent_seconds - left:
            del self.marks[0]
        step, seconds = self.marks[0]
        assert self.step > step
        each = (self.spent_seconds - seconds) / (self.step - step)
        self.marks.append((self.step, self.spent_seconds))
        self.total = self.step + max(round(left / max(each, 1e-9)), 1)

    def reserve(self, seconds: float) -> None:
        """Keep `seconds` for what follows the steps, instead of those reserved so far."""
        assert self.budget_seconds is not None
        self.budget_seconds += self.reserved_seconds - seconds
        self.reserved_seconds = seconds

    def learning_rate(self, plan: OptimPlan) -> float:
        """Return the learning rate of the coming step: linear warm-up, then cosine, poly (power 0.9) or constant.

        `cooldown` is constant until the last share of the training, and then 1 - sqrt(share of the cooldown done):
        Haegele et al. 2024, "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", section 3.
        """
        warm = min(1.0, (self.progress + 1.0 / self.total) / plan.warmup) if plan.warmup else 1.0
        decay = {
            "cosine": 0.5 * (1.0 + math.cos(math.pi * min(self.progress, 1.0))),
            "poly": (1.0 - min(self.progress, 1.0)) ** 0.9,
            "constant": 1.0,
            "cooldown": 1.0 - math.sqrt(min(max(1.0 - (1.0 - self.progress) / plan.cooldown, 0.0), 1.0)),
        }[plan.schedule]
        return plan.lr * warm * decay

    def to_json(self) -> dict[str, Any]:
        """Return plain types; floats survive JSON exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Schedule:
        """Restore what `to_json` returned."""
        return cls(**{**values, "marks": [(step, seconds) for step, seconds in values["marks"]]})


class Marks:
    """Evenly spaced points of a training at which something is due; the last one is its end.

    Attributes:
        next: number of the coming mark, 1..count.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.next = 1

    def passed(self, progress: float) -> bool:
        """Say whether a mark was passed since the last call that said so."""
        due = progress >= self.next / self.count - 1e-9 and self.next <= self.count
        if due:
            self.next = math.floor(progress * self.count + 1e-9) + 1
        return due
