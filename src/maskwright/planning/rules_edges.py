"""Rules of edges. Each rule takes the facts and the plan so far and returns decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.planning.facts import Decision

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

ZOOM = (0.75, 1.35)
"""Zoomed further out, the nearest pixels that the warp takes lose a third of a line."""


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


def whole(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Compare every pixel: an edge is one pixel wide."""
    return [Decision("loss.full_size", value=True, reason="an edge is one pixel wide")]


def zoom(_facts: Facts, _plan: Plan) -> list[Decision]:
    """Zoom a little: a line of one pixel breaks where it is shrunk."""
    return [Decision("augment.zoom", ZOOM, "a line of one pixel breaks where it is shrunk much")]


FIRST = (sampling, loss, whole)
CROPPED = (zoom,)
