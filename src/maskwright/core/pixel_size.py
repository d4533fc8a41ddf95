"""The size of a pixel as people write it: `0.25um`. Knows no image."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from maskwright.core.errors import MaskwrightError

UNIT_NAMES = {
    "nm": "nanometer",
    "um": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "km": "kilometer",
}
"""Unit -> its name in files, as OME-NGFF writes it."""
UNITS = tuple(UNIT_NAMES)
_SIZE = re.compile(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+)\s*(\S+)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class PixelSize:
    """Width and height of a square pixel.

    Attributes:
        length: in units.
        unit: one of `UNITS`, or `px`.
    """

    length: float = 1.0
    unit: str = "px"

    @classmethod
    def parse(cls, text: str, key: str | None = None) -> PixelSize:
        """Read `0.25um`, `0.25 µm` or `30cm`.

        Args:
            text: to read.
            key: of the setting that holds it.

        Raises:
            MaskwrightError: no length above 0 with a known unit.
        """
        match = _SIZE.fullmatch(text.strip())
        unit = "" if match is None else re.sub("^[\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}]", "u", match[2])
        if match is None or unit not in UNITS:
            rule = f"it must be a length with one of the units {', '.join(UNITS)}"
            raise MaskwrightError(f"the pixel size is {text!r}, and {rule}: write e.g. 0.25um", key)
        length = float(match[1])
        if not 0 < length < math.inf:
            raise MaskwrightError(f"the pixel size is {text!r}, and it must be above 0: write e.g. 0.25um", key)
        return cls(length, unit)
