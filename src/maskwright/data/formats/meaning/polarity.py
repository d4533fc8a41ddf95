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
    """Warn where the foreground fills most of some masks and their whole rim, and in most masks neither, or in all."""
    if meaning.kind != "index" or len(meaning.classes.names) != 2:
        return ()
    values = meaning.values | ({_WHITE: 1} if meaning.white == 1 else {})
    back, fore = ({value for value, index in values.items() if index == side} for side in (0, 1))
    less: list[ImageRef] = []
    more: list[ImageRef] = []
    for held in scan.held:
        below, above = (sum(held.values[value] for value in held.values.keys() & side) for side in (back, fore))
        if below and above:
            (more if above > below else less).append(held.mask)
    inverted = [mask for mask in more if _framed(mask, fore)]
    if not less and len(inverted) >= _FEWEST and 2 * len(inverted) > len(more):
        return (_all_inverted(meaning, scan, len(inverted), inverted[0].path.parent),)
    if not inverted or len(more) >= len(less) or 2 * sum(_framed(mask, back) for mask in less) <= len(less) + len(more):
        return ()
    background, foreground = meaning.classes.names
    message = (
        f"in {len(inverted)} of {plural(scan.looked, 'mask')} looked at ({such_as(len(inverted), inverted[0].name)}), "
        f"{foreground} fills more than half and the whole rim; in most others it does neither, so these may be inverted"
    )
    cure = f"if they are inverted, swap the values of {background} and {foreground} in these masks"
    return (Fault("inverted-masks", "warning", inverted[0].path, message, cure),)


def _all_inverted(meaning: Meaning, scan: Scan, inverted: int, folder: Path) -> Fault:
    background, foreground = meaning.classes.names
    message = (
        f"{foreground} fills more than half of every mask with both classes, and the whole rim of {inverted} of "
        f"{plural(scan.looked, 'mask')} looked at, as a background does: all masks may be inverted"
    )
    held = {
        side: [value for value, index in meaning.values.items() if index == side and value in scan.values]
        for side in (0, 1)
    }
    cure = f"if they are, swap the values of {background} and {foreground}"
    if len(held[0]) == len(held[1]) == 1:
        low, high = held[0][0], held[1][0]
        cure = f"if they are, use `read.map` {low}={high} `read.map` {high}={low}"
    return Fault("inverted-masks", "warning", folder, message, cure)


def _framed(mask: ImageRef, values: Collection[int]) -> bool:
    """Tell whether every pixel at the rim of a mask has one of the values."""
    shown = read_mask(mask).indices()
    if shown is None:
        return False
    return all(np.isin(side, list(values)).all() for side in (shown[[0, -1]], shown[:, [0, -1]]))
