"""What of the objects in the data a planned training cannot hold: shared pixels, and objects beyond a limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from maskwright.core.text import plural
from maskwright.models.build import options_of
from maskwright.models.catalog import find_model
from maskwright.ops.images import working_size_of
from maskwright.tasks import find_task
from maskwright.workflows.plan_parts.object_models import FORMULATION

if TYPE_CHECKING:
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan

LIMITS = {"queries": "queries", "regions": "most"}
"""What a training compares (`ModelEntry.learns`) -> the option that limits the number of objects."""


def with_limits(plan: Plan, found: Fingerprint) -> tuple[Plan, tuple[str, ...]]:
    """Return the plan with what it cannot hold among its reasons, whoever decided; and the same as notes."""
    notes = _limits(plan, found)
    reasons = dict(plan.reasons)
    for key, note in notes.items():
        reasons[key] = f"{reasons[key]}; {note}" if key in reasons else note
    return plan.model_copy(update={"reasons": reasons}), tuple(notes.values())


def _limits(plan: Plan, found: Fingerprint) -> dict[str, str]:
    """Return key of the plan -> what follows from it."""
    objects = found.objects
    if objects is None or not find_task(plan.task).objects:
        return {}
    notes = {}
    learns = find_model(plan.model.name).learns
    if objects.lost:
        lost = plural(objects.lost, "pixel")
        notes[FORMULATION if learns == "maps" else "model.name"] = (
            f"where objects overlap, training gives the pixels to the smaller one, and the others lose {lost}"
        )
    if learns in LIMITS:
        name = LIMITS[learns]
        limit = plan.model.options.get(name, options_of(plan.model.name, plan.model.backbone)[name])
        most, where = _fullest(plan, found, objects.per_image.high)
        if most > limit:
            notes[f"model.options.{name}"] = (
                f"{where} holds up to {most:,.0f} objects, and {plan.model.name} finds at most {limit} there "
                f"(`model.options.{name}`): the rest will be missing. A network that learns maps, "
                "such as swiftnet (`model.name`), has no limit"
            )
    return notes


def _fullest(plan: Plan, found: Fingerprint, high: float) -> tuple[float, str]:
    """Return how many objects the network sees at once, at most, and in what: an image, or its share of one."""
    size = working_size_of((round(found.heights.median), round(found.widths.median)), plan.data)
    share = math.prod(min(tile / side, 1.0) for tile, side in zip(plan.predict.tile_size, size, strict=True))
    return math.ceil(high * share), "an image" if share == 1 else "a tile of an image"
