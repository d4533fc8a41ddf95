"""What the tasks of objects have in common: channels and losses of maps, and what is fitted. Knows no result.

The network says of each pixel which class it has, and what the formulation (`tasks.formulations`) needs to tell objects
apart. Maps of tiles are blended as those of any task, and objects are found in the whole image.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from maskwright import losses
from maskwright.core.channels import CLASS_GROUP, EDGE_GROUP, class_channels, edge_channel
from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.targets import Target
from maskwright.data.things import check_objects
from maskwright.tasks.base import Task
from maskwright.tasks.formulations import FORMULATIONS
from maskwright.tasks.instance_fit import F1, fit_thresholds
from maskwright.tasks.instance_loss import OFFSET_UNIT, InstanceLoss
from maskwright.tasks.joint_edges import JointLoss, edges_of, without_edges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.core.plan import Plan
    from maskwright.core.read_options import Meaning
    from maskwright.core.records import Dataset
    from maskwright.tasks.base import Adjustments, Decoding, Seen
    from maskwright.tasks.block import Block


class ObjectTask(Task):
    """A task of objects; see `tasks.base.Task` for what each method does.

    Args:
        formulation: how maps tell objects apart, a name in `FORMULATIONS`.
        edges: the network has an edge channel after the others.

    Attributes:
        goal: what its thresholds are chosen by.
    """

    fit_seconds = 30.0
    goal = F1
    planned_loss = True
    objects = True
    annotation: Meaning = "labels"

    def __init__(self, formulation: str = "depth", *, edges: bool = False) -> None:
        self._way, self._edges = FORMULATIONS[formulation], edges
        self.planes, self.vectors = self._way.planes + 1, self._way.vectors

    def formulated(self, formulation: str) -> Self:
        """Return the same task with another formulation."""
        return type(self)(formulation, edges=self._edges)

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return a softmax over the classes, the channels of the formulation, and that of the edges if there is one."""
        return (*class_channels(len(classes)), *self._way.channels, *([edge_channel()] if self._edges else []))

    def check(self, dataset: Dataset) -> None:
        """Refuse masks that tell no objects, and classes that the task cannot learn."""
        check_objects(dataset)
        super().check(dataset)

    def lesson_of(
        self, ids: NDArray[np.int32], labels: NDArray[np.uint8], unknown: NDArray[np.bool_] | None = None
    ) -> Target:
        """Return what the network learns of an instance map (H, W) and the class of each pixel.

        The last plane of the values holds the ids, since pasted objects change the other planes.

        Args:
            ids: 0 where no object is.
            labels: class indices.
            unknown: where nobody knows the objects; None for the pixels whose class is unknown.
        """
        unknown = labels == IGNORE if unknown is None else unknown
        values, vectors = self._way.measure(ids, unknown)
        numbers = np.where(unknown, np.float32(np.nan), ids.astype(np.float32))
        return Target(labels, np.concatenate([values, numbers[None]]), vectors=vectors)

    def encode(self, target: Target, classes: Classes) -> dict[str, NDArray[Any]]:
        """Return labels, what the formulation needs, and the ids, whose edges the loss finds."""
        assert target.values is not None
        wanted: dict[str, NDArray[Any]] = {EDGE_GROUP: target.values[-1]} if self._edges else {}
        return {CLASS_GROUP: target.labels, **self._way.encode(target.values, target.vectors), **wanted}

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the planned loss of the classes with that of the formulation, and of the edges if they are learnt."""
        loss = InstanceLoss(losses.weighted_sum(plan.loss, self.channels(classes)[0]), self._way.loss)
        return JointLoss(loss, plan.edges.weight, _outlines) if self._edges else loss

    def adjust(self, maps: Tensor, decoding: Decoding) -> Tensor:
        """Bring offsets to pixels."""
        if self._way.vectors:
            own = maps[:-1] if self._edges else maps
            own[-2:] *= OFFSET_UNIT
        return maps

    def separated(
        self, blocks: Iterable[Block], size: tuple[int, int], classes: Classes, decoding: Decoding
    ) -> Instances:
        """Find the objects in maps with the fitted thresholds, or the default ones."""
        names = {entry.name for entry in fields(self._way.thresholds)}
        fitted: dict[str, Any] = {name: value for name, value in decoding.items() if name in names}
        how = self._way.thresholds(**fitted)
        blocks = without_edges(blocks) if self._edges else blocks
        return self._way.decode(blocks, size, no_objects(classes), how)

    def fit(self, seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
        """Fit the thresholds that separate objects."""
        if self._edges:
            seen = (entry._replace(blocks=without_edges(entry.blocks)) for entry in seen)
        return fit_thresholds(seen, no_objects(classes), self._way, deadline, self.goal)


def _outlines(targets: dict[str, Tensor]) -> Tensor:
    """Return the edges (N, h, w) between objects, classes of stuff and the background."""
    labels, ids = targets[CLASS_GROUP], targets[EDGE_GROUP]
    classes = IGNORE + 1  # ids begin above every class
    return edges_of(torch.where(ids > 0, ids + classes, labels), ids.isnan() | (labels == IGNORE))


def background_of(classes: Classes) -> int:
    """Return the index of the class that is no object.

    Raises:
        MaskwrightError: there is none.
    """
    if classes.background is None or len(classes) < 2:
        held = f"the classes are {', '.join(classes.names)}, and objects need a class besides the background"
        raise MaskwrightError(
            f"{held}. Give what is not an object the name background in a table of classes (`read.classes`), "
            "name the classes that have objects in `objects.things`, or learn the classes alone with `task` "
            "semantic and a network of maps, such as swiftnet"
        )
    return classes.background


def no_objects(classes: Classes) -> tuple[int, ...]:
    """Return the indices of the classes that are no objects."""
    return tuple(index for index in range(len(classes)) if index not in classes.objects)
