"""Panoptic segmentation: the class of every pixel, and the objects of classes that have them (Kirillov et al. 2019).

The network emits what that of the task `instance` emits, but its classes are things and stuff. Decoding finds the
objects of things; what is left gets its class, unless that is a class of things.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instances
from maskwright.core.targets import Target
from maskwright.metrics.panoptic_metrics import QUALITIES
from maskwright.ops.instance_maps import from_map, outside, to_map
from maskwright.tasks import panoptic_files, panoptic_pictures
from maskwright.tasks.base import Adjustments
from maskwright.tasks.instance import counted
from maskwright.tasks.instance_fit import PQ
from maskwright.tasks.label_map import decide
from maskwright.tasks.object_annotation import read_annotation
from maskwright.tasks.object_task import ObjectTask
from maskwright.tasks.panoptic_fit import StuffFit, least_stuff
from maskwright.tasks.panoptic_judge import PanopticJudge
from maskwright.tasks.panoptic_map import PanopticMap, composed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.records import Dataset, Record
    from maskwright.tasks.base import Decoding, Legend, Painted, Seen
    from maskwright.tasks.block import Block
    from maskwright.tasks.object_annotation import Annotation
    from maskwright.tasks.writer import Writer


class PanopticSegmentation(ObjectTask):
    """The task `panoptic`; see `tasks.base.Task` for what each method does."""

    headline = QUALITIES[0]
    goal = PQ
    stuff = True
    writers: Mapping[str, Writer] = panoptic_files.WRITERS

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return a softmax over the classes, and the channels of the formulation.

        Raises:
            MaskwrightError: there is one class only.
        """
        if len(classes) < 2:
            raise MaskwrightError(
                f"the only class is {classes.names[0]}, and panoptic segmentation needs another one, such as "
                "background: name it in a table of classes (`read.classes`)"
            )
        return super().channels(classes)

    def target(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read classes and objects; where objects overlap, the smaller one takes the pixels."""
        found = read_segments(dataset, record, size)
        objects = (*from_map(found.ids, found.indices).objects, *outside(found.crowds, found.ids > 0).objects)
        return Target(found.labels, instances=Instances(size, objects))

    def lesson(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read classes and objects as maps."""
        found = read_segments(dataset, record, size)
        return self.lesson_of(found.ids, found.labels, found.unknown)

    def decode(
        self,
        blocks: Iterable[Block],
        size: tuple[int, int],
        classes: Classes,
        decoding: Decoding,
        *,
        confidence: bool = False,
    ) -> PanopticMap:
        """Find the objects, and give the rest its class."""
        labels = np.full(size, IGNORE, np.uint8)
        objects = self.separated(_decided(blocks, labels, len(classes)), size, classes, decoding)
        return composed(labels, objects, classes, least_stuff(decoding))

    def fit(self, seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
        """Fit what tells objects apart, and the least area of stuff."""
        stuff = StuffFit(classes)
        objects = super().fit(stuff.watched(seen), images, classes, deadline)
        rest = stuff.fitted()
        return Adjustments({**objects.decoding, **rest.decoding}, (*objects.notes, *rest.notes))

    def judge(self, classes: Classes, decoding: Decoding, *, quick: bool = False) -> PanopticJudge:
        """Return a judge of segments."""
        return PanopticJudge(lambda blocks, size: [self.decode(blocks, size, classes, decoding)], classes)

    def truth(self, target: Target) -> PanopticMap:
        """Return things and stuff as annotated, without crowds."""
        assert target.instances is not None
        labels = target.labels.copy()
        for entry in target.instances.objects:
            if entry.crowd:
                labels[entry.rows, entry.columns][entry.mask] = IGNORE
        objects = tuple(entry for entry in target.instances.objects if not entry.crowd)
        return PanopticMap(labels, Instances(target.size, objects))

    def overlay(self, image: NDArray[Any], result: PanopticMap, classes: Classes) -> NDArray[np.uint8]:
        """Tint the stuff, and outline the objects."""
        return panoptic_pictures.overlay(image, result, classes)

    def paint(self, image: NDArray[np.uint8], target: Target, result: PanopticMap, classes: Classes) -> Painted:
        """Draw image, truth, prediction, wrong classes and wrong objects."""
        return panoptic_pictures.paint(image, target, self.truth(target), result, classes)

    def legend(self, targets: Iterable[Target], results: Iterable[PanopticMap], classes: Classes) -> Legend:
        """Return the classes and the kinds of errors."""
        return panoptic_pictures.legend(targets, results, classes)

    def describe(self, result: PanopticMap, classes: Classes) -> dict[str, int | float]:
        """Return the number of objects of each class of things, and the pixels of each class of stuff, that occur."""
        things = counted(result.objects, classes)
        pixels = {classes.names[index]: int((result.labels == index).sum()) for index in classes.stuff}
        return {**things, **{f"{name} (pixels)": count for name, count in pixels.items() if count}}


def read_segments(dataset: Dataset, record: Record, size: tuple[int, int]) -> Annotation:
    """Read an annotation. Pixels of things that neither an object nor a crowd holds are ignored: they may be any."""
    found = read_annotation(dataset, record, size)
    lost = np.isin(found.labels, dataset.classes.objects) & (found.ids == 0) & (to_map(found.crowds) == 0)
    return replace(found, labels=np.where(lost, np.uint8(IGNORE), found.labels))


def _decided(blocks: Iterable[Block], labels: NDArray[np.uint8], classes: int) -> Iterator[Block]:
    """Pass blocks on, and put the likeliest class of their pixels into labels (H, W)."""
    for block in blocks:
        labels[block.rows, block.columns] = decide(block.maps[:classes])[0]
        yield block
