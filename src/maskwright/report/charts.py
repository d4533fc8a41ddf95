"""Charts as inline SVG: lines over training, intervals, reliability, bars and dots of counts. Knows no score's name.

Every function returns one `<svg>` whose coordinates follow from its arguments alone; the style sheet colours it by
class name. Lengths are in the drawing's own pixels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maskwright.core.text import compact, percent, share
from maskwright.report.svg import Scale, Svg, nice_ticks, number, path, picture, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 360.0, 216.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 348.0, 26.0, 184.0
FEWEST = 4  # the least end of an axis of counts, so that its ticks are whole
BAR_WIDTH, BAR_HEIGHT, BAR_MARGIN = 76.0, 8.0, 2.0


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        points: (x, y) in the units of the axes; a None in y breaks the line.
        style: `faint` for raw values, `strong` for the main line, `other` for a second one, `dotted` with a dot at each
            point.
        color: CSS colour; None for that of the style.
    """

    points: tuple[tuple[float, float | None], ...]
    style: Literal["faint", "strong", "other", "dotted"] = "strong"
    color: str | None = None


@dataclass(frozen=True)
class Axis:
    """What an axis shows: its ends, and how its ticks are written."""

    low: float
    high: float
    write: Callable[[float], str]
    label: str = ""


def line_chart(
    title: str, series: Sequence[Series], x: Axis, y: Axis, *, mark: tuple[float, float] | None = None
) -> Svg:
    """Draw lines over a common x axis, with horizontal grid lines only.

    Args:
        title: what the chart shows, for screen readers.
        series: drawn in this order, so that the last lies on top.
        x: from left to right.
        y: from below; widened to round values, and what lies outside is drawn at the edge.
        mark: one point (x, y) to put a ring around.
    """
    ticks = nice_ticks(y.low, y.high)
    across = Scale(x.low, x.high if x.high > x.low else x.low + 1, LEFT, RIGHT)
    upward = Scale(ticks[0], ticks[-1], BOTTOM, TOP)
    parts = [_grid_line(upward(tick), y.write(tick)) for tick in ticks]
    parts += [_x_tick(across(tick), x.write(tick)) for tick in nice_ticks(x.low, x.high) if x.low <= tick <= x.high]
    parts.append(tag("text", x.label, class_="axis-label", x=RIGHT, y=BOTTOM + 30, text_anchor="end"))
    if y.label:
        parts.append(tag("text", y.label, class_="axis-label", x=4, y=12))
    for entry in series:
        parts += _line(entry, across, upward)
    if mark is not None:
        parts.append(tag("circle", class_="ring", cx=across(mark[0]), cy=upward(mark[1]), r=6))
    return picture(WIDTH, HEIGHT, title, *parts, class_="chart")


def interval_bar(
    value: float, low: float | None, high: float | None, *, limits: tuple[float, float] = (0.0, 1.0), title: str
) -> Svg:
    """Draw one value as a stroke and its interval as a thick line on a thin track from one limit to the other.

    Args:
        value: the estimate.
        low: lower end of its interval; without it only the stroke is drawn.
        high: upper end.
        limits: values at the two ends of the track.
        title: value and interval in words.
    """
    scale = Scale(limits[0], max(limits[1], limits[0] + 1e-9), BAR_MARGIN, BAR_WIDTH - BAR_MARGIN)
    middle = BAR_HEIGHT / 2
    parts = [tag("path", class_="track", d=f"M{number(BAR_MARGIN)} {number(middle)}H{number(BAR_WIDTH - BAR_MARGIN)}")]
    if low is not None and high is not None:
        parts.append(tag("path", class_="span", d=f"M{number(scale(low))} {number(middle)}H{number(scale(high))}"))
    parts.append(tag("path", class_="value", d=f"M{number(scale(value))} 0V{number(BAR_HEIGHT)}"))
    return picture(BAR_WIDTH, BAR_HEIGHT, title, *parts, class_="interval")


def interval_scale(value: float, low: float | None, high: float | None, *, title: str) -> Svg:
    """Draw one share 0..1 and its interval on a scale with ticks, as wide as a chart: for the one number on top."""
    across = Scale(0, 1, 8, WIDTH - 14)
    parts = [tag("path", class_="track", d=f"M8 12H{number(WIDTH - 14)}")]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = across(tick)
        parts.append(tag("path", class_="track", d=f"M{number(x)} 8V16"))
        parts.append(tag("text", percent(tick, 0), class_="tick", x=x, y=31, text_anchor="middle"))
    if low is not None and high is not None:
        parts.append(tag("path", class_="span", d=f"M{number(across(low))} 12H{number(across(high))}"))
    parts.append(tag("path", class_="value", d=f"M{number(across(value))} 4V20"))
    return picture(WIDTH, 36, title, *parts, class_="chart scale")


def share_bar(part: float, *, most: float = 1.0, title: str) -> Svg:
    """Draw a share as a filled bar that begins at the left; `most` fills it."""
    width = BAR_WIDTH * min(part / most, 1.0) if most > 0 else 0.0
    filled = tag("rect", class_="fill", width=max(width, 1.0 if part > 0 else 0.0), height=BAR_HEIGHT, rx=1.5)
    return picture(BAR_WIDTH, BAR_HEIGHT, title, filled, class_="interval")


def reliability(title: str, bins: Sequence[tuple[float, float, float]]) -> Svg:
    """Draw how often predictions of each confidence are correct; on the diagonal, confidence equals accuracy.

    Args:
        title: what is seen, in words.
        bins: (mean confidence, accuracy, share of the pixels), each 0..1; empty ones are left out. A dot's size, and
            the bar under it (the tallest is the largest share), tell how many pixels that is.
    """
    across, upward = Scale(0, 1, 40, 300), Scale(0, 1, 270, 10)
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(tag("path", class_="grid", d=f"M40 {number(upward(tick))}H300"))
        parts.append(tag("text", percent(tick, 0), class_="tick", x=34, y=upward(tick) + 4, text_anchor="end"))
        parts.append(tag("text", percent(tick, 0), class_="tick", x=across(tick), y=326, text_anchor="middle"))
    parts.append(tag("path", class_="diagonal", d="M40 270L300 10"))
    full = [entry for entry in bins if entry[2] > 0]
    parts.append(tag("polyline", class_="line strong", points=path([(across(c), upward(a)) for c, a, _ in full])))
    most = max((entry[2] for entry in full), default=1.0)
    for entry in full:
        parts += _reliability_bin(across(entry[0]), upward, entry, most)
    return picture(312, 332, title, *parts, class_="chart square")


def stacked_bars(title: str, edges: Sequence[float], bars: Sequence[tuple[int, int]], words: Sequence[str]) -> Svg:
    """Draw bars side by side, each of two counts on top of each other.

    Args:
        title: what is seen, in words.
        edges: (n + 1,) values between the bars, written below.
        bars: (n,) of (lower count, upper count).
        words: (n,) of what each bar says.
    """
    ticks = nice_ticks(0, max(FEWEST, *(sum(bar) for bar in bars)), 5)
    across, upward = Scale(0, len(bars), LEFT, RIGHT), Scale(0, ticks[-1], BOTTOM, TOP)
    parts = [_grid_line(upward(tick), compact(tick)) for tick in ticks]
    every = -(-len(edges) // 12)
    parts += [
        _x_tick(across(place), compact(round(edges[place], 1 if edges[place] < 10 else None)))
        for place in range(0, len(edges), every)
    ]
    parts.append(tag("text", "diameter, px", class_="axis-label", x=RIGHT, y=BOTTOM + 30, text_anchor="end"))
    for place, ((lower, upper), said) in enumerate(zip(bars, words, strict=True)):
        left, width = across(place) + 1, across(place + 1) - across(place) - 2
        middle, top = upward(lower), upward(lower + upper)
        drawn = [
            tag("rect", class_="fill", x=left, y=middle, width=width, height=BOTTOM - middle),
            tag("rect", class_="fill other", x=left, y=top, width=width, height=middle - top),
        ]
        parts.append(tag("g", tag("title", said), *drawn))
    return picture(WIDTH, HEIGHT, title, *parts, class_="chart")


def scatter(title: str, points: Sequence[tuple[int, int]], labels: tuple[str, str]) -> Svg:
    """Draw pairs of counts against the diagonal; dots that would lie on each other are one larger dot.

    Args:
        title: what is seen, in words.
        points: (x, y).
        labels: what x and y count.
    """
    ticks = nice_ticks(0, max(FEWEST, *(value for point in points for value in point)), 5)
    across, upward = Scale(0, ticks[-1], 40, 300), Scale(0, ticks[-1], 270, 10)
    parts = []
    for tick in ticks:
        parts.append(tag("path", class_="grid", d=f"M40 {number(upward(tick))}H300"))
        parts.append(tag("text", compact(tick), class_="tick", x=34, y=upward(tick) + 4, text_anchor="end"))
        parts.append(tag("text", compact(tick), class_="tick", x=across(tick), y=288, text_anchor="middle"))
    parts.append(tag("path", class_="diagonal", d="M40 270L300 10"))
    places = Counter((round(across(x) / 2) * 2, round(upward(y) / 2) * 2) for x, y in points)
    most = max(places.values(), default=1)
    for (x, y), times in sorted(places.items(), key=lambda item: -item[1]):
        parts.append(tag("circle", class_="point", cx=x, cy=y, r=2.5 + 4 * (times / most) ** 0.5 * (most > 1)))
    parts.append(tag("text", labels[0], class_="axis-label", x=300, y=304, text_anchor="end"))
    parts.append(tag("text", labels[1], class_="axis-label", x=46, y=20))
    return picture(312, 310, title, *parts, class_="chart square")


def _reliability_bin(x: float, upward: Scale, entry: tuple[float, float, float], most: float) -> list[Svg]:
    confidence, accuracy, part = entry
    words = f"confidence {percent(confidence)}: correct in {percent(accuracy)}; {share(part)} of the pixels"
    gap = tag("path", class_="gap", d=f"M{number(x)} {number(upward(confidence))}V{number(upward(accuracy))}")
    dot = tag("circle", tag("title", words), class_="point", cx=x, cy=upward(accuracy), r=3 + 5 * (part / most) ** 0.5)
    tall = max(28 * part / most, 0.75)
    return [gap, dot, tag("rect", class_="fill", x=x - 4, y=310 - tall, width=8, height=tall)]


def _grid_line(y: float, label: str) -> Svg:
    line = tag("path", class_="grid", d=f"M{number(LEFT)} {number(y)}H{number(RIGHT)}")
    return Svg(line + tag("text", label, class_="tick", x=LEFT - 6, y=y + 4, text_anchor="end"))


def _x_tick(x: float, label: str) -> Svg:
    return tag("text", label, class_="tick", x=x, y=BOTTOM + 16, text_anchor="middle")


def _line(series: Series, across: Scale, upward: Scale) -> list[Svg]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in series.points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((across(x), upward(y)))
    style = "strong" if series.style == "dotted" else series.style
    stroke, fill = (series.color and f"{kind}:{series.color}" for kind in ("stroke", "fill"))
    lines = [piece for piece in pieces if len(piece) > 1]
    drawn = [tag("polyline", class_=f"line {style}", points=path(piece), style=stroke) for piece in lines]
    if series.style == "dotted":
        drawn += [tag("circle", class_="point", cx=x, cy=y, r=2.8, style=fill) for piece in pieces for x, y in piece]
    return drawn
