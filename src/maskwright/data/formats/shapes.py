"""What the formats of drawn shapes share: which outlines count, in which order shapes are painted. Opens no file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maskwright.core.records import Shape

_FEWEST_NUMBERS = 6


def ring(values: Any) -> tuple[float, ...] | None:
    """Return a closed ring [x0, y0, x1, y1, ...], or None if it is none: fewer than three corners, or not numbers."""
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
    """Order (area, whether it is a crowd, shape) for painting: crowds first, then from large to small.

    So a small object stands in front of the large one it lies on, and an object within a crowd is not lost.
    """
    ordered = sorted(shapes, key=lambda entry: (not entry[1], -entry[0]))
    return tuple(shape for *_, shape in ordered)
