"""Numbers and lists as people read them: percentages, counts, sentences. Knows nothing of scores or HTML."""

from __future__ import annotations

import math


def percent(share: float, digits: int = 1) -> str:
    """Write a share 0..1 as a percentage, e.g. 0.6318 as `63.2%`."""
    return f"{share * 100:.{digits}f}%"


def points(share: float, digits: int = 1) -> str:
    """Write a share 0..1 in percent without the sign, for columns whose head carries it."""
    return f"{share * 100:.{digits}f}"


def decimal(value: float, digits: int = 1) -> str:
    """Write a plain quantity with a fixed number of decimals and thousands apart."""
    return f"{value:,.{digits}f}"


def count(number: float) -> str:
    """Write a whole number with thousands apart, e.g. `1,234`."""
    return f"{round(number):,}"


def chance(probability: float) -> str:
    """Write a p-value; a small one does not read as none: `<0.001`."""
    return f"{probability:.3f}" if probability >= 0.001 else "<0.001"


def compact(number: float) -> str:
    """Write a large count in three significant digits or fewer, e.g. 1234567 as `1.2M`, 1000 as `1k`."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit:
            scaled = number / limit
            return f"{scaled:.0f}{suffix}" if abs(scaled) >= 10 else f"{round(scaled, 1):g}{suffix}"
    return f"{number:g}"


def share(part: float) -> str:
    """Write a share 0..1 so that a small one does not read as none: `<0.1%`."""
    if 0 < part < 0.001:
        return "<0.1%"
    return percent(part, 1)


def plural(number: int, noun: str, many: str | None = None) -> str:
    """Write a count with its noun, e.g. `1 image`, `12 images`."""
    return f"{count(number)} {noun if number == 1 else many or noun + 's'}"


def agree(number: int, one: str, many: str) -> str:
    """Return the words that agree with a count, e.g. `has` with 1 and `have` with 0 or 2."""
    return one if number == 1 else many


def such_as(number: int, example: object) -> str:
    """Introduce one of several as an example, and an only one by its name alone: `1 image, a.jpg, has no mask`."""
    return f"such as {example}" if number > 1 else f"{example}"


def listing(words: list[str], most: int = 4) -> str:
    """Join words as in a sentence, at most `most` of them: `a, b and 7 more`."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {count(len(words) - most)} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def finite(value: float | None) -> float | None:
    """Return the value, or None when it is missing, not a number or infinite."""
    return value if value is not None and math.isfinite(value) else None
