"""Durations as people write and read them: `10m`, `90s`, `1h30m`; lengths of a training. Looks at no clock."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Mapping

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
LONGEST = 1e9
"""Of seconds, steps and epochs: 30 years. What is counted from more leaves the range of numbers."""
SHORTEST = 10.0
"""Of a budget, in seconds: what importing, looking at the data and measuring a step take before anything is learnt."""
_TERM = re.compile(r"(\d+(?:\.\d+)?)\s*(hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)\s*", re.IGNORECASE)


def parse_seconds(text: str | float, key: str | None = None) -> float:
    """Read a duration in seconds.

    Args:
        text: `90s`, `10m`, `1h30m`, `1.5h`, or a bare number of seconds.
        key: of the setting that holds it.

    Raises:
        MaskwrightError: nothing of that kind, or not above zero.
    """
    words = str(text).strip()
    seconds = _bare_number(words)
    if seconds is None:
        seconds = _sum_of_terms(words)
    if seconds is None:
        raise MaskwrightError(
            f"{words!r} is not a duration: write 90s, 10m or 1h30m, or a number of seconds such as 600", key
        )
    if not math.isfinite(seconds) or seconds <= 0:
        raise MaskwrightError(f"the duration {words!r} must be longer than zero: give e.g. 10m", key)
    return seconds


def format_seconds(seconds: float) -> str:
    """Write a duration in its two largest units: `2 h 05 min`, `10 min 00 s`, `42 s`, `0.8 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def check_lengths(lengths: Mapping[str, object]) -> None:
    """Refuse more than one length of a training, one that is not a number above 0, and a hopeless budget.

    Args:
        lengths: seconds, steps and epochs by the keys that set them (`steps`, `train.budget_seconds`); None where not
            given. Steps are whole.

    Raises:
        MaskwrightError: two lengths are given, or one breaks its rule.
    """
    given = {name: value for name, value in lengths.items() if value is not None}
    if len(given) > 1:
        names = " and ".join(f"`{name}`" for name in given)
        raise MaskwrightError(f"{names} each set the length of the training: keep one of them")
    for name, value in given.items():
        whole = name.endswith("steps")
        kinds = int if whole else int | float
        count = value if isinstance(value, kinds) and not isinstance(value, bool) else 0
        if not 0 < count <= LONGEST:
            rule = f"a {'whole ' if whole else ''}number above 0, and {LONGEST:.0e} at most"
            raise MaskwrightError(f"`{name}` is {value!r}, and it must be {rule}: give e.g. 20")
        if "budget" in name and count < SHORTEST:
            raise MaskwrightError(
                f"`{name}` is {count:g} s, and it must be {SHORTEST:g} s or more, because preparation takes that long: "
                "give a minute or more, or a number of steps instead"
            )


def _bare_number(words: str) -> float | None:
    try:
        return float(words)
    except ValueError:
        return None


def _sum_of_terms(words: str) -> float | None:
    """Add up `1h 30m`; None unless the whole text is made of such terms, each unit once, larger ones first."""
    terms = _TERM.findall(words)
    if not terms or _TERM.sub("", words):
        return None
    units = [unit[0].lower() for _, unit in terms]
    if units != sorted(set(units), key="hms".index):
        return None
    return math.fsum(float(number) * UNITS[unit] for (number, _), unit in zip(terms, units, strict=True))
