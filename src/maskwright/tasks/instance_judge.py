"""Scores objects. Keeps a few numbers of every object and of every pair that overlaps, and no mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.metrics.object_overlap import compare
from maskwright.metrics.object_summary import ComparedImage, mean_f1, object_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.core.targets import Target
    from maskwright.metrics.scores import Scores
    from maskwright.tasks.block import Block


class InstanceJudge:
    """Scores one image after another; see `tasks.base.Judge`. What takes time is in `compute`, so it is always quick.

    Args:
        decode: (blocks, (height, width)) -> the objects that they show.
        classes: of the data set.
        task: name of the task, for its scores.
        least: least score of an object that users see; COCO's average precision counts all.
        tried: least scores of which `score` takes the best, where none is fitted yet.
        outlines: compute the boundary IoU, which takes longer than all the rest.
    """

    def __init__(
        self,
        decode: Callable[[Iterable[Block], tuple[int, int]], Instances],
        classes: Classes,
        task: str = "instance",
        least: float = 0.0,
        tried: Sequence[float] = (),
        *,
        outlines: bool = False,
    ) -> None:
        self._outlines = outlines
        self._decode, self._classes, self._task, self._least = decode, classes, task, least
        self._tried = tried or (least,)
        self._images: list[ComparedImage] = []

    def update(self, id: str, blocks: Iterable[Block], target: Target, group: str | None = None) -> None:  # noqa: A002
        """Compare the objects of one image with the annotated ones."""
        assert target.instances is not None
        found = self._decode(blocks, target.size)
        compared = compare(target.instances, found, target.ignored, outlines=self._outlines)
        self._images.append(ComparedImage(id, group, compared))

    def score(self) -> float | None:
        """Return the F1 at IoU 0.5; None where nothing was annotated and nothing predicted."""
        values = [mean_f1(self._classes, self._images, least) for least in self._tried]
        return max((value for value in values if value is not None), default=None)

    def compute(self) -> Scores:
        """Return all scores.

        Raises:
            MaskwrightError: nothing was scored.
        """
        if not self._images:
            raise MaskwrightError("there is nothing to score: no image with a truth was judged")
        return object_scores(self._task, self._classes, self._images, self._least, outlines=self._outlines)
