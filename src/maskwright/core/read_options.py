"""How to read a data set, where its layout does not tell. Reads nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path  # noqa: TC003 - the command line reads the types
from typing import Literal

from maskwright.core.options import Option

Between = Literal["any", "classes", "objects", "touching"]
"""Which regions of a mask have edges between them: classes, objects and what is around them, or objects that touch."""
Meaning = Literal["labels", "values", "edges"]
"""What a task takes from mask files: their classes, measured numbers, or the edges between their regions."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read a data set where its layout does not tell, or is misleading.

    Attributes:
        format: name in `data.formats.FORMATS`, or None to recognise it.
        classes: a table of class names (and ids, colours) in any of the forms of `formats.tables`; None to look for
            one in the folder.
        ignore: value in the files that losses and metrics ignore.
        map: value in the files -> the value to treat it as, or "ignore". Values are those of index masks, COCO
            category ids or YOLO class numbers.
        nodata: value in the images that stands for "nothing was measured here", besides those that files declare.
        crowd: what to do with COCO's regions of many objects (`iscrowd`): "ignore" them, or "keep" them like all other
            objects.
        between: for the task `edges` on masks: which of their regions have edges between them; see `Between`.
            None for any.
        values: mask files hold measured numbers, not classes; set by the task (`Task.annotation`).
        edges: the edges between the regions of masks are read, not their classes; set by the task.
    """

    format: str | None = field(
        default=None,
        metadata=Option("--format", "NAME", "Format of the data, instead of recognising it.").metadata,
    )
    classes: Path | None = field(
        default=None,
        metadata=Option(
            "--classes", "FILE", "File with class names (and colours), instead of those in the data."
        ).metadata,
    )
    ignore: int | None = field(
        default=None,
        metadata=Option("--ignore", "VALUE", "Mask value that losses and metrics ignore.").metadata,
    )
    map: dict[int, int | Literal["ignore"]] = field(
        default_factory=dict,
        metadata=Option(
            "--map", "FROM=TO", "Read mask value FROM as TO, e.g. 37=ignore or 3=2. Repeatable.", repeatable=True
        ).metadata,
    )
    nodata: float | None = field(
        default=None,
        metadata=Option(
            "--nodata", "VALUE", "Image value that means no data, where the files do not declare it, e.g. -9999."
        ).metadata,
    )
    crowd: Literal["ignore", "keep"] = field(
        default="ignore",
        metadata=Option(
            "--crowd", "WORD", "What to do with COCO objects marked iscrowd: ignore (the default) or keep."
        ).metadata,
    )
    between: Between | None = field(
        default=None,
        metadata=Option(
            "--between",
            "WORD",
            "For the task edges on masks: edges between classes, objects, touching objects (touching), or any of "
            "these (the default).",
        ).metadata,
    )
    values: bool = False
    edges: bool = False

    def for_task(self, annotation: Meaning) -> ReadOptions:
        """Return the same options for a task that reads mask files as `annotation` says."""
        return replace(self, values=annotation == "values", edges=annotation == "edges")

    def ignored(self) -> frozenset[int]:
        """Return all values that these options say to ignore."""
        forced = {value for value, target in self.map.items() if target == "ignore"}
        return frozenset(forced if self.ignore is None else forced | {self.ignore})
