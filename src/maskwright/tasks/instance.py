"""Instance segmentation by dense maps, for objects that touch but hardly overlap: cells, grains, pores, fruit.

The network says of each pixel which class it has, how deep it lies in its object (1 in the middle, 0 at the edge), and
whether objects meet there. Decoding takes one seed from each peak of the depth and floods the foreground from the
seeds, so the maps of tiles are blended as those of any task, and objects are found in the whole image.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from maskwright import losses
from maskwright.core.channels import CLASS_GROUP, Channels, class_channels
from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instances
from maskwright.core.targets import Target
from maskwright.data.labels import read_label, read_objects
from maskwright.metrics.object_metrics import OBJECT_METRICS
from maskwright.ops import draw_objects
from maskwright.ops.instance_maps import to_map
from maskwright.ops.separation import Separation
from maskwright.tasks import instance_decode, instance_files, instance_pictures
from maskwright.tasks.base import Task
from maskwright.tasks.instance_fit import fit_separation
from maskwright.tasks.instance_judge import InstanceJudge
from maskwright.tasks.instance_loss import BORDER_GROUP, DEPTH_GROUP, InstanceLoss
from maskwright.tasks.instance_paste import pasted
from maskwright.tasks.instance_target import object_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import nn

    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan
    from maskwright.core.records import Dataset, Record
    from maskwright.tasks.base import Adjustments, Block, Decoding, Legend, Painted, Seen, Writer


class InstanceSegmentation(Task):
    """The task `instance`; see `tasks.base.Task` for what each method does."""

    planned_loss = True
    planes = 3
    annotation: Literal["labels", "values"] = "labels"
    headline = OBJECT_METRICS[0]
    writers: Mapping[str, Writer] = instance_files.WRITERS

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return a softmax over the classes, and a sigmoid each for depth and borders.

        Raises:
            MaskwrightError: no class is the background.
        """
        background_of(classes)
        return (
            *class_channels(len(classes)),
            Channels(name=DEPTH_GROUP, count=1, activation="sigmoid"),
            Channels(name=BORDER_GROUP, count=1, activation="sigmoid"),
        )

    def target(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read the objects. What no object covers is background, whatever its class; crowds are ignored."""
        objects, labels, _ = _read(dataset, record, size)
        return Target(labels, instances=objects)

    def lesson(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read the objects as maps."""
        _, labels, ids = _read(dataset, record, size)
        return Target(labels, self.values(ids, labels))

    def values(self, ids: NDArray[np.int32], labels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what the network learns of an instance map (H, W), beside the class of each pixel: depth, borders.

        The last plane holds the ids, since pasted objects change depth and borders.
        """
        unknown = labels == IGNORE
        numbers = np.where(unknown, np.float32(np.nan), ids.astype(np.float32))
        return np.concatenate([object_values(ids, unknown), numbers[None]])

    def encode(self, target: Target, classes: Classes) -> dict[str, NDArray[Any]]:
        """Return labels, depth and borders."""
        assert target.values is not None
        return {CLASS_GROUP: target.labels, DEPTH_GROUP: target.values[:1], BORDER_GROUP: target.values[1:2]}

    def pasted(self, target: Target, donor: Target, index: int) -> tuple[Target, NDArray[np.bool_]]:
        """Lay the objects of a class over others; see `tasks.base.Task.pasted`."""
        return pasted(target, donor, index)

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the planned loss of the classes with those of depth and borders."""
        return InstanceLoss(losses.weighted_sum(plan.loss, self.channels(classes)[0]))

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
        return instance_decode.decode(blocks, size, background_of(classes), separation(decoding))

    def fit(self, seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
        """Fit the thresholds that separate objects."""
        return fit_separation(seen, background_of(classes), deadline)

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


def background_of(classes: Classes) -> int:
    """Return the index of the class that is no object.

    Raises:
        MaskwrightError: there is none.
    """
    if classes.background is None or len(classes) < 2:
        held = f"the classes are {', '.join(classes.names)}, and objects need one class beside the background"
        raise MaskwrightError(
            f"{held}. Call what is no object "
            "background in a table of classes (`read.classes`), or learn the classes alone with `task` semantic"
        )
    return classes.background


def separation(decoding: Decoding) -> Separation:
    """Return the fitted thresholds, or the default ones."""
    return Separation(**dict(decoding))  # type: ignore[arg-type]
