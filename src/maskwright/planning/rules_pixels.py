"""Rules of models that are grown from labelled pixels: how many crops they are drawn from, and the tile.

Each rule takes the facts and the plan so far and returns decisions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from maskwright.core.text import plural
from maskwright.planning import rules_semantic
from maskwright.planning.facts import Decision

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

FEWEST_CROPS, MOST_CROPS = 32, 256
PASSES = 4
"""How often each image is cropped, within these limits."""
TILE = 512
"""Longest side of a tile, as each of its pixels has a hundred responses or more."""


def crops(facts: Facts, plan: Plan) -> list[Decision]:
    """Draw pixels from a few crops of each image; a step draws those of one batch of crops."""
    images, batch = facts.train_images, plan.sampling.batch
    if facts.epochs is not None:
        count, why = facts.epochs * images, f"{facts.epochs:g} epochs, set by hand: {plural(images, 'image')}"
    else:
        count = min(max(PASSES * images, FEWEST_CROPS), MOST_CROPS)
        why = f"pixels of {count} crops of {plural(images, 'image')} are enough for a forest"
    return [Decision("train.steps", max(math.ceil(count / batch), 1), f"{why}, {batch} per step")]


def tile(_facts: Facts, plan: Plan) -> list[Decision]:
    """Predict in smaller tiles, once."""
    height, width = (min(side, TILE) for side in plan.predict.tile_size)
    return [
        Decision(
            "predict.tile", (height, width), f"at most {TILE} on a side: the responses of a pixel take much memory"
        ),
        Decision("predict.flip", value=False, reason="the filters respond to a mirrored image alike"),
    ]


FIRST = (rules_semantic.rare_classes,)
LAST = (crops, tile)
