"""What the rules decide from, and the form of what they decide. Knows no rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core.classes import Classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.fingerprint import ClassStats, Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.planning.machine import Machine

BACKGROUND_SHARE = 0.7
OBJECTS = 5
"""Objects from which on the thickness of a class is known."""


@dataclass(frozen=True)
class Pretrained:
    """Whether published weights can be had.

    Attributes:
        backbone: whose weights, as in `model.backbone`.
        available: whether they are on this machine by now.
        reason: why, or why not.
        mean, std: for red, green and blue, 0..255: what the weights expect to be subtracted from images, and what
            these are divided by.
    """

    backbone: str
    available: bool
    reason: str
    mean: Sequence[float] = ()
    std: Sequence[float] = ()


@dataclass(frozen=True)
class Facts:
    """Everything known before the first decision.

    Attributes:
        fingerprint: of the data, its splits made.
        machine: at hand.
        train_images: in the training part.
        train_seconds: for the steps alone, or None when the number of steps is given.
        pretrained: whether published weights can be had.
        epochs: how often to show every training image, where the user said so.
        channels: of the network's input, where the user said so.
    """

    fingerprint: Fingerprint
    machine: Machine
    train_images: int
    train_seconds: float | None
    pretrained: Pretrained
    epochs: float | None = None
    channels: int | None = None

    def foreground(self) -> list[ClassStats]:
        """Return the classes that are something: all but the background, where there is one.

        That is the class called so, or one that fills more than 70% of the pixels.
        """
        stats = self.fingerprint.class_stats
        nothing = Classes.named([entry.name for entry in stats]).background
        if nothing is None:
            nothing = next((index for index, entry in enumerate(stats) if entry.share > BACKGROUND_SHARE), None)
        return [entry for index, entry in enumerate(stats) if index != nothing]

    def thinnest(self) -> ClassStats | None:
        """Return the foreground class with the smallest median thickness, of those with enough objects to tell.

        The median, as the tenth percentile of a class is often specks of its labelling.
        """
        measured = [entry for entry in self.foreground() if entry.thickness is not None and entry.objects >= OBJECTS]
        return min(measured, key=lambda entry: entry.thickness.median if entry.thickness else 0.0, default=None)

    def working_size(self, plan: Plan) -> tuple[float, float]:
        """Return median height and width of the images at the plan's working resolution, in pixels."""
        scale = plan.data.scale
        return self.fingerprint.heights.median * scale, self.fingerprint.widths.median * scale


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
