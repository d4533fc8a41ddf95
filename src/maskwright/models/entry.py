"""The entry of an architecture in a catalog. Knows no architecture."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from maskwright.models.segmenter import Segmenter


@dataclass(frozen=True)
class ModelEntry:
    """One architecture of the catalog.

    Attributes:
        source: its builder, or the name of the module whose `build` it is: that is imported when it is first asked for,
            because a library that it needs takes seconds to import.
        paper: authors and short title.
        year: of publication.
        url: of the paper.
        default_backbone: in `BACKBONES`.
        summary: what it is and when to use it, in a few words.
        backbone_options: defaults that this architecture sets on any backbone that has these options.
        own: defaults that it sets on its default backbone only, such as widths and depths.
        slim: options that make it light enough for short trainings, on its default backbone.
        tasks: that it serves; None for all, since maps serve every task.
        learns: what a training compares: `maps`, `regions` drawn by the truth, or `queries` matched with it; or
            `pixels`, from which the model is grown at once, without steps of an optimiser.
        averages: it averages over the whole image, unless `predict.window` says over which part.
    """

    source: Callable[..., Segmenter] | str
    paper: str
    year: int
    url: str
    default_backbone: str
    summary: str
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    slim: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] | None = None
    learns: Literal["maps", "regions", "queries", "pixels"] = "maps"
    averages: bool = False

    @property
    def builder(self) -> Callable[..., Segmenter]:
        """Return `builder(backbone, classes, dropout, **options) -> Segmenter`."""
        if not isinstance(self.source, str):
            return self.source
        found: Callable[..., Segmenter] = import_module(self.source).build
        return found

    @property
    def objects(self) -> bool:
        """Whether it is trained on objects (`models.objects`) instead of maps, and emits them where a task can."""
        return self.learns in {"regions", "queries"}
