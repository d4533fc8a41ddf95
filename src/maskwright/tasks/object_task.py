"""What the tasks of objects have in common: channels and losses of maps, and what is fitted. Knows no result.

The network says of each pixel which class it has, and what the formulation (`tasks.formulations`) needs to tell objects
apart. Maps of tiles are blended as those of any task, and objects are found in the whole image. Networks that emit
objects serve as well.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from maskwright import losses
from maskwright.core.channels import CLASS_GROUP, class_channels
from maskwright.core.errors import MaskwrightError
from maskwright.models.catalog import find_model
from maskwright.tasks import instance_merge
from maskwright.tasks.base import Adjustments, Task
from maskwright.tasks.formulations import FORMULATIONS
from maskwright.tasks.instance_fit import fit_thresholds
from maskwright.tasks.instance_loss import OFFSET_UNIT, InstanceLoss
from maskwright.tasks.instance_regions import ID_GROUP, RegionLoss
from maskwright.tasks.instance_score import fit_score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.core.plan import Plan
    from maskwright.core.targets import Target
    from maskwright.tasks.base import Block, Decoding, Seen


class ObjectTask(Task):
    """A task of objects; see `tasks.base.Task` for what each method does.

    Args:
        formulation: how maps tell objects apart, a name in `FORMULATIONS`.
    """

    planned_loss = True
    objects = True
    annotation: Literal["labels", "values"] = "labels"

    def __init__(self, formulation: str = "depth") -> None:
        self._way = FORMULATIONS[formulation]
        self.planes, self.vectors = self._way.planes + 1, self._way.vectors

    def formulated(self, formulation: str) -> Self:
        """Return the same task with another formulation."""
        return type(self)(formulation)

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return a softmax over the classes, and the channels of the formulation."""
        return (*class_channels(len(classes)), *self._way.channels)

    def encode(self, target: Target, classes: Classes) -> dict[str, NDArray[Any]]:
        """Return labels, what the formulation needs, and the ids of the objects for networks that emit objects."""
        assert target.values is not None
        own = self._way.encode(target.values, target.vectors)
        return {CLASS_GROUP: target.labels, **own, ID_GROUP: target.values[-1:]}

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the planned loss of the classes with that of the formulation, or the loss of objects."""
        if find_model(plan.model.name).objects:
            return RegionLoss(rows_of(classes))
        return InstanceLoss(losses.weighted_sum(plan.loss, self.channels(classes)[0]), self._way.loss)

    def adjust(self, maps: Tensor, decoding: Decoding) -> Tensor:
        """Bring offsets to pixels."""
        if self._way.vectors:
            maps[-2:] *= OFFSET_UNIT
        return maps

    def merged(self, blocks: Iterable[Block], size: tuple[int, int], classes: Classes, decoding: Decoding) -> Instances:
        """Merge the objects of a network that emits objects, with the fitted least score, or the default one."""
        least = decoding.get("score", instance_merge.SCORE)
        assert isinstance(least, float)
        return instance_merge.merged(blocks, size, rows_of(classes), least)

    def separated(
        self, blocks: Iterable[Block], size: tuple[int, int], classes: Classes, decoding: Decoding
    ) -> Instances:
        """Find the objects in maps with the fitted thresholds, or the default ones."""
        names = {entry.name for entry in fields(self._way.thresholds)}
        fitted: dict[str, Any] = {name: value for name, value in decoding.items() if name in names}
        how = self._way.thresholds(**fitted)
        return self._way.decode(blocks, size, no_objects(classes), how)

    def fit(self, seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
        """Fit the thresholds that separate objects, or the least score of a network that emits objects."""
        entry = next(seen, None)
        if entry is None:
            return Adjustments()
        first, blocks = peeked(entry.blocks)
        seen = chain((entry._replace(blocks=blocks),), seen)
        if first is not None and first.objects is not None:
            order = rows_of(classes)
            found = ((instance_merge.merged(one.blocks, one.target.size, order, 0.0), one.target) for one in seen)
            return fit_score(found, deadline)
        return fit_thresholds(seen, no_objects(classes), self._way, deadline)


def background_of(classes: Classes) -> int:
    """Return the index of the class that is no object.

    Raises:
        MaskwrightError: there is none.
    """
    if classes.background is None or len(classes) < 2:
        held = f"the classes are {', '.join(classes.names)}, and objects need one class beside the background"
        raise MaskwrightError(
            f"{held}. Call what is no object background in a table of classes (`read.classes`), name the classes that "
            "have objects in `objects.things`, or learn the classes alone with `task` semantic"
        )
    return classes.background


def no_objects(classes: Classes) -> tuple[int, ...]:
    """Return the indices of the classes that are no objects."""
    return tuple(index for index in range(len(classes)) if index not in classes.objects)


def rows_of(classes: Classes) -> tuple[int, ...]:
    """Return the class index of each row of a network that emits objects: the background, then the others in order."""
    background = background_of(classes)
    return (background, *(index for index in range(len(classes)) if index != background))


def peeked(blocks: Iterable[Block]) -> tuple[Block | None, Iterable[Block]]:
    """Return the first block, and all of them."""
    rest = iter(blocks)
    first = next(rest, None)
    return first, () if first is None else chain((first,), rest)
