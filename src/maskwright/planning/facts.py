"""What the rules decide from, and the form of what they decide. Knows no rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.planning.machine import Machine


@dataclass(frozen=True)
class Pretrained:
    """Whether published weights can be had.

    Attributes:
        backbone: whose weights, as in `model.backbone`.
        available: whether they are on this machine by now.
        reason: why, or why not.
    """

    backbone: str
    available: bool
    reason: str


@dataclass(frozen=True)
class Facts:
    """Everything known before the first decision.

    Attributes:
        fingerprint: of the data, its splits made.
        machine: at hand.
        train_images: in the training part.
        train_seconds: for the steps alone, or None when the number of steps is given.
        pretrained: whether published weights can be had.
    """

    fingerprint: Fingerprint
    machine: Machine
    train_images: int
    train_seconds: float | None
    pretrained: Pretrained


@dataclass(frozen=True)
class Decision:
    """One value of the plan and why it is so.

    Attributes:
        key: dotted, as in `--set` (`data.scale`).
        value: what the plan's schema takes there.
        reason: one sentence with the figure it was taken from.
    """

    key: str
    value: Any
    reason: str
