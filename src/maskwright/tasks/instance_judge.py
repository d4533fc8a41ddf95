"""Decodes what a network shows of an image, and scores the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from maskwright.core.instances import Instances
    from maskwright.core.targets import Target
    from maskwright.metrics.object_judge import ObjectJudge
    from maskwright.metrics.scores import Scores
    from maskwright.tasks.block import Block


class InstanceJudge:
    """Scores one image after another; see `tasks.base.Judge`.

    Args:
        decode: (blocks, (height, width)) -> the objects that they show.
        objects: scores them.
    """

    def __init__(self, decode: Callable[[Iterable[Block], tuple[int, int]], Instances], objects: ObjectJudge) -> None:
        self._decode, self._objects = decode, objects

    def update(self, id: str, blocks: Iterable[Block], target: Target, group: str | None = None) -> None:  # noqa: A002
        """Compare the objects of one image with the annotated ones."""
        assert target.instances is not None
        self._objects.update(id, self._decode(blocks, target.size), target.instances, target.ignored, group)

    def score(self) -> float | None:
        """Return the F1 at IoU 0.5; None where nothing was annotated and nothing predicted."""
        return self._objects.score()

    def compute(self) -> Scores:
        """Return all scores.

        Raises:
            MaskwrightError: nothing was scored.
        """
        return self._objects.compute()
