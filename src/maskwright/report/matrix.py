"""The confusion matrix as a heat map that can be read for 2 and for 80 classes, and its largest confusions in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.text import count, plural, share
from maskwright.report.svg import Svg, number, picture, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_CLASSES = 100
WRITTEN_CLASSES = 16
SMALL, LARGE = 5, 30
SIDE, LARGE_SIDE = 720.0, 960.0
NAME_LENGTH = 18
LEGEND = (("1%", 0.01), ("10%", 0.1), ("25%", 0.25), ("50%", 0.5), ("100%", 1.0))


@dataclass(frozen=True)
class Confusion:
    """One way in which the model errs.

    Attributes:
        truth, prediction: names of the two classes.
        pixels: of `truth` that were given to `prediction`.
        share: of the pixels of `truth`, 0..1.
    """

    truth: str
    prediction: str
    pixels: int
    share: float


def confusions(matrix: Sequence[Sequence[int]], names: Sequence[str], most: int = 10) -> list[Confusion]:
    """Return the largest confusions by their share of the true class, largest first.

    Shares, not pixels, for the mean over classes gives a small class the weight of a large one.

    Args:
        matrix: pixel counts (K, K), row truth, column prediction.
        names: K class names.
        most: return at most so many.
    """
    found = [
        Confusion(names[row], names[column], pixels, pixels / sum(counts))
        for row, counts in enumerate(matrix)
        for column, pixels in enumerate(counts)
        if row != column and pixels
    ]
    return sorted(found, key=lambda entry: (-entry.share, -entry.pixels))[:most]


def shown_classes(matrix: Sequence[Sequence[int]]) -> list[int]:
    """Return the indices of the classes to draw, in order: all, or the `MOST_CLASSES` with the most pixels."""
    columns = [sum(row[index] for row in matrix) for index in range(len(matrix))]
    pixels = [sum(row) + column for row, column in zip(matrix, columns, strict=True)]
    largest = sorted(range(len(matrix)), key=lambda index: -pixels[index])[:MOST_CLASSES]
    return sorted(largest)


def heat_map(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Svg:
    """Draw the matrix, each row as shares of its truth: hits in one colour, misses in another, none left blank.

    Args:
        matrix: pixel counts (K, K), row truth, column prediction.
        names: K class names.
    """
    shown = shown_classes(matrix)
    cell = min((LARGE_SIDE if len(shown) > LARGE else SIDE) / len(shown), 96.0)
    size = min(12.0, cell * 0.9)
    margin = max(72.0, 12 + size * 0.6 * max(min(len(names[index]), NAME_LENGTH) for index in shown))
    side = cell * len(shown)
    parts = [tag("rect", class_="field", x=margin, y=margin, width=side, height=side)]
    for place, index in enumerate(shown):
        parts += _names(place, names[index], cell, margin, size)
        parts += _row(matrix[index], index, shown, names, (margin, margin + place * cell, cell))
    if len(shown) > LARGE:
        parts += [_guide(margin + place * cell, margin, side) for place in range(5, len(shown), 5)]
    for label, up in (("predicted \u2192", 24), ("truth \u2193", 8)):
        parts.append(tag("text", label, class_="axis-label", x=margin - 6, y=margin - up, text_anchor="end"))
    title = f"Confusion matrix of {plural(len(shown), 'class', 'classes')}, rows truth, columns prediction"
    kind = "heat small"
    if len(shown) > SMALL:
        kind = "heat large" if len(shown) > LARGE else "heat"
    return picture(margin + side + 1, margin + side + 1, title, *parts, class_=kind)


def _guide(at: float, margin: float, side: float) -> Svg:
    """Draw a pair of fine lines that lead the eye through many rows and columns."""
    start, end, here = number(margin), number(margin + side), number(at)
    return tag("path", class_="grid", d=f"M{start} {here}H{end}M{here} {start}V{end}")


def _names(place: int, name: str, cell: float, margin: float, size: float) -> list[Svg]:
    middle = margin + (place + 0.5) * cell
    short = name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "\u2026"
    x, y = middle + size * 0.35, margin - 6
    left = tag("text", short, class_="name", x=y, y=x, text_anchor="end", font_size=size)
    turn = f"rotate(-90 {number(x)} {number(y)})"
    return [left, tag("text", short, class_="name", x=x, y=y, font_size=size, transform=turn)]


def _row(
    counts: Sequence[int],
    truth: int,
    shown: list[int],
    names: Sequence[str],
    place: tuple[float, float, float],
) -> list[Svg]:
    total = sum(counts)
    left, top, cell = place
    parts = []
    for column, index in enumerate(shown):
        if not counts[index]:
            continue
        part = counts[index] / total
        words = f"{names[truth]} \u2192 {names[index]}: {count(counts[index])} px, {share(part)}"
        opacity = shade(part)
        kind = "hit" if index == truth else "miss"
        x = left + column * cell
        parts.append(
            tag("rect", tag("title", words), class_=kind, x=x, y=top, width=cell, height=cell, fill_opacity=opacity)
        )
        if len(shown) <= WRITTEN_CLASSES and part >= 0.0005:
            written = "on" if opacity > 0.65 else "off"
            size = min(13.0, cell * 0.3)
            text = f"{part * 100:.1f}"
            y = top + cell / 2 + size * 0.35
            parts.append(tag("text", text, class_=written, x=x + cell / 2, y=y, text_anchor="middle", font_size=size))
    return parts


def shade(part: float) -> float:
    """Return how opaque a cell is: the share's root, so that one pixel in a hundred can be seen."""
    return max(round(part**0.5, 3), 0.02)
