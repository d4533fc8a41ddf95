"""Shared by the formats of drawn shapes: valid outlines, and the order of painting. Opens no file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maskwright.core.records import Shape

_FEWEST_NUMBERS = 6


def ring(values: Any) -> tuple[float, ...] | None:
    """Return a closed ring [x0, y0, x1, y1, ...], or None if it has fewer than three corners or is not of numbers."""
    if not isinstance(values, list | tuple) or len(values) < _FEWEST_NUMBERS or len(values) % 2:
        return None
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return None
    return numbers if all(math.isfinite(number) for number in numbers) else None


def ring_area(numbers: tuple[float, ...]) -> float:
    """Return the area that a ring encloses, by the shoelace formula."""
    xs, ys = numbers[0::2], numbers[1::2]
    doubled = sum(xs[k - 1] * ys[k] - xs[k] * ys[k - 1] for k in range(len(xs)))
    return abs(doubled) / 2


def painting_order(shapes: Iterable[tuple[float, bool, Shape]]) -> tuple[Shape, ...]:
    """Sort (area, whether it is a crowd, shape) for painting: crowds first, then from large to small.

    So a small object covers the large one that it lies on, and an object inside a crowd is kept.
    """
    ordered = sorted(shapes, key=lambda entry: (not entry[1], -entry[0]))
    return tuple(shape for *_, shape in ordered)
