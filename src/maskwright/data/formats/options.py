"""What a user may force when a data set is read, and what a format is. Reads nothing itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from maskwright.core.records import Dataset


@dataclass(frozen=True)
class ReadOptions:
    """How to read a data set where its layout does not say, or says it wrong.

    Attributes:
        format: name in `formats.FORMATS`, or None to recognise it.
        classes: a table of class names (and ids, colours) in any of the forms of `formats.tables`; None to look for
            one in the folder.
        ignore: value in the files that no loss or metric shall see.
        map: value in the files -> the value to treat it as, or "ignore". Values are those of index masks, COCO
            category ids or YOLO class numbers.
    """

    format: str | None = None
    classes: Path | None = None
    ignore: int | None = None
    map: dict[int, int | Literal["ignore"]] = field(default_factory=dict)

    def ignored(self) -> frozenset[int]:
        """Return all values that these options tell to ignore."""
        forced = {value for value, target in self.map.items() if target == "ignore"}
        return frozenset(forced if self.ignore is None else forced | {self.ignore})


class Format(NamedTuple):
    """One way of laying out a data set.

    Attributes:
        summary: what it looks like on disk, for people.
        detect: root -> what was seen, or None; decodes nothing.
        read: root, options -> the data set; raises `MaskwrightError` if it is not laid out so.
    """

    summary: str
    detect: Callable[[Path], str | None]
    read: Callable[[Path, ReadOptions], Dataset]
