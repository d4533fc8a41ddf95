"""Instance segmentation by dense maps, for objects that touch but hardly overlap: cells, grains, pores, fruit.

The network says of each pixel which class it has, how deep it lies in its object (1 in the middle, 0 at the edge), and
whether objects meet there. Decoding takes one seed from each peak of the depth and floods the foreground from the
seeds, so the maps of tiles are blended as those of any task, and objects are found in the whole image.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from maskwright import losses
from maskwright.core.channels import CLASS_GROUP, class_channels
from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instances
from maskwright.core.targets import Target
from maskwright.data.labels import read_label, read_objects
from maskwright.data.things import check_objects, objects_alone
from maskwright.metrics.object_metrics import OBJECT_METRICS
from maskwright.models.catalog import find_model
from maskwright.ops import draw_objects
from maskwright.ops.instance_maps import to_map
from maskwright.tasks import instance_files, instance_merge, instance_pictures
from maskwright.tasks.base import Adjustments, Task
from maskwright.tasks.formulations import FORMULATIONS
from maskwright.tasks.instance_fit import fit_thresholds
from maskwright.tasks.instance_judge import InstanceJudge
from maskwright.tasks.instance_loss import OFFSET_UNIT, InstanceLoss
from maskwright.tasks.instance_regions import ID_GROUP, RegionLoss
from maskwright.tasks.instance_score import fit_score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan
    from maskwright.core.records import Dataset, Record
    from maskwright.tasks.base import Block, Decoding, Legend, Painted, Seen, Writer


class InstanceSegmentation(Task):
    """The task `instance`; see `tasks.base.Task` for what each method does.

    Args:
        formulation: how maps tell objects apart, a name in `FORMULATIONS`.
    """

    planned_loss = True
    annotation: Literal["labels", "values"] = "labels"
    headline = OBJECT_METRICS[0]
    writers: Mapping[str, Writer] = instance_files.WRITERS

    def __init__(self, formulation: str = "depth") -> None:
        self._way = FORMULATIONS[formulation]
        self.planes, self.vectors = self._way.planes + 1, self._way.vectors

    def formulated(self, formulation: str) -> InstanceSegmentation:
        """Return the same task with another formulation."""
        return type(self)(formulation)

    def prepared(self, dataset: Dataset) -> Dataset:
        """Make one class, the background, of all classes without objects, where the format tells which these are."""
        check_objects(dataset, "instance")
        return objects_alone(dataset)

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return a softmax over the classes, and the channels of the formulation.

        Raises:
            MaskwrightError: no class is the background.
        """
        background_of(classes)
        return (*class_channels(len(classes)), *self._way.channels)

    def target(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read the objects. What no object covers is background, whatever its class; crowds are ignored."""
        objects = Instances(size, tuple(read_objects(dataset, record, size)))
        # Where objects overlap, the smaller one is trained on: it may lie within the larger one.
        learnt = sorted((entry for entry in objects.objects if not entry.crowd), key=lambda entry: entry.area)
        ids = to_map(Instances(size, tuple(learnt)))
        index = [background_of(dataset.classes), *(entry.index for entry in learnt)]
        unknown = read_label(dataset, record, size) == IGNORE
        for entry in objects.objects:
            if entry.crowd:
                unknown[entry.rows, entry.columns] |= entry.mask
        unknown &= ids == 0
        labels = np.where(unknown, np.uint8(IGNORE), np.array(index, np.uint8)[ids])
        numbers = np.where(unknown, np.float32(np.nan), ids.astype(np.float32))
        values, vectors = self._way.measure(ids, unknown)
        return Target(labels, np.concatenate([values, numbers[None]]), objects, vectors)

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

    def decode(
        self,
        blocks: Iterable[Block],
        size: tuple[int, int],
        classes: Classes,
        decoding: Decoding,
        *,
        confidence: bool = False,
    ) -> Instances:
        """Separate the objects in maps, or merge those of a network that emits objects."""
        first, blocks = peeked(blocks)
        if first is not None and first.objects is not None:
            return self.merged(blocks, size, classes, decoding)
        return self.separated(blocks, size, classes, decoding)

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
        how = self._way.thresholds(**{name: value for name, value in decoding.items() if name in names})
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

    def judge(self, classes: Classes, decoding: Decoding, *, quick: bool = False) -> InstanceJudge:
        """Return a judge of objects."""
        return InstanceJudge(lambda blocks, size: self.decode(blocks, size, classes, decoding), classes)

    def truth(self, target: Target) -> Instances:
        """Return the annotated objects."""
        assert target.instances is not None
        return target.instances

    def overlay(self, image: NDArray[Any], result: Instances, classes: Classes) -> NDArray[np.uint8]:
        """Outline the objects on the image."""
        return draw_objects.overlay(image, result, draw_objects.colors_of(result, classes))

    def paint(self, image: NDArray[np.uint8], target: Target, result: Instances, classes: Classes) -> Painted:
        """Draw image, truth, prediction and errors."""
        return instance_pictures.paint(image, target, result, classes)

    def legend(self, targets: Iterable[Target], results: Iterable[Instances], classes: Classes) -> Legend:
        """Return the classes and the kinds of errors."""
        return instance_pictures.legend(targets, results, classes)

    def describe(self, result: Instances, classes: Classes) -> dict[str, int | float]:
        """Return class name -> number of objects, of the classes that occur."""
        counts = Counter(entry.index for entry in result.objects)
        return {classes.names[index]: counts[index] for index in sorted(counts)}


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
