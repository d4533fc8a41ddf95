"""Rules of edges. Each rule takes the facts and the plan so far and returns decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.planning.facts import Decision
from maskwright.planning.rules_data import MIRRORED

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

ZOOM = (0.75, 1.35)
"""Zoomed further out, the nearest pixels that the warp takes lose a third of a line."""
BATCH = {"cpu": 2, "mps": 4, "cuda": 8}
FLIP_SCALE = 1.5
LONG_SECONDS = 1200.0
"""Seconds of training, in some 25 minutes in all, from which on a slower model pays: it was measured with 1,300."""
SCALES = (0.5, 2.0)


def sampling(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Take crops from anywhere: almost every crop shows edges."""
    return [Decision("sampling.rare_share", 0.0, "edges are all over an image, and the loss balances them")]


def loss(facts: Facts, _plan: Plan) -> list[Decision]:
    """Weigh edges and everything else the same: edges are a few pixels."""
    found = facts.fingerprint.edges
    part = "edges are a few pixels of an image" if found is None else f"edges are {found.share:.1%} of the pixels"
    return [
        Decision("loss.terms", {"balanced_cross_entropy": 1.0}, f"{part}, and weigh as much as all others"),
        Decision("loss.class_weights", None, "the loss balances the classes itself"),
    ]


def sides(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Train all scales together as much as their fusion."""
    return [Decision("loss.auxiliary", 1.0, "each scale learns edges by itself")]


def whole(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Compare every pixel: an edge is one pixel wide."""
    return [Decision("loss.full_size", value=True, reason="an edge is one pixel wide")]


def zoom(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Zoom a little: a line of one pixel breaks where it is shrunk."""
    return [Decision("augment.zoom", ZOOM, "a line of one pixel breaks where it is shrunk much")]


def network(facts: Facts, _plan: Plan) -> list[Decision]:
    """Choose the decoder for edges, and few crops a step."""
    device = facts.machine.device
    name = "made for edges: from coarse to fine, with a side output at every scale"
    steps = "in the same CPU time, many small steps reached an ODS of .747 on photographs, half as many .730"
    return [
        Decision("model.name", "crisp", name),
        Decision("sampling.batch", BATCH[device], steps if device == "cpu" else f"few crops a step on {device}"),
    ]


def upright(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Keep images upright: edges look alike either way up, so they do not tell whether images do."""
    why = "edges do not tell whether images have a preferred orientation, and photographs have one"
    return [
        Decision("augment.flip_vertical", 0.0, why),
        Decision("augment.transpose", 0.0, why),
        Decision("augment.rotate", 5.0, why),
    ]


def flip_scale(facts: Facts, _plan: Plan) -> list[Decision]:
    """Predict the flipped image, where there is one, enlarged: fine edges are found that are lost at its own size."""
    if facts.fingerprint.flip_horizontal < MIRRORED:
        return []
    why = "the average over both sizes raised the ODS on photographs from .744 to .760"
    return [Decision("predict.flip_scale", FLIP_SCALE, why)]


def scales(facts: Facts, _plan: Plan) -> list[Decision]:
    """Average over more sizes after a long training."""
    if not is_long(facts.train_seconds):
        return []
    why = "more sizes raised the ODS on photographs by .008, in twice the time: worth it after a long training"
    return [Decision("predict.scales", SCALES, why)]


def is_long(train_seconds: float | None) -> bool:
    """Whether a training takes long enough for a larger backbone and a slower prediction."""
    return train_seconds is not None and train_seconds >= LONG_SECONDS


FIRST = (sampling, loss, sides, whole, flip_scale, scales)
CROPPED = (zoom,)
NETWORK = (network, upright)
