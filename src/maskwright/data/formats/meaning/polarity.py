"""Masks of two classes, some or all of which seem to show them the other way round. Knows no names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.records import Fault
from maskwright.core.text import plural, such_as
from maskwright.data.readers import read_mask

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from maskwright.core.records import ImageRef
    from maskwright.data.formats.meaning.entries import Meaning
    from maskwright.data.formats.meaning.scan import Scan

_WHITE = 255
_FEWEST = 3


def polarity_fault(meaning: Meaning, scan: Scan) -> tuple[Fault, ...]:
    """Warn where the foreground fills most of some masks and their whole rim, and in most masks neither."""
    less, more = _divided(meaning, scan)
    if len(more) >= len(less):
        return ()
    inverted = [mask for mask in more if _framed(mask, _values(meaning, 1))]
    background = _values(meaning, 0)
    if not inverted or 2 * sum(_framed(mask, background) for mask in less) <= len(less) + len(more):
        return ()
    background_name, foreground = meaning.classes.names
    message = (
        f"in {len(inverted)} of {plural(scan.looked, 'mask')} looked at ({such_as(len(inverted), inverted[0].name)}), "
        f"{foreground} fills more than half and the whole rim; in most others it does neither, so these may be inverted"
    )
    cure = f"if they are inverted, swap the values of {background_name} and {foreground} in these masks"
    return (Fault("inverted-masks", "warning", inverted[0].path, message, cure),)


def all_inverted_fault(meaning: Meaning, scan: Scan, folder: Path) -> tuple[Fault, ...]:
    """Warn where the foreground fills most of every mask with both classes, and the whole rim of most of them."""
    less, more = _divided(meaning, scan)
    inverted = sum(_framed(mask, _values(meaning, 1)) for mask in more) if not less else 0
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


def _divided(meaning: Meaning, scan: Scan) -> tuple[list[ImageRef], list[ImageRef]]:
    """Return the masks with less foreground than background, and those with more; none if there are other classes."""
    less: list[ImageRef] = []
    more: list[ImageRef] = []
    if meaning.kind == "index" and len(meaning.classes.names) == 2:
        back, fore = _values(meaning, 0), _values(meaning, 1)
        for held in scan.held:
            below, above = (sum(held.values[value] for value in held.values.keys() & side) for side in (back, fore))
            if below and above:
                (more if above > below else less).append(held.mask)
    return less, more


def _values(meaning: Meaning, side: int) -> set[int]:
    """Return the values of a class by its index."""
    values = meaning.values | ({_WHITE: 1} if meaning.white == 1 else {})
    return {value for value, index in values.items() if index == side}


def _framed(mask: ImageRef, values: Collection[int]) -> bool:
    """Tell whether every pixel at the rim of a mask has one of the values."""
    shown = read_mask(mask).indices()
    if shown is None:
        return False
    return all(np.isin(side, list(values)).all() for side in (shown[[0, -1]], shown[:, [0, -1]]))
