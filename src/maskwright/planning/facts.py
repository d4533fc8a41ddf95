"""The input of the rules, and the form of their decisions. Knows no rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core.classes import Classes
from maskwright.ops.images import working_size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.fingerprint import ClassStats, Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.planning.machine import Machine

BACKGROUND_SHARE = 0.7
OBJECTS = 5
"""Fewest objects for which the thickness of a class counts as measured."""


@dataclass(frozen=True)
class Pretrained:
    """Whether published weights are available.

    Attributes:
        backbone: that the weights are for, as in `model.backbone`.
        available: whether they are on this machine now.
        reason: why, or why not.
        mean, std: normalisation that the weights expect, for red, green and blue, on the scale 0..255.
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
        fingerprint: of the data, after it was split.
        machine: to train on.
        train_images: number of images in the training split.
        train_seconds: for the steps alone, or None if the number of steps is given.
        pretrained: whether published weights are available.
        epochs: how often to show every training image, if the user set it.
        channels: of the network's input, if the user set it.
        needs: the scales, at most 1, below which something would be lost that the task must see, each with the reason.
    """

    fingerprint: Fingerprint
    machine: Machine
    train_images: int
    train_seconds: float | None
    pretrained: Pretrained
    epochs: float | None = None
    channels: int | None = None
    needs: tuple[tuple[float, str], ...] = ()

    def foreground(self) -> list[ClassStats]:
        """Return all classes except the background, if there is one.

        The background is the class with that name, or else one that fills more than 70% of the pixels.
        """
        stats = self.fingerprint.class_stats
        nothing = Classes.named([entry.name for entry in stats]).background
        if nothing is None:
            nothing = next((index for index, entry in enumerate(stats) if entry.share > BACKGROUND_SHARE), None)
        return [entry for index, entry in enumerate(stats) if index != nothing]

    def thinnest(self) -> ClassStats | None:
        """Return the foreground class with the smallest median thickness, among those with enough objects.

        The median, because the 10th percentile of a class is often specks in its labels.
        """
        measured = [entry for entry in self.foreground() if entry.thickness is not None and entry.objects >= OBJECTS]
        return min(measured, key=lambda entry: entry.thickness.median if entry.thickness else 0.0, default=None)

    def working_size(self, plan: Plan) -> tuple[float, float]:
        """Return median height and width of the images at the plan's working resolution, in pixels."""
        height, width = self.fingerprint.heights.median, self.fingerprint.widths.median
        if plan.data.sides is not None:
            return working_size_of((round(height), round(width)), plan.data)
        return height * plan.data.scale, width * plan.data.scale


@dataclass(frozen=True)
class Decision:
    """One value of the plan and the reason for it.

    Attributes:
        key: dotted, as in `--set` (`data.scale`).
        value: as the plan's schema takes it.
        reason: one sentence with the figure that it is based on.
    """

    key: str
    value: Any
    reason: str
