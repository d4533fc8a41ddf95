"""Which results are rejected by their risk: those above a limit, or a share of them. Knows no result."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maskwright.core.errors import MaskwrightError

TABLE_HEAD = "image,page,risk,rejected"
"""First line of the table of risks, by which the file is known to be ours."""


@dataclass(frozen=True)
class Reject:
    """A rule of rejection.

    Attributes:
        limit: an image is rejected if its risk is above it; or, for a share, so many of the riskiest are.
        share: whether it is a share of the images.
    """

    limit: float
    share: bool

    @classmethod
    def parse(cls, given: str | float) -> Reject:
        """Read `0.3`, a risk, or `20%`, a share of the images.

        Raises:
            MaskwrightError: neither.
        """
        text = str(given).strip()
        share = text.endswith("%")
        try:
            limit = float(text.removesuffix("%")) / (100 if share else 1)
        except ValueError:
            limit = math.nan
        if not 0 <= limit <= 1:
            raise MaskwrightError(
                f"`reject` is {given}, and it must be a risk from 0 to 1, such as 0.3, or a share of the images, such "
                "as 20%",
                "reject",
            )
        return cls(limit, share)
