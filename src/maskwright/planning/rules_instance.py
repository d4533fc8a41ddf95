"""Rules of instance segmentation; the rest is as in semantic segmentation, since the network predicts classes too.

Each rule takes the facts and the plan so far and returns decisions. Networks that emit objects have rules of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.models.catalog import find_model
from maskwright.planning import rules_semantic
from maskwright.planning.facts import Decision
from maskwright.planning.rules_classes import class_weights
from maskwright.planning.rules_data import CROP_PIXELS, crop_size

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

USUAL_ANCHOR = 8.0
LEAST_ANCHOR = 2.0
FINEST = 4
"""Stride of the finest anchors, in pixels."""
WIDTH = {"cpu": 64, "mps": 128, "cuda": 256}
CROPS = {"cpu": 2, "mps": 4, "cuda": 8}
AREA = 3
"""How much larger a crop is than one for maps: it has to hold whole objects."""
MOST_OBJECTS = 1000
SPARE = 3
"""Objects that are kept, as a multiple of the mean number in an image."""


def formulation(facts: Facts, plan: Plan) -> list[Decision]:
    """Tell objects apart by their depth: centres and offsets were clearly better on no set that was measured."""
    found = facts.fingerprint.objects
    if found is None or find_model(plan.model.name).objects:
        return []
    why = (
        f"{found.parted:.0%} of the objects are in several parts; even where 35% are, centres and offsets were no "
        "better: cell AP 25.3 against 26.8 (docs/benchmarks.md)"
    )
    return [Decision("objects.formulation", "depth", why)]


def loss(facts: Facts, plan: Plan) -> list[Decision]:
    """Choose the loss of the classes; a network that emits objects has its own."""
    return [] if find_model(plan.model.name).objects else rules_semantic.loss(facts, plan)


def weights(facts: Facts, plan: Plan) -> list[Decision]:
    """Weight the classes of pixels."""
    return [] if find_model(plan.model.name).objects else class_weights(facts, plan)


def label_stride(_facts: Facts, plan: Plan) -> list[Decision]:
    """Compare every pixel: what separates two objects is often one or two pixels wide."""
    if find_model(plan.model.name).objects:
        return []
    return [Decision("loss.full_size", value=True, reason="gaps between objects are often one or two pixels wide")]


def object_network(facts: Facts, plan: Plan) -> list[Decision]:
    """Choose width and crops of a network that emits objects."""
    if not find_model(plan.model.name).objects:
        return []
    machine = facts.machine
    count = sum(entry.objects for entry in facts.foreground()) / max(facts.fingerprint.images, 1)
    most = min(max(100, round(SPARE * count)), MOST_OBJECTS)
    kept = f"{count:.1f} objects an image on average, and some have many more"
    crops = CROPS[machine.device]
    return [
        Decision("model.options.width", WIDTH[machine.device], f"as wide as {machine.device} makes enough steps with"),
        Decision("model.options.most", most, kept),
        Decision("sampling.batch", crops, f"a step draws {crops} large crops, and many boxes of each"),
    ]


def object_crop(facts: Facts, plan: Plan) -> list[Decision]:
    """Make crops large enough for whole objects, and anchors small enough for the smallest ones."""
    if not find_model(plan.model.name).objects:
        return []
    height, width = facts.working_size(plan)
    pixels = AREA * CROP_PIXELS[facts.machine.device]
    why = f"a crop has to hold whole objects: about {pixels} pixels, of images of {height:.0f}x{width:.0f}"
    decisions = [Decision("sampling.crop", crop_size(height, width, pixels), why)]
    sizes = [entry.size.p10 for entry in facts.foreground() if entry.size is not None]
    if sizes:
        small = min(sizes) * height / facts.fingerprint.heights.median
        anchor = round(min(max(small / FINEST, LEAST_ANCHOR), USUAL_ANCHOR), 1)
        said = f"10% of the objects are smaller than {small:.0f} px: the smallest anchors are {FINEST * anchor:.0f} px"
        decisions.append(Decision("model.options.anchor", anchor, said))
    return decisions


FIRST = (rules_semantic.rare_classes, loss)
SIZED = (formulation, object_network, object_crop)
CROPPED = (weights, label_stride)
