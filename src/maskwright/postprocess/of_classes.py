"""What postprocessors of class probabilities have in common: what they need, and the search for their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from maskwright.core.channels import CLASS_GROUP
from maskwright.postprocess.base import Postprocessor
from maskwright.postprocess.search import describe, search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.channels import Channels
    from maskwright.core.plan import Section
    from maskwright.postprocess.base import Sample
    from maskwright.postprocess.search import Fit


class OfClasses(Postprocessor):
    """A postprocessor of class probabilities; see `postprocess.base.Postprocessor`.

    Attributes:
        section: type of the settings.
    """

    section: ClassVar[type[Section]]
    needs: str = "the probability of each class and nothing else, as models of the task semantic predict"
    reads: tuple[str, ...] = (CLASS_GROUP,)
    improves: tuple[str, ...] = ("iou", "boundary_iou")

    def __init__(self, settings: Section | None = None) -> None:
        assert settings is None or isinstance(settings, self.section)
        self.settings: Any = settings or self.section()

    @classmethod
    def takes(cls, groups: Sequence[Channels]) -> bool:
        """Whether the only group is a softmax over classes."""
        return [(group.name, group.activation) for group in groups] == [(CLASS_GROUP, "softmax")]

    def describe(self) -> str:
        """Write the settings in one line."""
        return describe(self.settings)

    @classmethod
    def fit(cls, samples: Sequence[Sample], start: Section, deadline: float | None) -> Fit:
        """Search the settings by IoU and boundary IoU."""
        return search(cls, samples, start, deadline)
