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


def label_stride(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Compare every pixel: what separates two objects is often one or two pixels wide."""
    return [Decision("loss.full_size", value=True, reason="gaps between objects are often one or two pixels wide")]


FIRST = (rules_semantic.rare_classes, rules_semantic.loss)
CROPPED = (class_weights, label_stride)
