"""Options for reading a data set, and what a format is. Reads nothing itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from maskwright.core.records import Dataset


@dataclass(frozen=True)
class ReadOptions:
    """How to read a data set whose layout does not tell, or tells something wrong.

    Attributes:
        format: name in `formats.FORMATS`; None to recognise the format.
        classes: a file with class names (and ids, colours) in any of the forms of `formats.tables`; None to look for
            one in the folder.
        ignore: value in the files that losses and metrics ignore.
        map: value in the files -> the value to read it as, or "ignore". Values are those of index masks, COCO
            category ids or YOLO class numbers.
    """

    format: str | None = None
    classes: Path | None = None
    ignore: int | None = None
    map: dict[int, int | Literal["ignore"]] = field(default_factory=dict)

    def ignored(self) -> frozenset[int]:
        """Return all values that these options ignore."""
        forced = {value for value, target in self.map.items() if target == "ignore"}
        return frozenset(forced if self.ignore is None else forced | {self.ignore})


class Format(NamedTuple):
    """One way of laying out a data set.

    Attributes:
        summary: what it looks like on disk, in words.
        detect: root -> what was recognised, in words, or None; decodes nothing.
        read: root, options -> the data set; raises `MaskwrightError` if the layout is another.
    """

    summary: str
    detect: Callable[[Path], str | None]
    read: Callable[[Path, ReadOptions], Dataset]
