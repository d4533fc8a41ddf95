"""Rules of networks of queries, for every task that they serve.

Each rule takes the facts and the plan so far and returns decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.models.catalog import find_model
from maskwright.planning.facts import Decision
from maskwright.planning.rules_data import CROP_PIXELS, crop_size
from maskwright.tasks import find_task

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

WIDTH = {"cpu": 64, "mps": 128, "cuda": 256}
LAYERS = {"cpu": [1, 3], "mps": [3, 6], "cuda": [6, 9]}
CROPS = {"cpu": 2, "mps": 4, "cuda": 8}
AREA = 3
"""How much larger a crop is than one for maps: it has to hold whole segments."""
FEWEST, MOST = 20, 300
SPARE = 2
"""Queries, as a multiple of the largest number of segments in an image."""


def network(facts: Facts, plan: Plan) -> list[Decision]:
    """Choose width, depth and queries."""
    if find_model(plan.model.name).learns != "queries":
        return []
    device = facts.machine.device
    objects = facts.fingerprint.objects if find_task(plan.task).objects else None
    most = len(facts.fingerprint.class_stats) if objects is None else objects.per_image.high
    what = "classes, each one segment" if objects is None else "objects in the fullest image"
    queries = min(max(FEWEST, round(SPARE * most)), MOST)
    small = f"as wide and deep as {device} makes enough steps with"
    return [
        Decision("model.options.width", WIDTH[device], small),
        Decision("model.options.layers", LAYERS[device], small),
        Decision("model.options.queries", queries, f"{most:.0f} {what}; {FEWEST} to {MOST}"),
    ]


def crop(facts: Facts, plan: Plan) -> list[Decision]:
    """Draw few crops, large enough for whole segments."""
    if find_model(plan.model.name).learns != "queries":
        return []
    device = facts.machine.device
    height, width = facts.working_size(plan)
    pixels = AREA * CROP_PIXELS[device]
    why = f"a crop has to hold whole segments: about {pixels} pixels, of images of {height:.0f}x{width:.0f}"
    return [
        Decision("sampling.crop", crop_size(height, width, pixels), why),
        Decision("sampling.batch", CROPS[device], f"a step draws {CROPS[device]} large crops"),
    ]


SIZED = (network, crop)
