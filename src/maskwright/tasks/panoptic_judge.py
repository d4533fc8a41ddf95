"""Scores things and stuff. Keeps a few numbers of every segment and of every pair that overlaps, and no mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instances
from maskwright.metrics.object_overlap import compare
from maskwright.metrics.object_summary import ComparedImage
from maskwright.metrics.panoptic_summary import mean_quality, panoptic_scores
from maskwright.tasks.panoptic_map import PanopticMap, segments_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from maskwright.core.classes import Classes
    from maskwright.core.targets import Target
    from maskwright.metrics.object_overlap import Comparison
    from maskwright.metrics.scores import Scores
    from maskwright.tasks.block import Block


class PanopticJudge:
    """Scores one image after another; see `tasks.base.Judge`. What takes time is in `compute`, so it is always quick.

    Args:
        decode: (blocks, (height, width)) -> what they show, first as users see it, then with other thresholds; while
            nothing is fitted yet, `score` takes those that do best.
        classes: of the data set.
    """

    def __init__(
        self, decode: Callable[[Iterable[Block], tuple[int, int]], Sequence[PanopticMap]], classes: Classes
    ) -> None:
        self._decode, self._classes = decode, classes
        self._images: list[list[ComparedImage]] = []

    def update(self, id: str, blocks: Iterable[Block], target: Target, group: str | None = None) -> None:  # noqa: A002
        """Compare the segments of one image with the annotated ones."""
        found = self._decode(blocks, target.size)
        shown, *tried = found
        first = ComparedImage(id, group, compared(target, shown, self._classes, outlines=True))
        rest = [ComparedImage(id, group, compared(target, one, self._classes)) for one in tried]
        self._images.append([first, *rest])

    def score(self) -> float | None:
        """Return the panoptic quality; None where nothing was annotated and nothing predicted."""
        values = [mean_quality(self._classes, images) for images in zip(*self._images, strict=True)]
        return max((value for value in values if value is not None), default=None)

    def compute(self) -> Scores:
        """Return all scores.

        Raises:
            MaskwrightError: nothing was scored.
        """
        if not self._images:
            raise MaskwrightError("there is nothing to score: no image with a truth was judged")
        return panoptic_scores("panoptic", self._classes, [images[0] for images in self._images])


def compared(target: Target, found: PanopticMap, classes: Classes, *, outlines: bool = False) -> Comparison:
    """Compare the segments of one image; each class of stuff is one segment, and the background is none.

    `outlines` says whether to compute the boundary IoU too (`object_overlap.compare`).
    """
    assert target.instances is not None
    own = target.instances.objects
    objects = Instances(target.size, tuple(entry for entry in own if not entry.crowd))
    crowds = tuple(entry for entry in own if entry.crowd)
    truth = segments_of(PanopticMap(target.labels, objects), classes, crowds)
    return compare(truth, segments_of(found, classes), target.ignored, outlines=outlines)
