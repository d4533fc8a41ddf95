"""Masks of two classes, some or all of which seem to show them the other way round. Knows no names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.records import Fault
from maskwright.core.text import plural, such_as

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from maskwright.data.formats.meaning.entries import Meaning
    from maskwright.data.formats.meaning.scan import Held, Scan

_WHITE = 255
_FEWEST = 3
# Where the masks of a set contradict each other, most of the rim is evidence enough: objects may touch the rest. Where
# all agree, the foreground may be large, such as a road, so only a whole rim counts.
_MOST_OF_RIM, _WHOLE_RIM = 0.75, 1


def polarity_fault(meaning: Meaning, scan: Scan) -> tuple[Fault, ...]:
    """Warn where one class surrounds the other in some masks, the other does so in others, and few masks do neither."""
    less, more = _divided(meaning, scan)
    usual = [held.mask for held in less if _share_of_rim(held, _values(meaning, 0)) >= _MOST_OF_RIM]
    other = [held.mask for held in more if _share_of_rim(held, _values(meaning, 1)) >= _MOST_OF_RIM]
    if not usual or not other or 2 * (len(usual) + len(other)) <= len(less) + len(more):
        return ()
    background, foreground = meaning.classes.names
    message = (
        f"{foreground} fills more than half and most of the rim of {len(other)} of {plural(scan.looked, 'mask')} "
        f"looked at ({such_as(len(other), other[0].name)}), and {background} of {len(usual)} "
        f"({such_as(len(usual), usual[0].name)}), so some may be inverted"
    )
    cure = f"if some are inverted, swap the values of {background} and {foreground} in these masks"
    return (Fault("inverted-masks", "warning", other[0].path, message, cure),)


def all_inverted_fault(meaning: Meaning, scan: Scan, folder: Path) -> tuple[Fault, ...]:
    """Warn where the foreground fills most of every mask with both classes, and the whole rim of most of them."""
    less, more = _divided(meaning, scan)
    inverted = sum(_share_of_rim(held, _values(meaning, 1)) >= _WHOLE_RIM for held in more) if not less else 0
    if inverted < _FEWEST or 2 * inverted <= len(more):
        return ()
    background, foreground = meaning.classes.names
    message = (
        f"{foreground} fills more than half of every mask with both classes, and the whole rim of {inverted} of "
        f"{plural(scan.looked, 'mask')} looked at, as a background does: all masks may be inverted"
    )
    low, high = (_values(meaning, side) & scan.values.keys() for side in (0, 1))
    cure = f"if they are, swap the values of {background} and {foreground}"
    if len(low) == len(high) == 1:
        cure = f"if they are, use `read.map` {min(low)}={min(high)} `read.map` {min(high)}={min(low)}"
    return (Fault("inverted-masks", "warning", folder, message, cure),)


def _divided(meaning: Meaning, scan: Scan) -> tuple[list[Held], list[Held]]:
    """Return the masks with less foreground than background, and those with more; none if there are other classes."""
    less: list[Held] = []
    more: list[Held] = []
    if meaning.kind == "index" and len(meaning.classes.names) == 2:
        back, fore = _values(meaning, 0), _values(meaning, 1)
        for held in scan.held:
            below, above = (sum(held.values[value] for value in held.values.keys() & side) for side in (back, fore))
            if below and above:
                (more if above > below else less).append(held)
    return less, more


def _values(meaning: Meaning, side: int) -> set[int]:
    """Return the values of a class by its index."""
    values = meaning.values | ({_WHITE: 1} if meaning.white == 1 else {})
    return {value for value, index in values.items() if index == side}


def _share_of_rim(held: Held, values: Collection[int]) -> float:
    """Return the share of the pixels at the rim of a mask that have one of the values."""
    shown = held.read()
    if shown is None:
        return 0.0
    rim = np.concatenate([shown[0], shown[-1], shown[1:-1, 0], shown[1:-1, -1]])
    return float(np.isin(rim, list(values)).mean())
