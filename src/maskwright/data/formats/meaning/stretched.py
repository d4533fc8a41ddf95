"""Masks that were each stretched to their own range, as matplotlib's imsave does: a class has no colour of its own.

Knows no names.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.records import Fault
from maskwright.core.text import listing, such_as

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef
    from maskwright.data.formats.meaning.scan import Scan
    from maskwright.data.formats.meaning.separate import Key

_FEWEST_LEVELS, _FEWEST_MASKS = 3, 2
# Levels are evenly spaced if each is at most so far from its place; the whole range is 1. Colour maps are less exact.
_EXACT = {int: 0.006, tuple: 0.05}


def stretched_fault(scan: Scan, folder: Path) -> tuple[Fault, ...]:
    """Warn where masks with different numbers of evenly spaced levels have the same lowest and highest one."""
    shown = [(held.mask, frozenset(held.values)) for held in scan.held]
    found = _grids(zip(scan.painted, map(frozenset, scan.color_counts), strict=True)) if scan.colored else _grids(shown)
    if len(found) < 2:
        return ()
    kinds = [f"{len(masks)} ({such_as(len(masks), masks[0].name)}) hold {count}" for count, masks in found.items()]
    return (
        Fault(
            "stretched-masks",
            "warning",
            folder,
            f"the masks in {folder.name}/ seem to be stretched, each to its own range: {listing(kinds)} evenly spaced "
            "levels between the same two, so the same class may look different from mask to mask",
            "save the class ids themselves: PIL.Image.fromarray(ids.astype('uint8')).save(FILE), and not with "
            "matplotlib's imsave or a function that normalises",
        ),
    )


def _grids(shown: Iterable[tuple[ImageRef, frozenset[Key]]]) -> dict[int, list[ImageRef]]:
    """Return the masks by their number of levels, if these are evenly spaced; none if all are parts of one grid."""
    masks: defaultdict[frozenset[Key], list[ImageRef]] = defaultdict(list)
    ends = set()
    for mask, values in shown:
        ordered = sorted(values, key=_level)
        if len(ordered) > 1:
            ends.add((ordered[0], ordered[-1]))
        if len(ordered) >= _FEWEST_LEVELS and _even(ordered):
            masks[values].append(mask)
    grids = {values: own for values, own in masks.items() if len(own) >= _FEWEST_MASKS}
    largest = max(grids, key=len, default=frozenset())
    if len(ends) != 1 or all(values <= largest for values in grids):
        return {}
    return {len(values): grids[values] for values in sorted(grids, key=len)}


def _even(ordered: Sequence[Key]) -> bool:
    levels: NDArray[np.float64] = np.array([_level(value) for value in ordered])
    places = (levels - levels[0]) / max(levels[-1] - levels[0], 1e-9)
    return bool(np.abs(places - np.linspace(0, 1, len(places))).max() <= _EXACT[type(ordered[0])])


def _level(value: Key) -> float:
    """Return a value, or the lightness of a colour (CIE L*), which colour maps spread evenly."""
    if isinstance(value, int):
        return value
    return float(cv2.cvtColor(np.array([[value]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0, 0])
