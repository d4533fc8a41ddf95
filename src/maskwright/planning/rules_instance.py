"""Rules of instance segmentation; the rest is as in semantic segmentation, since the network predicts classes too.

Each rule takes the facts and the plan so far and returns decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.planning import rules_semantic
from maskwright.planning.facts import Decision
from maskwright.planning.rules_classes import class_weights
from maskwright.planning.rules_data import detail

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

DIAMETER = 20.0
"""Smallest median diameter of objects at the working resolution, in pixels. Nuclei of 20 px, 160 steps, F1: 0.854 at
their own size, 0.775 at half of it."""
SMALL_DIAMETER = 8.0
"""Smallest 10th percentile of the diameters."""
ENOUGH = 30.0
"""Median diameter in pixels beyond which dense maps gain nothing. Drawn cells of 104 px, 5 minutes on one core: F1
0.902 when shrunk to 31 px, and 0.801 at their own size, for which half as many steps fit."""
LARGE = 2 * ENOUGH
"""Median diameter from which objects are shrunk: of less, no gain was measured."""


def needs(facts: Facts) -> tuple[tuple[float, str], ...]:
    """Keep the resolution that the objects need, by their median diameter and by that of the small ones."""
    objects = facts.fingerprint.objects
    if objects is None or objects.diameter is None:
        return ()
    median, small = objects.diameter.median, objects.diameter.p10
    return (
        (
            min(1.0, DIAMETER / median),
            f"the objects are {median:.0f} px across (median) and need {DIAMETER:.0f} px: F1 of nuclei fell by 8 "
            "points at half that size",
        ),
        (
            min(1.0, SMALL_DIAMETER / small),
            f"10% of the objects are at most {small:.0f} px across, and need {SMALL_DIAMETER:.0f} px",
        ),
    )


def formulation(facts: Facts, _plan: Plan) -> list[Decision]:
    """Tell objects apart by their depth: centres and offsets were clearly better on no set that was measured."""
    found = facts.fingerprint.objects
    if found is None:
        return []
    why = (
        f"{found.parted:.0%} of the objects are in several parts; even where 35% are, centres and offsets were no "
        "better: cell AP 25.3 against 26.8 (docs/benchmarks.md)"
    )
    return [Decision("objects.formulation", "depth", why)]


def working_scale(facts: Facts, plan: Plan) -> list[Decision]:
    """Shrink large objects: their shape is visible at a smaller size, and more steps fit."""
    found = facts.fingerprint.objects
    if found is None or found.diameter is None or plan.data.sides is not None:
        return []
    across = found.diameter.median
    least, why = detail(facts)
    scale = max(ENOUGH / across, least)
    if across <= LARGE or scale >= plan.data.scale:
        return []
    limit = f"; {why}" if scale == least else ""
    figures = "F1 of cells of 104 px rose from 0.80 to 0.90 in 5 minutes"
    said = f"the objects are {across:.0f} px across (median), and {ENOUGH:.0f} px are enough: {figures}{limit}"
    return [Decision("data.scale", round(scale, 3), said)]


def label_stride(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Compare every pixel: what separates two objects is often one or two pixels wide."""
    return [Decision("loss.full_size", value=True, reason="gaps between objects are often one or two pixels wide")]


FIRST = (rules_semantic.rare_classes, rules_semantic.loss)
CROPPED = (class_weights, label_stride)
NETWORK = (formulation, working_scale)
PANOPTIC_NETWORK = (formulation,)
