"""What a format is. Reads nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset


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
