"""Masks saved as colours whose channels hold class ids: in one channel, or as the number of a channel (one-hot)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.records import Fault
from maskwright.data.formats.meaning.scan import Held, Scan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maskwright.data.formats.meaning.table_lines import Color

_HIGHEST_ID = 63
_NAMES = ("red", "green", "blue")
_WHITE = 255


class Coded(NamedTuple):
    """Class ids in colours.

    Attributes:
        ids: colour -> class id.
        scan: what the masks hold, as ids.
        note: how they are coded, in words.
        faults: what else the user should know.
    """

    ids: Mapping[Color, int]
    scan: Scan
    note: str
    faults: tuple[Fault, ...] = ()


def coded_in_channels(scan: Scan, masks: Path) -> Coded | None:
    """Return the class ids that all masks hold in their channels; None if their colours are mere colours."""
    if not scan.colored or len(scan.painted) < scan.looked:
        return None
    return _in_one_channel(scan) or _one_hot(scan, masks)


def _in_one_channel(scan: Scan) -> Coded | None:
    """Find the only channel that is not black, with values low enough to be ids, or without a gap.

    Driving simulators write classes so, and others the ids of objects.
    """
    for channel, name in enumerate(_NAMES):
        values = {color[channel] for color in scan.colors}
        counted = max(values) <= _HIGHEST_ID or values == set(range(len(values)))
        if counted and all(sum(color) == color[channel] for color in scan.colors):
            ids = {_shown(channel, value): value for value in range(256)}
            return Coded(ids, _as_values(scan, ids, channel), f"ids in the {name} channel")
    return None


def in_red(scan: Scan) -> str:
    """Return a cure for class ids in the red channel beside object ids in the others; empty if red tells no classes."""
    reds = {red for red, _, _ in scan.colors}
    if len(scan.colors) < 2 * len(reds) or not 1 < len(reds) <= max(reds) + 1 <= _HIGHEST_ID + 1:
        return ""
    alone = "PIL.Image.open(FILE).getchannel('R').save(FILE)"
    return f"; if the red channel alone holds class ids ({min(reds)} to {max(reds)}), save it as the mask: {alone}"


def _one_hot(scan: Scan, masks: Path) -> Coded | None:
    """Find masks that are 1 in exactly one channel at each pixel, or 255, if all three channels occur."""
    for high in (1, _WHITE):
        ids = {_shown(channel, high): channel for channel in range(3)}
        if scan.colors.keys() <= ids.keys() and (high == 1 or len(scan.colors) == len(ids)):
            note = f"one-hot: {high} in one channel at each pixel, whose number is the class"
            return Coded(ids, _as_values(scan, ids), note, _doubt(masks) if high == _WHITE else ())
    return None


def _doubt(masks: Path) -> tuple[Fault, ...]:
    return (
        Fault(
            "one-hot",
            "warning",
            masks,
            "every pixel is pure red, green or blue: the masks are read as one-hot, with red as the class 0, green as "
            "1 and blue as 2",
            "if the masks are one-hot, nothing needs to be done; if these are colours of classes, list them in a table "
            "(name,r,g,b) and give it as `read.classes`",
        ),
    )


def _shown(channel: int, value: int) -> Color:
    return (value * (channel == 0), value * (channel == 1), value * (channel == 2))


def _as_values(scan: Scan, ids: Mapping[Color, int], channel: int | None = None) -> Scan:
    """Return the scan of the same masks as ids; those that one channel holds are kept mask by mask."""
    found = Scan(scan.masks, scan.looked, scan.looked)
    for mask, counts in zip(scan.painted, scan.color_counts, strict=True):
        values = {ids[color]: pixels for color, pixels in counts.items()}
        found.values.update(values)
        found.holders.update(values.keys())
        for value in values:
            found.first.setdefault(value, mask)
        if channel is not None:
            found.held.append(Held(mask, values, {}, channel))
    return found
