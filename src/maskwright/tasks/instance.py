"""Instance segmentation: objects, each with its class and its own pixels, on a background that has none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.targets import Target
from maskwright.data.things import objects_alone
from maskwright.metrics.object_judge import ObjectJudge
from maskwright.metrics.object_metrics import OBJECT_METRICS
from maskwright.ops import draw_objects
from maskwright.tasks import instance_files, instance_pictures
from maskwright.tasks.instance_judge import InstanceJudge
from maskwright.tasks.instance_paste import pasted
from maskwright.tasks.object_annotation import read_annotation
from maskwright.tasks.object_task import ObjectTask, background_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.core.records import Dataset, Record
    from maskwright.tasks.base import Decoding, Legend, Painted
    from maskwright.tasks.block import Block
    from maskwright.tasks.object_annotation import Annotation
    from maskwright.tasks.writer import Writer


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
        found = read_annotation(dataset, record, size)
        return Target(_labels(found, dataset.classes), instances=found.objects)

    def lesson(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read the objects as maps."""
        found = read_annotation(dataset, record, size)
        return self.lesson_of(found.ids, _labels(found, dataset.classes))

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
        return InstanceJudge(
            lambda blocks, size: self.decode(blocks, size, classes, decoding),
            ObjectJudge(classes, outlines=self._edges),
        )

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


def _labels(found: Annotation, classes: Classes) -> NDArray[np.uint8]:
    """Return the class of each pixel (H, W), where one background stands for everything but objects."""
    labels = np.where(found.ids > 0, found.labels, np.uint8(background_of(classes)))
    labels[found.unknown] = IGNORE
    return labels
