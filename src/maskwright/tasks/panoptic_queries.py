"""Panoptic segmentation by networks of queries: each thing is a segment, and each class of stuff is one.

The network says which segments a tile shows. What several tiles show of one is put together as for objects, and then
segments compete for pixels (`tasks.panoptic_map.shared_out`). The least score of a segment and the least area of stuff
are fitted.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.channels import object_rows
from maskwright.core.classes import IGNORE
from maskwright.core.text import plural
from maskwright.metrics.object_summary import ComparedImage
from maskwright.metrics.panoptic_summary import mean_quality
from maskwright.tasks.base import Adjustments
from maskwright.tasks.by_objects import ByObjects, least_score
from maskwright.tasks.instance_merge import merged
from maskwright.tasks.instance_score import middle_of_best
from maskwright.tasks.object_truths import object_truths
from maskwright.tasks.panoptic import PanopticSegmentation, read_segments
from maskwright.tasks.panoptic_fit import StuffFit, least_stuff
from maskwright.tasks.panoptic_judge import PanopticJudge, compared
from maskwright.tasks.panoptic_map import composed, shared_out
from maskwright.tasks.query_loss import QueryLoss

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import nn

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.core.plan import Plan
    from maskwright.core.records import Dataset, Record
    from maskwright.core.targets import Target
    from maskwright.tasks.base import Decoding, Seen
    from maskwright.tasks.block import Block
    from maskwright.tasks.panoptic_map import PanopticMap

TRIED = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
"""Least scores of a segment, the lowest first."""


class PanopticQueries(ByObjects, PanopticSegmentation):
    """The task `panoptic`, by queries; see `tasks.base.Task` for what each method does."""

    fit_seconds = 30.0
    shares = True

    def order(self, classes: Classes) -> tuple[int, ...]:
        """Return the class index of each row of the network's classes: all of them, behind a row for no segment."""
        return object_rows(len(classes), IGNORE)

    def lesson(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read things and stuff as segments; the background is none. Crowds are ignored."""
        found = read_segments(dataset, record, size)
        ids = found.ids.copy()
        for number, index in enumerate(dataset.classes.stuff, start=len(found.indices) + 1):
            ids[found.labels == index] = number
        return self.lesson_of(ids, found.labels, found.unknown)

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the loss of queries matched with segments."""
        return QueryLoss(partial(object_truths, order=self.order(classes)))

    def decode(
        self,
        blocks: Iterable[Block],
        size: tuple[int, int],
        classes: Classes,
        decoding: Decoding,
        *,
        confidence: bool = False,
    ) -> PanopticMap:
        """Put the segments together, and give each pixel to one of them."""
        least = least_score(decoding)
        return _shown(merged(blocks, size, self.order(classes), least), classes, least, least_stuff(decoding))

    def fit(self, seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
        """Fit the least score of a segment, then the least area of stuff."""
        order = self.order(classes)
        results = ((merged(one.blocks, one.target.size, order, TRIED[0]), one.target) for one in seen)
        return _fitted(results, classes, deadline)

    def judge(self, classes: Classes, decoding: Decoding, *, quick: bool = False) -> PanopticJudge:
        """Return a judge of segments; while no least score is fitted, it also tries others.

        Trained for minutes, a network is unsure of most segments: at one least score, validation would say little.
        """
        order, area = self.order(classes), least_stuff(decoding)
        tried = (least_score(decoding), *(() if "score" in decoding else TRIED))

        def decode(blocks: Iterable[Block], size: tuple[int, int]) -> Sequence[PanopticMap]:
            segments = merged(blocks, size, order, min(tried))
            return [_shown(segments, classes, least, area) for least in tried]

        return PanopticJudge(decode, classes)


def _shown(segments: Instances, classes: Classes, least: float, area: float) -> PanopticMap:
    """Return the segments with a score of `least` or more, and of stuff those of `area` pixels or more."""
    return composed(*shared_out(segments, classes, least), classes, area)


def _fitted(results: Iterable[tuple[Instances, Target]], classes: Classes, deadline: float | None) -> Adjustments:
    """Choose the least score, and then the least area of stuff, by panoptic quality.

    Args:
        results: the segments of each image with any score that is tried, with its truth.
        classes: of the data set.
        deadline: in seconds of `time.monotonic()`.
    """
    tried: list[list[ComparedImage]] = [[] for _ in TRIED]
    areas = [StuffFit(classes) for _ in TRIED]
    end = ""
    for segments, target in results:
        for images, stuff, least in zip(tried, areas, TRIED, strict=True):
            shown = _shown(segments, classes, least, 0.0)
            images.append(ComparedImage("", None, compared(target, shown, classes)))
            stuff.add(shown.labels, target.labels)
        if deadline is not None and time.monotonic() > deadline:
            end = "; time ran out, so another run may use more or fewer"
            break
    qualities = np.array([mean_quality(classes, images) or 0.0 for images in tried])
    if not qualities.any():
        return Adjustments()
    least = middle_of_best(TRIED, qualities)
    rest = areas[TRIED.index(least)].fitted()
    note = (
        f"minimum score of a segment fitted on {plural(len(tried[0]), 'validation image')}: {least:g} "
        f"(PQ: {qualities.max():.3f}){end}"
    )
    return Adjustments({"score": least, **rest.decoding}, (note, *rest.notes))
