"""Rules of networks that emit objects: width, crops and anchors. They have a loss of their own, so none is planned.

Each rule takes the facts and the plan so far and returns decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.planning import rules_semantic
from maskwright.planning.facts import Decision
from maskwright.planning.rules_data import CROP_PIXELS, crop_size

if TYPE_CHECKING:
    from maskwright.core.fingerprint import ObjectStats
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

LARGE = 50.0
"""Median diameter in pixels from which objects are found as boxes. Nuclei of 20 px have a higher F1 by dense maps
(0.848 against 0.712), and people of 139 px by Mask R-CNN (0.518 against 0.854); this is about the geometric mean."""
FEW = 5
"""Most objects of a usual image that are found as boxes, where a third of them touch. With 11 and 13 an image, cells of
82 and 104 px have a higher F1 by dense maps (0.822 against 0.712, 0.902 against 0.826), and the people are 2 an image;
this is about the geometric mean."""
USUAL_ANCHOR = 8.0
LEAST_ANCHOR = 2.0
FINEST = 4
"""Stride of the finest anchors, in pixels."""
WIDTH = {"cpu": 64, "mps": 128, "cuda": 256}
CROPS = {"cpu": 2, "mps": 4, "cuda": 8}
AREA = 3
"""How much larger a crop is than one for maps: it has to hold whole objects."""
USUAL_OBJECTS, MOST_OBJECTS = 100, 1000
SPARE = 3
"""Objects that are kept, as a multiple of the mean number in an image."""


def family(objects: ObjectStats | None) -> list[Decision]:
    """Choose between dense maps, which is the default, and a network that emits objects."""
    if objects is None or objects.diameter is None:
        return []
    across, count = objects.diameter.median, objects.per_image.median
    if across < LARGE or count > FEW:
        return []
    said = f"the objects are {across:.0f} px across, with {count:.0f} per image (medians)"
    figures = (
        "F1 of people (139 px, 2 per image) rose from 0.52 with dense maps to 0.85; F1 of nuclei (82 px, 11 per "
        "image) fell from 0.82 to 0.71"
    )
    return [Decision("model.name", "maskrcnn", f"{said}: boxes suit few, large objects; {figures}")]


def network(facts: Facts, _plan: Plan) -> list[Decision]:
    """Choose the width of the network, the number of objects that it may find, and that of crops."""
    device = facts.machine.device
    count = sum(entry.objects for entry in facts.foreground()) / max(facts.train_images, 1)
    most = min(max(USUAL_OBJECTS, round(SPARE * count)), MOST_OBJECTS)
    return [
        Decision("model.options.width", WIDTH[device], f"the widest that leaves time for enough steps on {device}"),
        Decision("model.options.most", most, f"the most objects kept in an image; the data has {count:.1f} on average"),
        Decision("sampling.batch", CROPS[device], f"a step draws {CROPS[device]} large crops and many boxes from each"),
    ]


def crop(facts: Facts, plan: Plan) -> list[Decision]:
    """Make crops large enough for whole objects."""
    height, width = facts.working_size(plan)
    pixels = AREA * CROP_PIXELS[facts.machine.device]
    why = f"a crop has to hold whole objects: about {pixels} pixels, of images of {height:.0f}x{width:.0f}"
    return [Decision("sampling.crop", crop_size(height, width, pixels), why)]


def anchors(facts: Facts, plan: Plan) -> list[Decision]:
    """Make anchors small enough for the smallest objects."""
    sizes = [entry.size.p10 for entry in facts.foreground() if entry.size is not None]
    if not sizes:
        return []
    small = min(sizes) * facts.working_size(plan)[0] / facts.fingerprint.heights.median
    anchor = round(min(max(small / FINEST, LEAST_ANCHOR), USUAL_ANCHOR), 1)
    said = (
        f"10% of the objects are smaller than {small:.0f} px: the smallest anchors are {FINEST * anchor:.0f} px "
        f"({anchor:g} times the stride of {FINEST} px)"
    )
    return [Decision("model.options.anchor", anchor, said)]


def one_view(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Look at each image once."""
    return [Decision("predict.flip", value=False, reason="objects cannot be averaged with those of the flipped image")]


FIRST = (rules_semantic.rare_classes,)
NETWORK = (network,)
SIZED = (crop, anchors)
LAST = (one_view,)
