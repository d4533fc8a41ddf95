"""What is said of values and colours in a mask that no table explains. Opens no file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from maskwright.core.naming import BARE
from maskwright.core.text import agree
from maskwright.data.readers import DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.naming import Color, Naming
    from maskwright.core.records import ImageRef

    Table = tuple[tuple[int, int], ...]

_WHITE = 255
# Colours that are so near each other may be meant to be the same.
_NEAR = 16
# More unknown values than this in one mask were not drawn.
_MOST_DRAWN = 8


def pixels(count: int) -> str:
    """Write a number of pixels."""
    return "1 pixel" if count == 1 else f"{count:,} pixels"


def rgb(color: Sequence[int]) -> str:
    """Write a colour as tables do."""
    return ",".join(map(str, color))


def unclear_white(mask: ImageRef, count: int, others: list[int]) -> DecodeError:
    """Say that nothing tells whether 255 is the foreground or ignored in a mask that holds no other class."""
    first = f", or `read.map` 255={others[0]} if it means what {others[0]} means elsewhere" if others else ""
    if len(others) == 1:
        first += f", or `read.map` {others[0]}=ignore if {others[0]} is an error"
    return DecodeError(
        "other-convention",
        mask,
        f"holds only 0 and 255 ({pixels(count)}), but the other labels are {_spans(others)}, so it is unclear "
        "whether 255 is a class or ignored",
        f"save it like the other masks, or use `read.ignore` 255 if 255 is to be ignored in all masks{first}",
    )


def unknown_value(
    mask: ImageRef, values: list[int], lowest: int, table: Table, count: int, naming: Naming
) -> DecodeError:
    """Say that the table has no class for `values`, on `count` pixels; `lowest` is the lowest value in the mask."""
    known, first = [key for key, _ in table], values[0]
    following = next(value for value in range(len(known) + 1) if value not in known)
    mapped, them = " ".join(f"`read.map` {value}=ignore" for value in values), agree(len(values), "it", "them")
    unless = "if nothing is known there, " if values == [0] else ""
    cure = f"{naming.with_values(values, following)}, or {unless}map {them} with {mapped}"
    if known == [0, _WHITE] and values == [1]:
        cure = "save it as 0 and 255 like the others, or use `read.map` 1=255 if 1 is the foreground"
    elif len(values) > _MOST_DRAWN:
        cure = (
            "save the mask again without interpolation; if the values are classes, list all of them in a table "
            "(id,name) and give it as `read.classes`"
        )
    elif naming.line == BARE and values == [following] and not naming.numbered:
        cure += f"; if the list lacks the name of 0, write it at the beginning of {naming.file} instead"
    if naming.file and lowest > 0 and values == [following] and {*known, _WHITE} == {*range(following), _WHITE}:
        cure = f"if the mask counts from 1, subtract 1 from its values; if not, {cure}"
    return DecodeError(
        "unknown-label",
        mask,
        f"holds {'label' if len(values) == 1 else f'{len(values)} unknown labels such as'} {first} ({pixels(count)}), "
        f"but the known labels are {_spans(known)}",
        cure,
    )


def unknown_color(mask: ImageRef, codes: list[int], count: int, known: Sequence[Color], naming: Naming) -> DecodeError:
    """Say that the table has no class for the colours `codes` (0xRRGGBB), which are on `count` pixels."""
    color = (codes[0] >> 16, codes[0] >> 8 & 255, codes[0] & 255)
    held = f"the colour {rgb(color)}" if len(codes) == 1 else f"{len(codes)} colours such as {rgb(color)}"
    cure = "save the mask without interpolation"
    if len(codes) <= _MOST_DRAWN:
        cure = f"{naming.with_color(color)}, or {cure}"
    if all((code & 255, code >> 8 & 255, code >> 16) in known for code in codes):
        cure = (
            f"if its red and blue channels are exchanged, as in files that OpenCV wrote, exchange them; if not, {cure}"
        )
    near = min(known, key=lambda other: math.dist(color, other))
    if naming.file and math.dist(color, near) <= _NEAR:
        cure = f"if it is meant to be {rgb(near)}, correct that colour in {naming.file}; if not, {cure}"
    return DecodeError(
        "unknown-color",
        mask,
        f"holds {held} ({pixels(count)}), which {agree(len(codes), 'is', 'are')} not one of the {len(known)} known "
        "colours",
        cure,
    )


def _spans(values: list[int]) -> str:
    """Write sorted numbers, with runs of three or more as a range: `0..11, 255`."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    parts = [f"{run[0]}..{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(parts[:12]) + (", ..." if len(parts) > 12 else "")
