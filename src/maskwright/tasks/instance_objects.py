"""Instance segmentation by networks that emit objects, such as Mask R-CNN: objects may overlap, and nothing is flooded.

What differs from the task by dense maps: targets are ids and classes, the loss is that of boxes, decoding merges what
tiles show of one object, and the least score of an object is fitted.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.channels import OBJECT_GROUP, Channels, object_channels, object_rows
from maskwright.core.classes import IGNORE
from maskwright.core.targets import Target
from maskwright.losses.region_sampling import BOXES, BOXES_MATCHED
from maskwright.tasks.instance import InstanceSegmentation
from maskwright.tasks.instance_judge import InstanceJudge
from maskwright.tasks.instance_merge import merged
from maskwright.tasks.instance_regions import RegionLoss
from maskwright.tasks.instance_score import SCORES, fit_score
from maskwright.tasks.object_task import background_of
from maskwright.tasks.object_truths import object_truths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from torch import nn

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.core.plan import Plan
    from maskwright.tasks.base import Adjustments, Block, Decoding, Seen

SCORE = 0.5
"""Least score of an object before a better one is fitted."""


class InstanceObjects(InstanceSegmentation):
    """The task `instance`, by objects; see `tasks.base.Task` for what each method does."""

    fit_seconds = 10.0
    planned_loss = False

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return the only group: objects of these classes.

        Raises:
            MaskwrightError: no class is the background.
        """
        background_of(classes)
        return object_channels(len(classes))

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
        labels = rng.choice(rows_of(classes)[1:], side * side + 1).astype(np.uint8)[ids]
        return self.lesson_of(ids, labels)

    def encode(self, target: Target, classes: Classes) -> dict[str, NDArray[Any]]:
        """Return ids and classes."""
        assert target.values is not None
        return {OBJECT_GROUP: target.values}

    def pasted(self, target: Target, donor: Target, index: int) -> tuple[Target, NDArray[np.bool_]]:
        """Lay the objects of a class over others, ids and classes; see `tasks.base.Task.pasted`."""
        assert target.values is not None
        assert donor.values is not None
        theirs = (donor.values[0] > 0) & (donor.values[1] == index)
        values = target.values.copy()
        values[0, theirs] = donor.values[0, theirs] + np.nanmax(values[0], initial=0)
        values[1, theirs] = index
        return Target(np.where(theirs, np.uint8(index), target.labels), values), theirs

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the loss of boxes and their masks."""
        return RegionLoss(partial(object_truths, order=rows_of(classes)))

    def decode(
        self,
        blocks: Iterable[Block],
        size: tuple[int, int],
        classes: Classes,
        decoding: Decoding,
        *,
        confidence: bool = False,
    ) -> Instances:
        """Merge what the blocks show."""
        return merged(blocks, size, rows_of(classes), _least(decoding))

    def fit(self, seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
        """Fit the least score of an object."""
        order = rows_of(classes)
        return fit_score(((merged(one.blocks, one.target.size, order), one.target) for one in seen), deadline)

    def judge(self, classes: Classes, decoding: Decoding, *, quick: bool = False) -> InstanceJudge:
        """Return a judge of objects, which sees those of low scores too.

        Trained for minutes, a network is too sure of many false objects, and the best least score is above 0.9: at any
        fixed one, validation would say little about what the fit makes of the network.
        """
        order, tried = rows_of(classes), () if "score" in decoding else SCORES
        return InstanceJudge(
            lambda blocks, size: merged(blocks, size, order), classes, least=_least(decoding), tried=tried
        )


def _least(decoding: Decoding) -> float:
    least = decoding.get("score", SCORE)
    assert isinstance(least, float)
    return least


def rows_of(classes: Classes) -> tuple[int, ...]:
    """Return the class index of each row of the network's classes; see `background_of` for errors."""
    return object_rows(len(classes), background_of(classes))
