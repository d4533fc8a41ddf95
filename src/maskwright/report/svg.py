"""SVG elements and scales: the few lines that the charts are drawn with. Knows no chart and no colour.

Colours come from the page's style sheet by class name, so that light, dark and print each have their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape


class Svg(str):
    """Finished markup: all user data in it is already escaped."""

    __slots__ = ()

    def __html__(self) -> str:
        """Tell the template engine not to escape it again."""
        return self


def tag(name: str, *children: str, **attributes: str | float | None) -> Svg:
    """Build one element.

    Args:
        name: of the element.
        children: `Svg` is taken as it is, plain text is escaped.
        attributes: `stroke_width` becomes `stroke-width`, `class_` becomes `class`; None leaves one out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(child if isinstance(child, Svg) else escape(child) for child in children)
    return Svg(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def picture(width: float, height: float, title: str, *children: str, class_: str) -> Svg:
    """Build a whole drawing with a text for those who cannot see it."""
    return tag(
        "svg",
        tag("title", title),
        *children,
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        class_=class_,
        role="img",
    )


def number(value: float) -> str:
    """Write a coordinate with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def path(points: list[tuple[float, float]]) -> str:
    """Write points as the `points` of a polyline."""
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)


@dataclass(frozen=True)
class Scale:
    """A straight line from values (low, high) to coordinates (start, end)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of `value`, held inside the scale."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round values (1, 2 or 5 times a power of ten apart) that enclose low..high, at most about `most`."""
    if high <= low:
        room = abs(low) * 0.1 or 0.5
        low, high = low - room, high + room
    step = _step((high - low) / (most - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= least * (1 - 1e-9)), 10 * power)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else number(value)
