"""A narrower network of the same architecture, within a share of the multiply-adds. Builds it without memory only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.models.build import backbone_has_weights, options_of, resolved
from maskwright.models.cost import planned_cost

if TYPE_CHECKING:
    from maskwright.core.plan import ModelPlan
    from maskwright.models.bundle import Card
    from maskwright.models.cost import Cost

COUNTS = ("base", "branch_width", "channels", "filters", "low_width", "units", "width", "widths")
"""Options of architectures and backbones that are numbers of channels."""
FACTOR = "width_factor"
"""The option of a backbone that multiplies all of its channels."""
NARROW = "compact"
"""The backbone of a student whose teacher's has a fixed width, as published ones have."""
MULTIPLES = {32: 8, 0: 4}
"""From this many channels on, their number is a multiple of that, which the kernels of processors like."""
STEPS = 64
"""Factors that are tried: multiples of 1 / STEPS."""
WIDEST = 2
"""Largest factor for `NARROW`, whose default is narrower than a published backbone."""


@dataclass(frozen=True)
class Student:
    """A network that is planned to be cheaper than another.

    Attributes:
        plan: of it.
        cost: for one image of 512 x 512.
        teacher: cost of the other.
    """

    plan: ModelPlan
    cost: Cost
    teacher: Cost

    @property
    def share(self) -> float:
        """Multiply-adds as a share of the teacher's."""
        return self.cost.multiply_adds / self.teacher.multiply_adds


def student_of(card: Card, target: float) -> Student:
    """Find the widest network of a model's architecture that needs at most `target` of its multiply-adds.

    Raises:
        MaskwrightError: even the narrowest needs more.
    """
    whole = planned_cost(card.model, card.channels, card.data.channels)
    base, widest = _base(card.model, card.data.channels), 1
    if base.backbone != resolved(card.model).backbone:
        widest = WIDEST
    low, high = 1, widest * STEPS  # every network below `low` is cheap enough, none from `high` on is known to be
    best: Student | None = None
    while low <= high:
        middle = (low + high) // 2
        plan = _scaled(base, middle / STEPS)
        found = Student(plan, planned_cost(plan, card.channels, card.data.channels), whole)
        if found.share <= target:
            best, low = found, middle + 1
        else:
            high = middle - 1
    if best is None:
        raise MaskwrightError(
            f"no {card.model.name} needs only {target:g} times the multiply-adds of this model: choose a higher "
            "target, or train another model",
            "target",
        )
    return best


def _base(teacher: ModelPlan, channels: int) -> ModelPlan:
    """Return the teacher's plan, with a backbone that can be narrowed; `channels` are those of images."""
    whole = resolved(teacher)
    known = options_of(whole.name, whole.backbone)
    narrow = options_of(whole.name, NARROW)
    of_decoder = known.keys() & narrow.keys()
    own = {key: value for key, value in known.items() if key not in of_decoder}
    if FACTOR in own or "widths" in known or "base" in own or not backbone_has_weights(whole, channels):
        return whole
    options = {**narrow, **{key: value for key, value in whole.options.items() if key in of_decoder}}
    return resolved(whole.model_copy(update={"backbone": NARROW, "options": options}))


def _scaled(plan: ModelPlan, factor: float) -> ModelPlan:
    """Return a plan with every number of channels multiplied by a factor; only a backbone's can grow."""
    options = dict(plan.options)
    heads = options.get("heads")
    for key, value in plan.options.items():
        if key == FACTOR:
            options[key] = value * factor
        elif key in COUNTS and isinstance(value, list):
            shares = heads if key == "widths" and heads is not None else [1] * len(value)
            own = factor if key == "widths" else min(factor, 1.0)
            options[key] = [_rounded(each, own, share) for each, share in zip(value, shares, strict=True)]
        elif key in COUNTS and value:  # 0 stands for a width that follows from others
            options[key] = _rounded(value, min(factor, 1.0), 1)
    return plan.model_copy(update={"options": options})


def _rounded(channels: int, factor: float, heads: int) -> int:
    """Return a number of channels as `MULTIPLES` says, the same for each head, never 0."""
    each = channels * factor / heads
    multiple = next(multiple for least, multiple in MULTIPLES.items() if each >= least)
    return heads * multiple * max(1, round(each / multiple))
