"""What 255 means in masks of values: white, ignored, or a class; and whether all masks agree. Knows no names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.classes import IGNORE
from maskwright.core.records import Fault
from maskwright.data.formats.meaning.evidence import fills_regions

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from maskwright.core.naming import Naming
    from maskwright.data.formats.meaning.scan import Scan

_WHITE = 255
HIGHS = frozenset({1, _WHITE, 65535})
"""The highest values of binary masks, by convention."""
_MOST_GREYS = 18
_LOWEST_GREY = 16
# Ignoring more than this share of the pixels without a word from the user deserves a warning, whatever their shape.
_MUCH = 0.1


class White(NamedTuple):
    """What an unnamed 255 means in masks that hold other classes.

    Attributes:
        alone: class index or `IGNORE` in a mask that holds no value but 0 and 255; None where nothing tells.
        region: it fills regions and does not only outline those of other values.
        pixels: of 255 in masks that hold other classes too.
    """

    alone: int | None
    region: bool
    pixels: int


def conventions(scan: Scan, aside: Collection[int]) -> tuple[int, ...]:
    """Return the highest values of binary masks: 1, 255 (white) or 65535 (white in 16 bits), two or all three of them.

    Empty if there are not at least two, or if a mask holds any two of them, or anything else but 0 and values `aside`.
    """
    sets = [held.values.keys() - aside for held in scan.held]
    highs = {high for high in HIGHS if {0, high} in sets or (high == 1 and {1} in sets)}
    binary = all(len(values - {0}) < 2 and values <= {0, *highs} for values in sets)
    return tuple(sorted(highs)) if binary and len(highs) > 1 else ()


def evenly_spaced(values: Collection[int]) -> bool:
    """Tell whether three or more values divide 0..255 evenly, as 0, 127 and 255 do: greys that stand for classes."""
    steps = len(values) - 1
    greys = enumerate(sorted(values))
    return 2 <= steps < _MOST_GREYS and all(abs(value - place * _WHITE / steps) <= 1 for place, value in greys)


def scaled(scan: Scan) -> dict[int, int]:
    """Map greys to ids where some masks hold ids and all others as many evenly spaced greys; empty if none do."""
    low: set[int] = set()
    high: set[int] = set()
    for held in scan.held:
        values = held.values.keys() - {0}
        (low if max(values, default=0) < _LOWEST_GREY else high).update(values)
    alike = len(low) == len(high) > 1 and min(high) >= _LOWEST_GREY and evenly_spaced({0, *high})
    return dict(zip(sorted(high), sorted(low), strict=True)) if alike else {}


def unnamed_white(scan: Scan, aside: Collection[int]) -> White:
    """Judge by the masks that hold both 255 and other classes; values `aside` do not count.

    Where 255 fills regions there, or is a frame, it means the same in all masks. Where it only outlines regions, or
    occurs in no such mask, a mask of 0 and 255 follows another convention.
    """
    among = [held for held in scan.held if _WHITE in held.values and held.values.keys() - aside - {0, _WHITE}]
    region = bool(among) and fills_regions(among, _WHITE)
    return White(IGNORE if region else None, region, sum(held.values[_WHITE] for held in among))


def white_fault(scan: Scan, white: White, naming: Naming, folder: Path) -> tuple[Fault, ...]:
    """Warn where an unnamed 255 that is ignored fills regions, or much of the masks."""
    share = white.pixels / max(1, sum(scan.values.values()))
    if not (white.region or share > _MUCH):
        return ()
    return (
        Fault(
            "white-ignored",
            "warning",
            folder,
            f"255 {'fills regions' if white.region else 'occurs'} in {scan.holders[_WHITE]} of {scan.looked} "
            f"{'scanned ' if scan.looked < scan.masks else ''}masks ({share:.1%} of the pixels), and is ignored "
            "because no table names it",
            f"if it is a class, {naming.with_values([_WHITE])}; if it is to be ignored, say so with `read.ignore` 255",
        ),
    )


def inverted_fault(scan: Scan, folder: Path) -> tuple[Fault, ...]:
    """Tell that palettes show 0 in white and 1 in black, and that white counts as 1."""
    if not scan.inverted:
        return ()
    return (
        Fault(
            "inverted-palette",
            "warning" if scan.inverted == scan.looked else "note",
            folder,
            f"the palettes of {scan.inverted} of {scan.looked} masks show 0 in white and 1 in black; they are read as "
            "they are shown, with white as 1",
            "nothing needs to be done; if black is the foreground in all masks, use `read.map` 0=1 `read.map` 1=0",
        ),
    )


def conventions_fault(scan: Scan, highs: Collection[int], folder: Path) -> Fault:
    """Tell that binary masks follow several conventions, and how each is read."""
    scanned = "scanned " if scan.looked < scan.masks else ""
    held = [f"{scan.holders[high]} of {scan.looked} {scanned}masks hold 0 and {high}" for high in sorted(highs)]
    return Fault(
        "two-conventions",
        "note",
        folder,
        f"{', '.join(held)}: each of these values counts as the foreground",
        "nothing needs to be done; if one of them is to be ignored, use `read.ignore` with it",
    )
