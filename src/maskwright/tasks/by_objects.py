"""What tasks have in common whose networks emit objects: ids and classes as targets. Knows no result."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.channels import OBJECT_GROUP, Channels, object_channels, object_rows
from maskwright.core.classes import IGNORE
from maskwright.core.targets import Target
from maskwright.losses.region_sampling import BOXES, BOXES_MATCHED
from maskwright.tasks.object_task import ObjectTask, background_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.tasks.base import Decoding

SCORE = 0.5
"""Least score of an object before a better one is fitted."""


class ByObjects(ObjectTask):
    """A task, by objects; see `tasks.base.Task` for what each method does."""

    fit_seconds = 10.0
    planned_loss = False

    def order(self, classes: Classes) -> tuple[int, ...]:
        """Return the class index of each row of the network's classes; the first one means no object.

        Raises:
            MaskwrightError: no class is the background.
        """
        return object_rows(len(classes), background_of(classes))

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return the only group: objects of these classes; see `order` for errors."""
        return object_channels(len(self.order(classes)))

    def lesson_of(
        self, ids: NDArray[np.int32], labels: NDArray[np.uint8], unknown: NDArray[np.bool_] | None = None
    ) -> Target:
        """Return the ids of objects and the index of each one's class as values, NaN where nothing is known.

        Both are warped and shrunk alike, so that no pixel of an object has the class of its neighbour.
        """
        planes = np.stack([ids, labels]).astype(np.float32)
        planes[:, labels == IGNORE if unknown is None else unknown] = np.nan
        return Target(labels, planes)

    def random_target(self, rng: np.random.Generator, size: tuple[int, int], classes: Classes) -> Target:
        """Return a grid of objects, enough to draw as many boxes with one as are ever drawn of an image."""
        side = math.ceil(math.sqrt(BOXES * BOXES_MATCHED))
        down, across = (np.arange(length) * side // length for length in size)
        ids = (down[:, None] * side + across + 1).astype(np.int32)
        labels = rng.choice(self.order(classes)[1:], side * side + 1).astype(np.uint8)[ids]
        return self.lesson_of(ids, labels)

    def encode(self, target: Target, classes: Classes) -> dict[str, NDArray[Any]]:
        """Return ids and classes."""
        assert target.values is not None
        return {OBJECT_GROUP: target.values}


def least_part(decoding: Decoding) -> float:
    """Return the least size of a connected part of an object, as a share of its largest one; 0 if none was fitted."""
    least = decoding.get("part", 0.0)
    assert isinstance(least, float)
    return least


def most_alike(decoding: Decoding) -> float:
    """Return the largest IoU of two objects of one class; 1 if none was fitted."""
    most = decoding.get("double", 1.0)
    assert isinstance(most, float)
    return most


def least_score(decoding: Decoding) -> float:
    """Return the least score of an object that counts."""
    least = decoding.get("score", SCORE)
    assert isinstance(least, float)
    return least
