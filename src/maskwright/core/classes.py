"""Classes: the names, colours and order of the labels, and the one id that no loss or metric sees.

Inside maskwright a label map is always a `uint8` array (H, W) that holds class indices 0..K-1, or `IGNORE`. What the
ids were in somebody's files is the business of `data.formats` alone.
"""

from __future__ import annotations

import colorsys
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

IGNORE = 255
MAX_CLASSES = 255
BACKGROUND_NAMES = frozenset(
    {"background", "_background_", "back", "bg", "none", "negative", "unlabelled", "unlabeled", "void"}
)


@dataclass(frozen=True)
class Classes:
    """The labels of a data set, in the order of their indices.

    Attributes:
        names: one name a class; index k of a label map means `names[k]`.
        colors: one RGB triple (0..255) a class, for pictures.
        things: indices of the classes whose objects are told apart; None where nothing tells, and all but the
            background may have objects.
        ids: the category id of each class in the COCO files of the data, None for a background that they do not list;
            None where there are no such files.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    things: frozenset[int] | None = None
    ids: tuple[int | None, ...] | None = None

    def __post_init__(self) -> None:
        if not self.names:
            raise MaskwrightError("a data set needs at least one class, and none was found or named")
        if len(self.names) > MAX_CLASSES:
            raise MaskwrightError(
                f"{len(self.names)} classes were found, and at most {MAX_CLASSES} fit: are the masks instance ids, "
                "or photographs? Force the format with `read.format`, or name the classes in classes.txt"
            )
        require_distinct(self.names)
        _require_one_line(self.names)
        if len(self.colors) != len(self.names):
            raise MaskwrightError(f"{len(self.names)} class names but {len(self.colors)} colours")
        if self.ids is not None:
            _require_ids(self.names, self.ids, self.background)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def background(self) -> int | None:
        """Index of the class that means "nothing", by its name, or None where every class is something."""
        names = (name.strip().casefold() for name in self.names)
        return next((index for index, name in enumerate(names) if name in BACKGROUND_NAMES), None)

    @property
    def objects(self) -> tuple[int, ...]:
        """Indices of the classes that objects may have: things."""
        every = range(len(self)) if self.things is None else sorted(self.things)
        return tuple(index for index in every if index != self.background)

    @property
    def stuff(self) -> tuple[int, ...]:
        """Indices of the classes that are something without having objects."""
        return tuple(index for index in range(len(self)) if index not in {self.background, *self.objects})

    @property
    def categories(self) -> dict[int, int]:
        """Index -> category id in COCO files: that of the data, or counted from 1. The background has none."""
        shown = [index for index in range(len(self)) if index != self.background]
        if self.ids is None:
            return {index: number for number, index in enumerate(shown, start=1)}
        return {index: number for index in shown if (number := self.ids[index]) is not None}

    @classmethod
    def named(cls, names: list[str] | tuple[str, ...]) -> Classes:
        """Give each name a colour of the default palette."""
        return cls(tuple(names), default_palette(len(names)))

    def palette(self) -> NDArray[np.uint8]:
        """Return a colour table (256, 3): row k for class k, black elsewhere, mid grey for `IGNORE`."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.colors)] = self.colors
        table[IGNORE] = 128
        return table


def require_distinct(names: Sequence[str], source: Path | None = None) -> None:
    """Refuse a class name that occurs twice, in the file `source` where one gives the names.

    Raises:
        MaskwrightError: one does.
    """
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        where = "" if source is None else f"{source}: "
        raise MaskwrightError(f"{where}the class name {twice!r} occurs twice: rename one of them")


def _require_ids(names: Sequence[str], ids: Sequence[int | None], background: int | None) -> None:
    """Refuse category ids that do not tell the classes apart."""
    if len(ids) != len(names):
        raise MaskwrightError(f"{len(names)} class names but {len(ids)} category ids")
    numbers = [number for index, number in enumerate(ids) if index != background]
    if None in numbers or len(set(numbers)) < len(numbers):
        raise MaskwrightError(f"the category ids are {list(ids)}, but each class needs one of its own")


def _require_one_line(names: Sequence[str]) -> None:
    """Refuse control characters and breaks of lines: names are printed on terminals, and end up in files of lines."""
    for name in names:
        wrong = next((sign for sign in name if unicodedata.category(sign) in {"Cc", "Zl", "Zp"}), None)
        if wrong is not None:
            raise MaskwrightError(
                f"the class name {name!r} contains the control character {wrong!r}, but a name must be one line of "
                "plain text: rename the class where it comes from, or with `read.classes`"
            )


def default_palette(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return `count` colours that differ from their neighbours: hues by the golden angle, in three brightnesses.

    A class named first keeps its colour however many follow it.
    """
    shades = ((0.65, 0.95), (0.85, 0.70), (0.45, 1.00))
    colors = []
    for index in range(count):
        saturation, value = shades[index % len(shades)]
        red, green, blue = colorsys.hsv_to_rgb((0.58 + index * 0.381966) % 1.0, saturation, value)
        colors.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colors)
