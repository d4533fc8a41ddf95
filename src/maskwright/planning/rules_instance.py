"""Rules of instance segmentation; the rest is as in semantic segmentation, since the network predicts classes too.

Each rule takes the facts and the plan so far and returns decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.planning import rules_semantic
from maskwright.planning.facts import Decision
from maskwright.planning.rules_classes import class_weights

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

DIAMETER = 20.0
"""Smallest median diameter of objects at the working resolution, in pixels. Nuclei of 20 px, 160 steps, F1: 0.854 at
their own size, 0.775 at half of it."""
SMALL_DIAMETER = 8.0
"""Smallest 10th percentile of the diameters."""


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


def label_stride(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Compare every pixel: what separates two objects is often one or two pixels wide."""
    return [Decision("loss.full_size", value=True, reason="gaps between objects are often one or two pixels wide")]


FIRST = (rules_semantic.rare_classes, rules_semantic.loss)
CROPPED = (class_weights, label_stride)
NETWORK = (formulation,)
