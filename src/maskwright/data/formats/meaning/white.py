"""What 255 means in masks of values: white, ignored, or a class; and whether all masks agree. Knows no names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
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
    """Map the higher values to the lower ones where some masks hold these, and all others as many higher ones.

    The higher ones are evenly spaced greys, or multiples of the lower ones; several masks hold more than one of each.
    Empty if they are not.
    """
    sets = [held.values.keys() - {0} for held in scan.held]
    values = sorted(set().union(*sets))
    low, high = values[: len(values) // 2], values[len(values) // 2 :]
    apart = all(found <= set(low) or found <= set(high) for found in sets)
    if not apart or len(low) != len(high) or len(low) < 2 or low[0] < 1:
        return {}
    several = all(sum(len(found & set(side)) > 1 for found in sets) > 1 for side in (low, high))
    multiples = several and all(above * low[0] == below * high[0] for below, above in zip(low, high, strict=True))
    greys = low[-1] < _LOWEST_GREY <= high[0] and evenly_spaced({0, *high})
    return dict(zip(high, low, strict=True)) if greys or multiples else {}


def require_unscaled(scan: Scan, folder: Path) -> tuple[Fault, ...]:
    """Warn where some masks hold ids, and all others multiples of them.

    Raises:
        MaskwrightError: the others hold evenly spaced greys, which are no ids.
    """
    ids = scaled(scan)
    if not ids:
        return ()
    low, high = (", ".join(map(str, side)) for side in (ids.values(), ids))
    message = f"some masks in {folder} hold the values {low}, and the others {high}"
    maps = " ".join(f"`read.map` {above}={below}" for above, below in ids.items())
    cure = f"if these mean the same, use {maps}; if not, list all values in classes.txt (id,name)"
    if evenly_spaced({0, *ids}):
        raise MaskwrightError(f"{message}: {cure}")
    return (Fault("two-scales", "warning", folder, f"{message}; each value is read as a class of its own", cure),)


def unnamed_white(scan: Scan, aside: Collection[int]) -> White:
    """Judge by the masks that hold both 255 and other classes; values `aside` do not count.

    Where 255 fills regions there, or is a frame, it means the same in all masks. Where it only outlines regions, or
    occurs in no such mask, a mask of 0 and 255 follows another convention.
    """
    among = [held for held in scan.held if _WHITE in held.values and held.values.keys() - aside - {0, _WHITE}]
    region = bool(among) and fills_regions(among, _WHITE)
    return White(IGNORE if region else None, region, sum(held.values[_WHITE] for held in among))


def white_fault(
    scan: Scan, white: White, naming: Naming, folder: Path, nothing: str | None = None
) -> tuple[Fault, ...]:
    """Warn where an unnamed 255 that is ignored fills regions, or much of the masks.

    `nothing` is what the table calls 0 if it is ignored: its ids may then be one too high, as those of COCO-Stuff are.
    """
    share = white.pixels / max(1, sum(scan.values.values()))
    if not (white.region or share > _MUCH):
        return ()
    shifted = f"; if it is {nothing!r}, subtract 1 from each id in {naming.file}" if nothing and white.region else ""
    return (
        Fault(
            "white-ignored",
            "warning",
            folder,
            f"255 {'fills regions' if white.region else 'occurs'} in {scan.holders[_WHITE]} of {scan.looked} "
            f"{'scanned ' if scan.looked < scan.masks else ''}masks ({share:.1%} of the pixels), and is ignored "
            "because no table names it",
            f"if it is a class, {naming.with_values([_WHITE])}; if it is to be ignored, use `read.ignore` 255{shifted}",
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
