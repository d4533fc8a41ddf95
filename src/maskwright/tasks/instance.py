"""Instance segmentation: objects, each with its class and its own pixels, on a background that has none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instances
from maskwright.core.targets import Target
from maskwright.data.labels import read_label, read_objects
from maskwright.data.things import objects_alone
from maskwright.metrics.object_metrics import OBJECT_METRICS
from maskwright.ops import draw_objects
from maskwright.ops.instance_maps import to_map
from maskwright.tasks import instance_files, instance_pictures
from maskwright.tasks.instance_judge import InstanceJudge
from maskwright.tasks.instance_paste import pasted
from maskwright.tasks.object_task import ObjectTask, background_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.records import Dataset, Record
    from maskwright.tasks.base import Block, Decoding, Legend, Painted, Writer


class InstanceSegmentation(ObjectTask):
    """The task `instance`; see `tasks.base.Task` for what each method does."""

    headline = OBJECT_METRICS[0]
    writers: Mapping[str, Writer] = instance_files.WRITERS

    def prepared(self, dataset: Dataset) -> Dataset:
        """Make one class, the background, of all classes without objects, where the format tells which these are."""
        return objects_alone(dataset)

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return a softmax over the classes, and the channels of the formulation.

        Raises:
            MaskwrightError: no class is the background.
        """
        background_of(classes)
        return super().channels(classes)

    def target(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read the objects. What no object covers is background, whatever its class; crowds are ignored."""
        objects, labels, _ = _read(dataset, record, size)
        return Target(labels, instances=objects)

    def lesson(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read the objects as maps."""
        _, labels, ids = _read(dataset, record, size)
        return self.lesson_of(ids, labels)

    def pasted(self, target: Target, donor: Target, index: int) -> tuple[Target, NDArray[np.bool_]] | None:
        """Lay the objects of a class over others, with their depth; see `tasks.base.Task.pasted`."""
        return None if self.vectors else pasted(target, donor, index)

    def decode(
        self,
        blocks: Iterable[Block],
        size: tuple[int, int],
        classes: Classes,
        decoding: Decoding,
        *,
        confidence: bool = False,
    ) -> Instances:
        """Separate the objects."""
        return self.separated(blocks, size, classes, decoding)

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
        return dict(counted(result, classes))


def counted(objects: Instances, classes: Classes) -> dict[str, int]:
    """Return class name -> number of objects, of the classes that occur."""
    counts = Counter(entry.index for entry in objects.objects)
    return {classes.names[index]: counts[index] for index in sorted(counts)}


def _read(
    dataset: Dataset, record: Record, size: tuple[int, int]
) -> tuple[Instances, NDArray[np.uint8], NDArray[np.int32]]:
    """Return the objects of a record, its labels and its instance map.

    Where objects overlap, the smaller one is in the maps: it may lie within the larger one.
    """
    objects = Instances(size, tuple(read_objects(dataset, record, size)))
    learnt = sorted((entry for entry in objects.objects if not entry.crowd), key=lambda entry: entry.area)
    ids = to_map(Instances(size, tuple(learnt)))
    index = [background_of(dataset.classes), *(entry.index for entry in learnt)]
    unknown = read_label(dataset, record, size) == IGNORE
    for entry in objects.objects:
        if entry.crowd:
            unknown[entry.rows, entry.columns] |= entry.mask
    unknown &= ids == 0
    return objects, np.where(unknown, np.uint8(IGNORE), np.array(index, np.uint8)[ids]), ids
