"""Instance segmentation by networks that emit objects, such as Mask R-CNN: objects may overlap, and nothing is flooded.

What differs from the task by dense maps: targets are ids and classes, the loss is that of boxes, decoding merges what
tiles show of one object, and the least score of an object and the least size of its parts are fitted.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.targets import Target
from maskwright.metrics.object_judge import ObjectJudge
from maskwright.tasks.by_objects import ByObjects, least_part, least_score, most_alike
from maskwright.tasks.instance import InstanceSegmentation
from maskwright.tasks.instance_judge import InstanceJudge
from maskwright.tasks.instance_merge import merged, without_doubles
from maskwright.tasks.instance_regions import RegionLoss
from maskwright.tasks.instance_score import DOUBLES, PARTS, SCORES, fit_objects
from maskwright.tasks.object_truths import object_truths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.core.plan import Plan
    from maskwright.tasks.base import Adjustments, Decoding, Seen
    from maskwright.tasks.block import Block


class InstanceObjects(ByObjects, InstanceSegmentation):
    """The task `instance`, by objects; see `tasks.base.Task` for what each method does."""

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
        return RegionLoss(partial(object_truths, order=self.order(classes)))

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
        return _whole(blocks, size, self.order(classes), decoding, least_score(decoding))

    def fit(self, seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
        """Fit the least score of an object, the least size of a part of one, and how much alike two may be."""
        order = self.order(classes)

        def tried(one: Seen) -> Iterator[Instances]:
            blocks = tuple(one.blocks)
            found = [merged(blocks, one.target.size, order, part=part) for part in PARTS]
            return (without_doubles(objects, most) for most in DOUBLES for objects in found)

        return fit_objects(((tried(one), one.target) for one in seen), deadline)

    def judge(self, classes: Classes, decoding: Decoding, *, quick: bool = False) -> InstanceJudge:
        """Return a judge of objects, which sees those of low scores too.

        Trained for minutes, a network is too sure of many false objects, and the best least score is above 0.9: at any
        fixed one, validation would say little about what the fit makes of the network.
        """
        order, tried = self.order(classes), () if "score" in decoding else SCORES
        return InstanceJudge(
            lambda blocks, size: _whole(blocks, size, order, decoding),
            ObjectJudge(classes, least=least_score(decoding), tried=tried),
        )


def _whole(
    blocks: Iterable[Block], size: tuple[int, int], order: Sequence[int], decoding: Decoding, least: float = 0.0
) -> Instances:
    return without_doubles(merged(blocks, size, order, least, least_part(decoding)), most_alike(decoding))
