"""Values of annotation files, checked: an error names the key, what it holds and what it must hold. Opens no file."""

from __future__ import annotations

import math
import re
from typing import Any

_SHORT = 40
_NO_NUMBER = re.compile(r"could not convert string to float: (.*)|invalid literal for int\(\) with base 10: (.*)")


def whole(value: Any, key: str) -> int:
    """Return a whole number, maybe given as text.

    Raises:
        ValueError: it is none.
    """
    try:
        return int(value)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"{key} is {_written(value)}, but must be a whole number") from None


def number(value: Any, key: str) -> float:
    """Return a number, maybe given as text.

    Raises:
        ValueError: it is none.
    """
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"{key} is {_written(value)}, but must be a number") from None


def flat(points: Any, key: str) -> list[float]:
    """Return [x0, y0, x1, y1, ...] of a list of points [x, y]; what follows x and y of a point is left out.

    Raises:
        ValueError: it is no such list.
    """
    if not isinstance(points, list):
        raise ValueError(f"{key} is {_written(points)}, but must be a list of points [x, y]")  # noqa: TRY004
    found = []
    for point in points:
        if not isinstance(point, list) or len(point) < 2:
            raise ValueError(f"{key} holds {_written(point)}, but each point must be [x, y]")
        found += [number(value, f"a coordinate in {key}") for value in point[:2]]
    return found


def reason(error: Exception) -> str:
    """Return what one of `annotation_files.DAMAGE` says to a person: Python's own words name no key and no file."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    text = str(error)
    if (found := _NO_NUMBER.fullmatch(text)) is not None:
        return f"{found[1] or found[2]} stands where a number must be"
    if isinstance(error, AttributeError | IndexError | TypeError):
        return "a value is of another type or length than the format says"
    return text


def _written(value: Any) -> str:
    """Return a value as JSON writes it, cut if it is long."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}..."


def stated_area(value: object) -> float:
    """Return the area that the file tells; 0 if it is no number above that."""
    try:
        area = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
    return area if 0 < area < math.inf else 0.0
